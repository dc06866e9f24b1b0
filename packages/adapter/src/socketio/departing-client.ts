/**
 * A client of this worker, as it is taken out for another one.
 * Owns: nothing; the client is Socket.IO's until it has left. Runs in: workers.
 */
import type { Duplex } from "node:stream";
import type { Server, Socket } from "socket.io";
import { runApplication } from "../faults.js";
import { packValue } from "../wire/values.js";
import { HoldfastAdapter } from "./adapter.js";
import { type Copy, copyOnce, encodeClient, plainHandshake, type SocketState } from "./client-state.js";
import { type ClientTransport, transportOf } from "./client-transport.js";
import type { MovableSession, MoveObstacle } from "./mover.js";
import type { Moves } from "./moves.js";
import { type Connection, canRecover, emitLocally, privateIdOf, rawSocketOf } from "./private-fields.js";
import {
  type Client,
  closeWith,
  cut,
  endMoved,
  forgetConnection,
  halfPacketOf,
  isConnecting,
  isOpenConnection,
  sessionIdOf,
  socketsOf,
  takeConnectionState,
  unsentBytesOf,
} from "./private-fields-engine.js";

/** How long a client may take to come to rest: a message is being inflated, or a namespace connected. */
const QUIET_MS = 1_000;
/** What is unsent goes through the primary. */
const MAX_UNSENT_BYTES = 16 * 2 ** 20;
/** "Service Restart" (IANA's registry of WebSocket close codes). */
const SERVICE_RESTART = 1012;

/** On their way out: whoever wants them as well finds them busy. */
const departing = new WeakSet<Connection>();

export class DepartingClient implements MovableSession {
  readonly #io: Server;
  readonly #connection: Connection;
  readonly #client: Client | undefined;

  /** @param client undefined while it has no socket */
  constructor(io: Server, connection: Connection, client: Client | undefined) {
    this.#io = io;
    this.#connection = connection;
    this.#client = client;
  }

  get id(): string {
    return sessionIdOf(this.#connection);
  }

  get socket(): Duplex | undefined {
    return rawSocketOf(this.#connection);
  }

  get obstacle(): MoveObstacle | undefined {
    const transport = this.#transport;
    if (!transport) return "transport";
    if (transport.obstacle) return transport.obstacle;
    if (unsentBytesOf(this.#connection) > MAX_UNSENT_BYTES) return "backlog";
    const sockets = this.#sockets;
    if (!sockets.every((socket) => canRecover(socket) && movesOf(socket))) return "recovery";
    return sockets.every(isEncodable) && this.#hasWritableHalf() ? undefined : "data";
  }

  async depart(workerId: number): Promise<Uint8Array | undefined> {
    const transport = this.#transport;
    if (!this.#client || !transport?.isReady()) return undefined;
    if (departing.has(this.#connection)) return undefined;
    departing.add(this.#connection);
    transport.pause();
    const isQuiet = await this.#becomesQuiet(transport);
    const sockets = this.#sockets;
    if (!isQuiet || sockets.length === 0) return this.#stay(transport);
    const given = await Promise.all(sockets.map((socket) => movesOf(socket)?.out.start(socket, workerId)));
    if (!given.some(Boolean)) return this.#stay(transport);
    // Compression and the like are done in other threads.
    if (given.every(Boolean) && (await this.#until(() => transport.pushOut()))) {
      const state = this.#pack(this.#client, transport, sockets);
      if (state) return state;
    }
    // Some of its namespaces are the other worker's, so it can only come back as a whole.
    this.onLost();
    cut(this.#connection);
    return undefined;
  }

  onLeft(): void {
    for (const socket of this.#sockets) runApplication(() => emitLocally(socket, "handover"));
    this.#transport?.onLeft();
    runApplication(() => endMoved(this.#connection));
  }

  onLost(): void {
    for (const socket of this.#sockets) movesOf(socket)?.lost(socket.id);
  }

  close(): void {
    if (isOpenConnection(this.#connection)) closeWith(this.#connection, SERVICE_RESTART, "service restart");
  }

  cut(): void {
    cut(this.#connection);
  }

  /** As it is now: the client may upgrade until it is its turn. */
  get #transport(): ClientTransport | undefined {
    return transportOf(this.#connection);
  }

  get #sockets(): Socket[] {
    return this.#client ? socketsOf(this.#client) : [];
  }

  #stay(transport: ClientTransport): undefined {
    departing.delete(this.#connection);
    transport.resume();
  }

  /** Waits until nothing of what has come is at work. */
  async #becomesQuiet(transport: ClientTransport): Promise<boolean> {
    const isQuiet = () => transport.isQuiet() && !isConnecting(this.#io, this.#connection);
    if (!(await this.#until(isQuiet))) return false;
    // What has just been parsed is given to the application a tick later.
    await nextTurn();
    return isQuiet();
  }

  /** In between, the event loop must turn. */
  async #until(isDone: () => boolean): Promise<boolean> {
    const deadline = performance.now() + QUIET_MS;
    while (isOpenConnection(this.#connection)) {
      if (isDone()) return true;
      if (performance.now() > deadline) return false;
      await nextTurn();
    }
    return false;
  }

  /** A client may nest values so deep that they can be read, and not be written. */
  #hasWritableHalf(): boolean {
    try {
      if (this.#client) halfPacketOf(this.#client);
      return true;
    } catch {
      return false;
    }
  }

  #pack(client: Client, transport: ClientTransport, sockets: readonly Socket[]): Uint8Array | undefined {
    const taken = transport.takeOut();
    if (!taken) return undefined;
    const { deflate, replay, unsent } = taken;
    const copy = copyOnce();
    const state = encodeClient({
      connection: takeConnectionState(this.#connection, deflate, copy),
      replay,
      unsent,
      half: halfPacketOf(client),
      sockets: sockets.map((socket) => stateOf(socket, copy)),
    });
    forgetConnection(client);
    return state;
  }
}

function stateOf(socket: Socket, copy: Copy): SocketState {
  return {
    namespace: socket.nsp.name,
    sid: socket.id,
    privateId: privateIdOf(socket),
    handshake: plainHandshake(socket.handshake, copy),
    acks: movesOf(socket)?.acksOf(socket) ?? [],
  };
}

function movesOf({ nsp }: Socket): Moves | undefined {
  return nsp.adapter instanceof HoldfastAdapter ? nsp.adapter.moves : undefined;
}

function isEncodable({ data, handshake }: Socket): boolean {
  try {
    packValue([data, plainHandshake(handshake, copyOnce())]);
    return true;
  } catch {
    return false;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
