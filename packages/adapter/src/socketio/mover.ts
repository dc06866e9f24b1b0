/**
 * `createMover()`: the clients of a Socket.IO server as they leave for another worker and come from one. Whoever calls
 * it carries the TCP connections; `@holdfast/sticky` does.
 * Owns: nothing of a client that is not on its way. Runs in: workers.
 */
import type { Duplex } from "node:stream";
import type { Server } from "socket.io";
import { HoldfastError } from "../errors.js";
import { HoldfastAdapter } from "./adapter.js";
import { type ClientState, decodeClient, type SocketState } from "./client-state.js";
import { DepartingClient } from "./departing-client.js";
import { forgetMoved, noteMoved } from "./moved-clients.js";
import type { Moves } from "./moves.js";
import { type Connection, encoderOf } from "./private-fields.js";
import {
  clientsOf,
  connectionsOf,
  continuePings,
  cut,
  inflateAnew,
  namespaceOf,
  raiseConnection,
  raisePolling,
  receive,
  webSocketOf,
} from "./private-fields-engine.js";
import { putUnsent, watchProbes } from "./private-fields-polling.js";

/** Why a session stays where it is. */
export type MoveObstacle =
  /** TLS ends in this worker. */
  | "tls"
  /** It uses neither long-polling nor a WebSocket of `ws`. */
  | "transport"
  /** The server has no `connectionStateRecovery`, or the client's protocol knows none. */
  | "recovery"
  /** `socket.data` or the handshake has no encoded form. */
  | "data"
  /** The client compresses with what it has sent before. */
  | "compression"
  /** The client has not read for a while: more than 16 MiB wait for it, which would hold up the moves of others. */
  | "backlog";

/** A session that lives in this worker. */
export interface MovableSession {
  /** Its Engine.IO id, which its requests have. */
  readonly id: string;
  /** The TCP connection beneath its WebSocket; undefined while its client polls: then requests are all it has. */
  readonly socket: Duplex | undefined;
  /** Why it cannot be moved; undefined if it can. */
  readonly obstacle: MoveObstacle | undefined;
  /**
   * Takes the session out. When it settles, the hub has given the session to that worker, and nothing is read from or
   * written to `socket` here any more: what is unread and unsent there belongs to whoever carries the connection.
   * Without `socket`, requests of the session that come from the call on must wait until it is up there, or stays.
   * @returns what the other worker's `land()` needs; undefined if the session stays, for now or because it has ended
   */
  depart(workerId: number): Promise<Uint8Array | undefined>;
  /**
   * The connection has left: the application hears `handover`, and not that the client has gone. A poll that waits is
   * answered with nothing.
   */
  onLeft(): void;
  /** The connection was lost after `depart()`. */
  onLost(): void;
  /** Ends it with the WebSocket code 1012, "service restart"; its client comes back and can recover. */
  close(): void;
  /** Ends it at once, with nothing said. */
  cut(): void;
}

/** What `createMover()` returns. */
export interface Mover {
  /** The sessions of this worker. */
  sessions(): MovableSession[];
  /**
   * Brings a session up that has left another worker.
   * @param state what `depart()` gave there
   * @param unread bytes that were read of the connection and not used
   * @param socket the connection, from which nothing may read; undefined if the session has come without one
   * @returns whether it is up; if not, its client has to come back, and `socket` can be closed
   */
  land(state: Uint8Array, unread: Uint8Array, socket: Duplex | undefined): Promise<boolean>;
}

/**
 * Lets the clients of `io` move to other workers while they stay connected. Call it in each worker, after
 * `io.adapter(createAdapter())`, and give it to whoever carries the connections: `setupWorker(io, { mover })` of
 * `@holdfast/sticky`. Sessions move only where `io` has `connectionStateRecovery`. Where `io` compresses, clients are
 * asked to compress each message by itself (RFC 7692 §7.1.1.2).
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` if `io` is no Socket.IO server
 */
export function createMover(io: Server): Mover {
  if (typeof (Object(io) as Partial<Server>).of !== "function") {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      "createMover(io) takes a Socket.IO server: what new Server(httpServer) returns.",
    );
  }
  inflateAnew(io);
  watchProbes(io);
  return new ServerMover(io);
}

class ServerMover implements Mover {
  readonly #io: Server;

  constructor(io: Server) {
    this.#io = io;
  }

  sessions(): MovableSession[] {
    const clients = clientsOf(this.#io);
    return connectionsOf(this.#io).map(
      (connection) => new DepartingClient(this.#io, connection, clients.get(connection)),
    );
  }

  async land(bytes: Uint8Array, unread: Uint8Array, socket: Duplex | undefined): Promise<boolean> {
    const state = decodeClient(bytes);
    const parts = state?.sockets.flatMap((each) => {
      const moves = this.#movesOf(each.namespace);
      return moves ? { ...each, moves } : [];
    });
    if (!state || !parts || parts.length < state.sockets.length) return false;
    // The hub says it on another way than that of the connection.
    await Promise.all(parts.map(({ moves, sid }) => moves.in.told(sid)));
    const connection = await this.#raise(state, unread, socket);
    const isUp = connection !== undefined && (await this.#connect(connection, parts));
    if (isUp) this.#goOn(connection, state);
    else for (const { moves, sid } of parts) moves.in.abandon(sid);
    return isUp;
  }

  async #raise(
    { connection: state, replay, unsent }: ClientState,
    unread: Uint8Array,
    socket: Duplex | undefined,
  ): Promise<Connection | undefined> {
    if (replay && socket) return raiseConnection(this.#io, state, socket, Buffer.concat([replay, unread]));
    if (replay || socket) return undefined;
    const connection = await raisePolling(this.#io, state);
    if (connection) putUnsent(connection, unsent);
    return connection;
  }

  /** Makes the sockets of the client. */
  async #connect(
    connection: Connection,
    parts: readonly (SocketState & { moves: Moves })[],
  ): Promise<boolean> {
    noteMoved(connection, new Map(parts.map((part) => [part.namespace, part])));
    const made = parts.map(({ moves, sid, acks }) =>
      moves.in.begin(sid, connection, new Map(acks.map(({ of, member, id }) => [of, { member, id }]))),
    );
    for (const { namespace } of parts) this.#askFor(namespace, connection);
    const areMade = await Promise.all(made);
    forgetMoved(connection);
    const isUp = areMade.every(Boolean);
    if (!isUp) cut(connection);
    return isUp;
  }

  /** As the client did when it came. */
  #askFor(namespace: string, connection: Connection): void {
    const nsp = namespaceOf(this.#io, namespace);
    if (!nsp) return;
    const connect = { type: CONNECT, nsp: namespace, data: {} };
    for (const part of encoderOf(nsp).encode(connect as never)) receive(connection, part);
  }

  #goOn(connection: Connection, { half, connection: state }: ClientState): void {
    for (const part of half) receive(connection, typeof part === "string" ? part : Buffer.from(part));
    continuePings(connection, state);
    webSocketOf(connection)?.resume();
  }

  #movesOf(namespace: string): Moves | undefined {
    const adapter = namespaceOf(this.#io, namespace)?.adapter;
    return adapter instanceof HoldfastAdapter ? adapter.moves : undefined;
  }
}

/** "connect" in Socket.IO's protocol. */
const CONNECT = 0;
