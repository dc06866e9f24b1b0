/**
 * The sessions of this worker's sockets in one namespace, as the hub has to know them.
 * Owns: one entry for each socket, the listeners on connections, the timer of snapshots. Runs in: workers.
 *
 * Rooms are told as they change. `socket.data` has no events: it is looked at when the connection handlers
 * have run, when the socket is gone, and at most every second while the client sends something.
 */
import type { Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import { HoldfastError } from "../errors.js";
import { packValue } from "../wire/values.js";
import { onMessage, privateIdOf } from "./private-fields.js";
import type { RecoveryPort } from "./recovery-port.js";

const SNAPSHOT_MS = 1_000;

/**
 * fresh: connection handlers are running; data is looked at when they have run. quiet: the hub has the data as it was
 * when it was looked at last. touched: the client has sent something, or rooms have changed; data will be looked at.
 * over: the socket is gone.
 *
 * fresh → quiet → touched → quiet; fresh → touched; any state → over
 */
type LiveState = "fresh" | "quiet" | "touched" | "over";

interface LiveSession {
  state: LiveState;
  readonly handle: number;
  readonly socket: Socket;
  /** `socket.data` as the hub has it. */
  told: Uint8Array;
  /** Keys of `socket.data` that have no encoded form; each is reported once. */
  readonly refused: Set<string>;
  /** Stops listening to the connection. */
  readonly release: () => void;
}

export class LiveSessions {
  readonly #port: RecoveryPort;
  readonly #onError: (error: HoldfastError) => void;
  readonly #bySid = new Map<SocketId, LiveSession>();
  readonly #byHandle = new Map<number, LiveSession>();
  /** Those that have been put down as fresh, and as touched, since these were looked at. */
  #fresh: LiveSession[] = [];
  #touched: LiveSession[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(port: RecoveryPort, onError: (error: HoldfastError) => void) {
    this.#port = port;
    this.#onError = onError;
  }

  has(sid: SocketId): boolean {
    return this.#bySid.has(sid);
  }

  socketOf(handle: number): Socket | undefined {
    return this.#byHandle.get(handle)?.socket;
  }

  /** A socket has connected that continues no earlier session. */
  open(socket: Socket, rooms: ReadonlySet<Room>): void {
    const session = this.#add(this.#port.nextHandle(), socket, NOTHING);
    this.#port.sessionOpen(session.handle, privateIdOf(socket), socket.id, rooms);
  }

  /** A socket has connected whose session the hub gave to this worker. */
  adopt(handle: number, socket: Socket, rooms: ReadonlySet<Room>, data: Uint8Array): void {
    this.#add(handle, socket, data);
    this.#port.sessionRestored(handle, rooms);
  }

  changed(sid: SocketId, joined: boolean, rooms: ReadonlySet<Room>): void {
    const session = this.#bySid.get(sid);
    if (!session) return;
    this.#port.sessionRooms(session.handle, joined, rooms);
    this.#touch(session);
  }

  /** The socket is gone; its client may come back. */
  suspend(sid: SocketId, data: unknown, rooms: ReadonlySet<Room>): void {
    const session = this.#remove(sid);
    if (!session) return;
    this.#snapshot(session, data);
    this.#end(session, true, rooms);
  }

  /** The socket is gone for good. */
  forget(sid: SocketId): void {
    const session = this.#remove(sid);
    if (session) this.#end(session, false, NO_ROOMS);
  }

  #end(session: LiveSession, recoverable: boolean, rooms: ReadonlySet<Room>): void {
    const { handle } = session;
    if (this.#port.isOpen) return this.#port.sessionEnd(handle, recoverable);
    // The hub does not know that this worker has it; it will, if it is about to open the namespace.
    const last = new Set(rooms);
    this.#port.whenOpen(() => {
      this.#report(session, last);
      this.#port.sessionEnd(handle, recoverable);
    });
  }

  /** Tells a hub that knows nothing of them about all sessions. */
  report(roomsOf: (sid: SocketId) => ReadonlySet<Room>): void {
    for (const session of this.#bySid.values()) this.#report(session, roomsOf(session.socket.id));
  }

  #report(session: LiveSession, rooms: ReadonlySet<Room>): void {
    const { handle, socket, told } = session;
    try {
      this.#port.sessionOpen(handle, privateIdOf(socket), socket.id, rooms);
    } catch (error) {
      return this.#refuse(session, "rooms", error as Error);
    }
    if (told.length > 0) this.#tell(session);
  }

  get sockets(): Socket[] {
    return [...this.#bySid.values()].map(({ socket }) => socket);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const sid of [...this.#bySid.keys()]) this.#remove(sid);
  }

  #add(handle: number, socket: Socket, told: Uint8Array): LiveSession {
    const session: LiveSession = {
      state: "fresh",
      handle,
      socket,
      told,
      refused: new Set(),
      release: onMessage(socket, () => this.#touch(session)),
    };
    this.#bySid.set(socket.id, session);
    this.#byHandle.set(handle, session);
    if (this.#fresh.push(session) === 1) setImmediate(() => this.#lookAtFresh());
    return session;
  }

  #remove(sid: SocketId): LiveSession | undefined {
    const session = this.#bySid.get(sid);
    if (!session) return undefined;
    session.state = "over";
    session.release();
    this.#bySid.delete(sid);
    this.#byHandle.delete(session.handle);
    return session;
  }

  #lookAtFresh(): void {
    for (const session of this.#fresh.splice(0)) {
      if (session.state === "fresh") session.state = "quiet";
      this.#look(session);
    }
  }

  #touch(session: LiveSession): void {
    if (session.state === "touched" || session.state === "over") return;
    session.state = "touched";
    this.#touched.push(session);
    this.#timer ??= setTimeout(() => this.#lookAtTouched(), SNAPSHOT_MS).unref();
  }

  #lookAtTouched(): void {
    this.#timer = undefined;
    for (const session of this.#touched.splice(0)) {
      if (session.state === "touched") session.state = "quiet";
      this.#look(session);
    }
  }

  #look(session: LiveSession): void {
    if (session.state !== "over") this.#snapshot(session, session.socket.data);
  }

  #snapshot(session: LiveSession, data: unknown): void {
    const bytes = this.#encode(session, data);
    if (Buffer.compare(bytes, session.told) === 0) return;
    session.told = bytes;
    this.#tell(session);
  }

  #tell(session: LiveSession): void {
    try {
      this.#port.sessionData(session.handle, session.told);
    } catch (error) {
      this.#refuse(session, "socket.data", error as Error);
    }
  }

  #encode(session: LiveSession, data: unknown): Uint8Array {
    try {
      // A copy: what the encoder returns is a window on its own memory.
      return new Uint8Array(packValue(data));
    } catch (error) {
      return this.#encodeByKey(session, data, error as HoldfastError);
    }
  }

  /** What can be encoded; each key that cannot be is reported once. */
  #encodeByKey(session: LiveSession, data: unknown, cause: HoldfastError): Uint8Array {
    const kept: Record<string, unknown> = {};
    if (typeof data !== "object" || data === null) {
      this.#refuse(session, "socket.data", cause);
      return NOTHING;
    }
    for (const key of Object.keys(data)) {
      try {
        const value = (data as Record<string, unknown>)[key];
        packValue(value);
        kept[key] = value;
      } catch (error) {
        this.#refuse(session, `socket.data.${key}`, error as Error);
      }
    }
    try {
      return new Uint8Array(packValue(kept));
    } catch {
      return NOTHING;
    }
  }

  #refuse(session: LiveSession, what: string, cause: Error): void {
    if (session.refused.has(what)) return;
    session.refused.add(what);
    this.#onError(
      new HoldfastError(
        "HOLDFAST_ERR_UNSERIALIZABLE",
        `${what} of socket ${session.socket.id} cannot be kept for the client's return: ${cause.message}`,
        { cause },
      ),
    );
  }
}

const NOTHING = new Uint8Array(0);
const NO_ROOMS: ReadonlySet<Room> = new Set();
