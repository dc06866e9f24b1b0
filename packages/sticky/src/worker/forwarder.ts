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
import { runApplication } from "../faults.js";
import { sessionIdOf } from "../wire/session-id.js";
import { holdEnd } from "./client-end.js";
import { upgradeFields, writeHead } from "./header-fields.js";
import type { Owner } from "./owners.js";
import { isRelayed, passesOf, whenLeaving } from "./relayed-socket.js";
import type { Engine } from "./session-marks.js";

/** What the forwarder needs of its worker. */
export interface ForwarderHost {
  /** Whether the session lives here. */
  isHere(sessionId: string): boolean;
  /** Settles when it is known where a session is that is about to move; `undefined` if it is known. */
  untilSettled(sessionId: string): Promise<void> | undefined;
  /** Settles when it is known whether another host has the session; `undefined` if it is. */
  untilKnown(sessionId: string): Promise<void> | undefined;
  /**
   * The worker to ask for a session that is not here; `undefined` if there is none.
   * @param isRelayed another worker has asked
   */
  ownerElsewhere(sessionId: string, isRelayed: boolean): Owner | undefined;
  /** The worker that is to have a session that has yet to begin; `undefined` if it is this one. */
  ownerOfNew(isRelayed: boolean): Owner | undefined;
  /** The worker to ask after one that is gone; `undefined` if there is none. @param tried all that are gone */
  ownerAfter(owner: Owner, isRelayed: boolean, tried: ReadonlySet<number>): Promise<Owner | undefined>;
  /**
   * Moves a connection to the owner's process. `false` if it cannot be moved; then nothing has happened.
   * @param head the bytes that were read of it
   */
  move(socket: Socket, name: string, owner: number, head: string): boolean;
  /** Called for each request of a session that the engine gets. */
  onRequest(sessionId: string, response: ServerResponse): void;
  /** Called for each upgrade of a session that the engine gets, and another worker has relayed to this one. */
  onRelayedUpgrade(sessionId: string, request: IncomingMessage, socket: Duplex): void;
  /** Called for each request that another worker has relayed to this one. */
  onForwardedIn(): void;
  /** Answers the poll of a session that waits, so that its client polls again. */
  endPoll(sessionId: string): void;
}

/** How many workers are tried for a session: each may have got those of the one before, and have ended meanwhile. */
const MAX_TRIED = 8;
/** How many workers may have passed a request on: no chain of moves that are underway at the same time is as long. */
const MAX_PASSES = 8;

/** @returns the function that undoes it */
export function forwardStrays(engine: Engine, name: string, host: ForwarderHost): () => void {
  const { handleRequest, handleUpgrade } = engine;

  /** What was relayed once goes on only to where this worker's sessions went. */
  const ownerOf = (sessionId: string | undefined, socket: Duplex): Owner | undefined => {
    if (passesOf(socket) >= MAX_PASSES) return undefined;
    if (sessionId === undefined) return host.ownerOfNew(isRelayed(socket));
    if (host.isHere(sessionId)) return undefined;
    return host.ownerElsewhere(sessionId, isRelayed(socket));
  };

  const onRequest = (request: IncomingMessage, response: ServerResponse, sessionId: string | undefined) => {
    const here = () => {
      if (sessionId !== undefined) host.onRequest(sessionId, response);
      runApplication(() => handleRequest.call(engine, request, response));
    };
    const relay = (owner: Owner, tried: Set<number>) => {
      owner.relay.request(owner.number, name, request, response, (isWhole) => {
        tried.add(owner.number);
        if (!isWhole || tried.size === MAX_TRIED) return here();
        const release = holdEnd(request, response);
        void host.ownerAfter(owner, isRelayed(request.socket), tried).then((next) => {
          if (response.destroyed) return;
          if (next) relay(next, tried);
          else here();
          release();
        });
      });
    };
    const owner = ownerOf(sessionId, request.socket);
    if (owner) return relay(owner, new Set());
    if (sessionId !== undefined && request.method === "GET" && isRelayed(request.socket)) {
      const release = whenLeaving(request.socket, () => host.endPoll(sessionId));
      response.prependOnceListener("close", release);
    }
    here();
  };

  const onUpgrade = (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    sessionId: string | undefined,
  ) => {
    const here = () => {
      if (sessionId !== undefined && isRelayed(socket)) host.onRelayedUpgrade(sessionId, request, socket);
      runApplication(() => handleUpgrade.call(engine, request, socket, head));
    };
    const relay = (owner: Owner, tried: Set<number>) => {
      owner.relay.upgrade(owner.number, name, request, socket, head, () => {
        tried.add(owner.number);
        if (tried.size === MAX_TRIED) return here();
        // Nobody else listens meanwhile, and a client may be cut off at any time.
        socket.on("error", ignore);
        void host.ownerAfter(owner, isRelayed(socket), tried).then((next) => {
          socket.off("error", ignore);
          if (socket.destroyed) return;
          if (next) relay(next, tried);
          else here();
        });
      });
    };
    const owner = ownerOf(sessionId, socket);
    if (!owner) return here();
    if (owner.getsConnections && socket instanceof Socket && !(socket instanceof TLSSocket)) {
      const text = writeHead(request, upgradeFields(request));
      if (text && host.move(socket, name, owner.number, text + head.toString("latin1"))) return;
    }
    relay(owner, new Set());
  };

  /** Settles when it is known where the session is; `undefined` if it is. */
  const untilFound = (sessionId: string | undefined, socket: Duplex): Promise<void> | undefined => {
    if (sessionId === undefined) return undefined;
    const settled = host.untilSettled(sessionId);
    if (settled || host.isHere(sessionId) || isRelayed(socket)) return settled;
    return host.untilKnown(sessionId);
  };

  const after = (
    found: Promise<void>,
    sessionId: string,
    answer: Duplex | ServerResponse,
    run: () => void,
  ) => {
    answer.on("error", ignore);
    void found.then(() => {
      answer.off("error", ignore);
      if (answer.destroyed) return;
      // It may be about to move again.
      const settled = host.untilSettled(sessionId);
      if (settled) after(settled, sessionId, answer, run);
      else run();
    });
  };

  engine.handleRequest = (request: IncomingMessage, response: ServerResponse) => {
    const sessionId = sessionIdOf(request.url ?? "");
    if (isRelayed(request.socket)) host.onForwardedIn();
    const found = untilFound(sessionId, request.socket);
    if (!found || sessionId === undefined) return onRequest(request, response, sessionId);
    const release = holdEnd(request, response);
    after(found, sessionId, response, () => {
      onRequest(request, response, sessionId);
      release();
    });
  };

  engine.handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const sessionId = sessionIdOf(request.url ?? "");
    if (isRelayed(socket)) host.onForwardedIn();
    const found = untilFound(sessionId, socket);
    if (!found || sessionId === undefined) return onUpgrade(request, socket, head, sessionId);
    after(found, sessionId, socket, () => onUpgrade(request, socket, head, sessionId));
  };

  return () => {
    Reflect.deleteProperty(engine, "handleRequest");
    Reflect.deleteProperty(engine, "handleUpgrade");
    // Somebody else may have replaced them before.
    if (engine.handleRequest !== handleRequest) engine.handleRequest = handleRequest;
    if (engine.handleUpgrade !== handleUpgrade) engine.handleUpgrade = handleUpgrade;
  };
}

const ignore = () => {};
