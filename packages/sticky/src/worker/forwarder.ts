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
import { sessionIdOf } from "../wire/session-id.js";
import { writeHead } from "./header-fields.js";
import type { Owner } from "./owners.js";
import { isRelayed, whenLeaving } from "./relayed-socket.js";
import type { Engine } from "./session-marks.js";

/** What the forwarder needs of its worker. */
export interface ForwarderHost {
  /** The worker that owns a session; `undefined` if none does or it is this one. */
  ownerElsewhere(sessionId: string): Owner | undefined;
  /**
   * Moves a connection to the owner's process. `false` if it cannot be moved; then nothing has happened.
   * @param head the bytes that were read of it
   */
  move(socket: Socket, name: string, owner: number, head: string): boolean;
  /** Called for each request that another worker has relayed to this one. */
  onForwardedIn(): void;
  /** Called for each request of a session, this worker's or another's, that a client has sent here. */
  onRequest(sessionId: string, request: IncomingMessage, response: ServerResponse): void;
  /** Answers the poll of a session that waits, so that its client polls again. */
  endPoll(sessionId: string): void;
}

/** @returns the function that undoes it */
export function forwardStrays(engine: Engine, name: string, host: ForwarderHost): () => void {
  const { handleRequest, handleUpgrade } = engine;

  /** What was relayed once is answered here, whatever its session id says. */
  const ownerOf = (sessionId: string | undefined, socket: Duplex): Owner | undefined => {
    if (isRelayed(socket)) {
      host.onForwardedIn();
      return undefined;
    }
    return sessionId === undefined ? undefined : host.ownerElsewhere(sessionId);
  };

  const note = (sessionId: string, request: IncomingMessage, response: ServerResponse): void => {
    const { socket, method } = request;
    if (!isRelayed(socket)) return host.onRequest(sessionId, request, response);
    if (method !== "GET") return;
    const release = whenLeaving(socket, () => host.endPoll(sessionId));
    response.once("close", release);
  };

  engine.handleRequest = (request: IncomingMessage, response: ServerResponse) => {
    const here = () => handleRequest.call(engine, request, response);
    const sessionId = sessionIdOf(request.url ?? "");
    const owner = ownerOf(sessionId, request.socket);
    if (sessionId !== undefined) note(sessionId, request, response);
    if (owner) owner.relay.request(owner.number, name, request, response, here);
    else here();
  };

  engine.handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const here = () => handleUpgrade.call(engine, request, socket, head);
    const owner = ownerOf(sessionIdOf(request.url ?? ""), socket);
    if (!owner) return here();
    if (owner.isRouted && socket instanceof Socket && !(socket instanceof TLSSocket)) {
      const text = writeHead(request);
      if (text && host.move(socket, name, owner.number, text + head.toString("latin1"))) return;
    }
    owner.relay.upgrade(owner.number, name, request, socket, head, here);
  };

  return () => {
    Reflect.deleteProperty(engine, "handleRequest");
    Reflect.deleteProperty(engine, "handleUpgrade");
    // Somebody else may have replaced them before.
    if (engine.handleRequest !== handleRequest) engine.handleRequest = handleRequest;
    if (engine.handleUpgrade !== handleUpgrade) engine.handleUpgrade = handleUpgrade;
  };
}
