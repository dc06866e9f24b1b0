/**
 * The transport of a client that leaves for another worker: when it is at rest, and what is taken out of it.
 * Owns: nothing. Runs in: workers.
 */
import { TLSSocket } from "node:tls";
import type { MoveObstacle } from "./mover.js";
import { type Connection, rawSocketOf } from "./private-fields.js";
import {
  isOpenConnection,
  isSettled,
  pushOut,
  transportNameOf,
  webSocketOf,
} from "./private-fields-engine.js";
import { endPolls, isIdle, isWithoutProbe, takeUnsent, type UnsentPacket } from "./private-fields-polling.js";
import {
  type DeflateParams,
  deflateParamsOf,
  hasSent,
  inflatesAnew,
  isOpenWebSocket,
  replayOf,
  type WebSocket,
} from "./private-fields-ws.js";

export interface ClientTransport {
  readonly obstacle: MoveObstacle | undefined;
  /** Whether it makes sense to try. */
  isReady(): boolean;
  /** Reads nothing more. */
  pause(): void;
  resume(): void;
  /** Whether nothing of what has come is at work. */
  isQuiet(): boolean;
  /** Gives on what has been written. @returns whether nothing of it is at work any more */
  pushOut(): boolean;
  /** @returns undefined if the client has to come back */
  takeOut(): Taken | undefined;
  /** The client goes on elsewhere. */
  onLeft(): void;
}

/** What the other worker needs to go on. */
export interface Taken {
  readonly deflate: DeflateParams | undefined;
  readonly replay: Uint8Array | undefined;
  readonly unsent: readonly UnsentPacket[];
}

/** @returns undefined for transports that cannot be moved */
export function transportOf(connection: Connection): ClientTransport | undefined {
  if (transportNameOf(connection) === "polling") return new PollingTransport(connection);
  const webSocket = webSocketOf(connection);
  return webSocket && new WebSocketTransport(connection, webSocket);
}

class WebSocketTransport implements ClientTransport {
  readonly #connection: Connection;
  readonly #webSocket: WebSocket;

  constructor(connection: Connection, webSocket: WebSocket) {
    this.#connection = connection;
    this.#webSocket = webSocket;
  }

  get obstacle(): MoveObstacle | undefined {
    if (rawSocketOf(this.#connection) instanceof TLSSocket) return "tls";
    return inflatesAnew(this.#webSocket) ? undefined : "compression";
  }

  isReady(): boolean {
    return isOpenWebSocket(this.#webSocket);
  }

  pause(): void {
    this.#webSocket.pause();
  }

  /** Also where it is being closed: the client's answer to that has to be read. */
  resume(): void {
    this.#webSocket.resume();
  }

  isQuiet(): boolean {
    return isSettled(this.#connection) && hasSent(this.#webSocket) && replayOf(this.#webSocket) !== undefined;
  }

  pushOut(): boolean {
    pushOut(this.#connection);
    return hasSent(this.#webSocket);
  }

  takeOut(): Taken | undefined {
    const replay = replayOf(this.#webSocket);
    if (!replay || !this.isReady()) return undefined;
    return { deflate: deflateParamsOf(this.#webSocket), replay, unsent: [] };
  }

  /** Its socket is gone: it would make a frame that nobody gets. */
  onLeft(): void {
    this.#webSocket.terminate();
  }
}

/** Whoever carries the session holds its requests back while it is on its way. */
class PollingTransport implements ClientTransport {
  readonly obstacle = undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The requests of an upgrade that goes on must not be held back. */
  isReady(): boolean {
    return isSettled(this.#connection) && isWithoutProbe(this.#connection);
  }

  pause(): void {}

  resume(): void {}

  isQuiet(): boolean {
    return this.isReady() && isIdle(this.#connection);
  }

  pushOut(): boolean {
    return isIdle(this.#connection);
  }

  takeOut(): Taken | undefined {
    if (!isSettled(this.#connection)) return undefined;
    return { deflate: undefined, replay: undefined, unsent: takeUnsent(this.#connection) };
  }

  onLeft(): void {
    if (isOpenConnection(this.#connection)) endPolls(this.#connection);
  }
}
