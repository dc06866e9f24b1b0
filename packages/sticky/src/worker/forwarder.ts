/**
 * The forwarder: passes an Engine.IO request that arrived at the wrong worker to its owner.
 * Owns: the engine's `handleRequest` and `handleUpgrade`, until undone. Runs in: workers.
 *
 * Engine.IO calls both for requests of its path, whatever other listeners the server has; so what is checked
 * here is exactly what Engine.IO would answer.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { NO_OWNER } from "../wire/owner-mark.js";
import { encodeTarget, originOf } from "../wire/private-address.js";
import { sessionIdOf } from "../wire/session-id.js";
import { writeHead } from "./header-fields.js";
import type { Relay } from "./relay.js";
import type { Engine } from "./session-marks.js";

/** What the forwarder needs of its worker. */
export interface ForwarderHost {
  /** The worker that owns a session; `NO_OWNER` if none does or it is this one. */
  ownerElsewhere(sessionId: string): number;
  /** Where the owner's private socket is and what opens it; `undefined` while there are none. */
  door(owner: number): { readonly path: string; readonly secret: string } | undefined;
  /**
   * Moves a connection to the owner's process. `false` if it cannot be moved; then nothing has happened.
   * @param head the bytes that were read of it
   */
  move(socket: Socket, name: string, owner: number, head: string): boolean;
  readonly relay: Relay;
}

/** @returns the function that undoes it */
export function forwardStrays(engine: Engine, name: string, host: ForwarderHost): () => void {
  const { handleRequest, handleUpgrade } = engine;

  const ownerOf = (request: IncomingMessage): number => {
    const sessionId = sessionIdOf(request.url ?? "");
    return sessionId === undefined ? NO_OWNER : host.ownerElsewhere(sessionId);
  };
  const doorOf = (request: IncomingMessage, owner: number) => {
    const door = host.door(owner);
    const target = door && encodeTarget(door.secret, originOf(name, request.socket), request.url ?? "");
    return door && target !== undefined ? { path: door.path, target } : undefined;
  };

  engine.handleRequest = (request: IncomingMessage, response: ServerResponse) => {
    const here = () => handleRequest.call(engine, request, response);
    const owner = ownerOf(request);
    const door = owner === NO_OWNER ? undefined : doorOf(request, owner);
    if (door) host.relay.request(door.path, door.target, request, response, here);
    else here();
  };

  engine.handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const here = () => handleUpgrade.call(engine, request, socket, head);
    const owner = ownerOf(request);
    if (owner === NO_OWNER) return here();
    if (socket instanceof Socket && !(socket instanceof TLSSocket)) {
      const text = writeHead(request.method ?? "GET", request.url ?? "", request.rawHeaders);
      if (text && host.move(socket, name, owner, text + head.toString("latin1"))) return;
    }
    const door = doorOf(request, owner);
    if (door) host.relay.upgrade(door.path, door.target, request, socket, head, here);
    else here();
  };

  return () => {
    Reflect.deleteProperty(engine, "handleRequest");
    Reflect.deleteProperty(engine, "handleUpgrade");
    // Somebody else may have replaced them before.
    if (engine.handleRequest !== handleRequest) engine.handleRequest = handleRequest;
    if (engine.handleUpgrade !== handleUpgrade) engine.handleUpgrade = handleUpgrade;
  };
}
