/**
 * A client of this worker, as it is taken out for another one.
 * Owns: nothing; the client is Socket.IO's until it has left. Runs in: workers.
 */
import type { Duplex } from "node:stream";
import type { Server, Socket } from "socket.io";
import { packValue } from "../wire/values.js";
import { HoldfastAdapter } from "./adapter.js";
import { encodeClient, plainHandshake, type SocketState } from "./client-state.js";
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
  isSettled,
  pushOut,
  socketsOf,
  takeConnectionState,
  transportNameOf,
  webSocketOf,
} from "./private-fields-engine.js";
import {
  deflateParamsOf,
  hasSent,
  inflatesAnew,
  isOpenWebSocket,
  replayOf,
  type WebSocket,
} from "./private-fields-ws.js";

/** How long a client may take to come to rest: a message is being inflated, or a namespace connected. */
const QUIET_MS = 1_000;
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

  get socket(): Duplex | undefined {
    return rawSocketOf(this.#connection);
  }

  get obstacle(): MoveObstacle | undefined {
    if (transportNameOf(this.#connection) === "polling") return "polling";
    const webSocket = webSocketOf(this.#connection);
    if (!webSocket) return "transport";
    if ((this.socket as { encrypted?: boolean } | undefined)?.encrypted) return "tls";
    if (!inflatesAnew(webSocket)) return "compression";
    const sockets = this.#sockets;
    if (!sockets.every((socket) => canRecover(socket) && movesOf(socket))) return "recovery";
    return sockets.every(isEncodable) ? undefined : "data";
  }

  async depart(workerId: number): Promise<Uint8Array | undefined> {
    const webSocket = webSocketOf(this.#connection);
    if (!this.#client || !webSocket || !isOpenWebSocket(webSocket)) return undefined;
    if (departing.has(this.#connection)) return undefined;
    departing.add(this.#connection);
    webSocket.pause();
    const isQuiet = await this.#becomesQuiet(webSocket);
    const sockets = this.#sockets;
    if (!isQuiet || sockets.length === 0) return this.#stay(webSocket);
    const given = await Promise.all(sockets.map((socket) => movesOf(socket)?.out.start(socket, workerId)));
    if (!given.some(Boolean)) return this.#stay(webSocket);
    if (given.every(Boolean) && (await this.#isPushedOut(webSocket))) {
      const state = this.#pack(this.#client, webSocket, sockets);
      if (state) return state;
    }
    // Some of its namespaces are the other worker's, so it can only come back as a whole.
    this.onLost();
    cut(this.#connection);
    return undefined;
  }

  onLeft(): void {
    for (const socket of this.#sockets) emitLocally(socket, "handover");
    endMoved(this.#connection);
  }

  onLost(): void {
    for (const socket of this.#sockets) movesOf(socket)?.lost(socket.id);
  }

  close(): void {
    if (isOpenConnection(this.#connection)) closeWith(this.#connection, SERVICE_RESTART, "service restart");
  }

  get #sockets(): Socket[] {
    return this.#client ? socketsOf(this.#client) : [];
  }

  #stay(webSocket: WebSocket): undefined {
    departing.delete(this.#connection);
    if (isOpenWebSocket(webSocket)) webSocket.resume();
  }

  /** Waits until nothing of what has come is at work. */
  async #becomesQuiet(webSocket: WebSocket): Promise<boolean> {
    const isQuiet = () =>
      isSettled(this.#connection) &&
      !isConnecting(this.#io, this.#connection) &&
      hasSent(webSocket) &&
      replayOf(webSocket) !== undefined;
    if (!(await this.#until(isQuiet))) return false;
    // What has just been parsed is given to the application a tick later.
    await nextTurn();
    return isQuiet();
  }

  /** Gives everything that has been written to the TCP socket. */
  #isPushedOut(webSocket: WebSocket): Promise<boolean> {
    return this.#until(() => {
      pushOut(this.#connection);
      return hasSent(webSocket);
    });
  }

  /** Compression and the like are done in other threads: in between, the event loop must turn. */
  async #until(isDone: () => boolean): Promise<boolean> {
    const deadline = performance.now() + QUIET_MS;
    while (isOpenConnection(this.#connection)) {
      if (isDone()) return true;
      if (performance.now() > deadline) return false;
      await nextTurn();
    }
    return false;
  }

  #pack(client: Client, webSocket: WebSocket, sockets: readonly Socket[]): Uint8Array | undefined {
    const replay = replayOf(webSocket);
    if (!replay || !isOpenWebSocket(webSocket)) return undefined;
    const state = encodeClient({
      connection: takeConnectionState(this.#connection, deflateParamsOf(webSocket)),
      replay,
      half: halfPacketOf(client),
      sockets: sockets.map(stateOf),
    });
    forgetConnection(client);
    return state;
  }
}

function stateOf(socket: Socket): SocketState {
  return {
    namespace: socket.nsp.name,
    sid: socket.id,
    privateId: privateIdOf(socket),
    handshake: plainHandshake(socket.handshake),
    acks: movesOf(socket)?.acksOf(socket) ?? [],
  };
}

function movesOf({ nsp }: Socket): Moves | undefined {
  return nsp.adapter instanceof HoldfastAdapter ? nsp.adapter.moves : undefined;
}

function isEncodable({ data, handshake }: Socket): boolean {
  try {
    packValue([data, plainHandshake(handshake)]);
    return true;
  } catch {
    return false;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
