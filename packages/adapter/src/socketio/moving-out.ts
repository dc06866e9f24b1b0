/**
 * Sockets of one namespace whose clients move to another worker, and what is left of them here.
 * Owns: the departures, and the ghosts with their timers. Runs in: workers.
 *
 * From the moment that a session is given away, everything that this worker itself does to the socket goes through the
 * hub to the other worker. What others have sent comes here until the cut, which the hub makes, and there from then on.
 */
import type { Namespace, Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import type { LiveSessions } from "./live-sessions.js";
import type { MovePort } from "./move-port.js";
import { PreparedPacket } from "./prepared-packet.js";
import { acknowledge, becomeGhost, type Packet, removeMoved, wantsAck } from "./private-fields.js";

/** How long what was left behind may still answer and be answered. */
const GHOST_MS = 10_000;

/**
 * leaving: the hub was asked to give the session away. gone: it has, and the socket is a ghost. stayed: it has not.
 *
 * leaving → gone; leaving → stayed (the hub could not, or its link is lost)
 */
interface Departure {
  state: "leaving" | "gone" | "stayed";
  readonly socket: Socket;
  /** The session is this worker's again. */
  stay(): void;
  /** The socket is one like others again. */
  undoGhost(): void;
  settle(isGone: boolean): void;
}

interface Ghost {
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
}

export interface MovingOutHooks {
  /** The sessions of this worker. */
  live(): LiveSessions | undefined;
  /** Writes what is held for a socket. */
  flush(sid: SocketId): void;
}

export class MovingOut {
  readonly #nsp: Namespace;
  readonly #port: MovePort;
  readonly #hooks: MovingOutHooks;
  readonly #byHandle = new Map<number, Departure>();
  readonly #leaving = new Map<SocketId, Departure>();
  readonly #ghosts = new Map<SocketId, Ghost>();

  constructor(nsp: Namespace, port: MovePort, hooks: MovingOutHooks) {
    this.#nsp = nsp;
    this.#port = port;
    this.#hooks = hooks;
  }

  /**
   * Gives a socket's session to another worker.
   * @returns whether it has it; when this settles, everything that was for the socket before has been written
   */
  start(socket: Socket, workerId: number): Promise<boolean> {
    const session = this.#hooks.live()?.moveOut(socket.id);
    if (!session) return Promise.resolve(false);
    return new Promise((settle) => {
      const { handle, stay } = session;
      const undoGhost = becomeGhost(socket, this.#ghostOf(socket.id));
      const departure: Departure = { state: "leaving", socket, stay, undoGhost, settle };
      this.#byHandle.set(handle, departure);
      this.#leaving.set(socket.id, departure);
      this.#keepGhost(socket);
      if (!this.#port.move(handle, workerId)) this.#end(handle, departure, "stayed");
    });
  }

  /** The hub has answered. */
  onCut(handle: number, moves: boolean): void {
    const departure = this.#byHandle.get(handle);
    if (departure) this.#end(handle, departure, moves ? "gone" : "stayed");
  }

  onUnlinked(): void {
    for (const [handle, departure] of this.#byHandle) this.#end(handle, departure, "stayed");
  }

  /** Whether sessions are being given away. */
  get isBusy(): boolean {
    return this.#leaving.size > 0;
  }

  /** Whether the session is being given away, so that what this worker sends reaches it through the hub. */
  isLeaving(sid: SocketId): boolean {
    return this.#leaving.has(sid);
  }

  /** What a packet of this worker is for none of: those that get it through the hub. */
  get excluded(): Map<SocketId, boolean> | undefined {
    if (this.#leaving.size === 0) return undefined;
    return new Map([...this.#leaving.keys()].map((sid) => [sid, false]));
  }

  /** Does something to this worker's sockets that the others do to those that leave. */
  without<T>(work: () => T): T {
    if (this.#leaving.size === 0) return work();
    const { sockets } = this.#nsp;
    for (const sid of this.#leaving.keys()) sockets.delete(sid);
    try {
      return work();
    } finally {
      for (const [sid, { socket }] of this.#leaving) sockets.set(sid, socket);
    }
  }

  /**
   * Sends a packet that wants an acknowledgement to the client of a socket that was left behind.
   * @param rooms whom it is for
   * @returns whether it was for one of those
   */
  forward(packet: Packet, rooms: ReadonlySet<Room>): boolean {
    if (this.#ghosts.size === 0 || rooms.size !== 1) return false;
    const [sid] = rooms as ReadonlySet<SocketId>;
    if (sid === undefined || !this.#ghosts.has(sid)) return false;
    this.#forward(sid, packet);
    return true;
  }

  /** The client of a ghost has acknowledged a packet. */
  onAck(sid: SocketId, id: number, args: unknown[]): void {
    const ghost = this.#ghosts.get(sid);
    if (ghost) acknowledge(ghost.socket, id, args);
  }

  close(): void {
    this.onUnlinked();
    for (const { timer } of this.#ghosts.values()) clearTimeout(timer);
    this.#ghosts.clear();
  }

  #forward(sid: SocketId, packet: Packet): void {
    // An acknowledgement has the number of what it answers.
    const id = wantsAck(packet) ? packet.id : undefined;
    this.#port.forward(sid, PreparedPacket.encode(this.#nsp, packet), id);
  }

  #ghostOf(sid: SocketId): Parameters<typeof becomeGhost>[1] {
    const itself = () => this.#nsp.in(sid);
    return {
      join: (rooms) => itself().socketsJoin(rooms),
      leave: (room) => itself().socketsLeave(room),
      disconnect: (close) => itself().disconnectSockets(close),
      write: (packet) => this.#forward(sid, packet),
    };
  }

  #keepGhost(socket: Socket): void {
    const timer = setTimeout(() => this.#ghosts.delete(socket.id), GHOST_MS).unref();
    this.#dropGhost(socket.id);
    this.#ghosts.set(socket.id, { socket, timer });
  }

  #dropGhost(sid: SocketId): void {
    clearTimeout(this.#ghosts.get(sid)?.timer);
    this.#ghosts.delete(sid);
  }

  #end(handle: number, departure: Departure, state: "gone" | "stayed"): void {
    const { socket } = departure;
    departure.state = state;
    this.#byHandle.delete(handle);
    this.#leaving.delete(socket.id);
    if (state === "gone") {
      this.#hooks.flush(socket.id);
      removeMoved(socket);
    } else {
      this.#dropGhost(socket.id);
      departure.undoGhost();
      // It may have been closed meanwhile; then the hub does not have the session any more.
      if (socket.connected) departure.stay();
    }
    departure.settle(state === "gone");
  }
}
