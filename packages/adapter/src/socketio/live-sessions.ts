/**
 * The sessions of this worker's sockets in one namespace, as the hub has to know them.
 * Owns: one entry for each socket, the listeners on connections, the timer of snapshots. Runs in: workers.
 *
 * Rooms are told as they change. `socket.data` has no events: it is looked at when the connection handlers
 * have run, when the socket is gone, and at most every second while the client sends something.
 */
import type { Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import { HoldfastError, messageOf } from "../errors.js";
import { BytesMemo } from "../wire/bytes-memo.js";
import { packValue } from "../wire/values.js";
import { offMessage, onMessage, privateIdOf } from "./private-fields.js";
import type { RecoveryPort } from "./recovery-port.js";
import { nameField, sendableOf, ToldOnce } from "./sendable.js";

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
  /** What of it cannot be kept; mostly nothing. */
  refused: ToldOnce | undefined;
  readonly onMessage: () => void;
}

export class LiveSessions {
  readonly #port: RecoveryPort;
  readonly #onError: (error: HoldfastError) => void;
  readonly #bySid = new Map<SocketId, LiveSession>();
  readonly #byHandle = new Map<number, LiveSession>();
  readonly #data = new BytesMemo();
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
    this.#attempt(session, "rooms", () => {
      this.#port.sessionOpen(session.handle, privateIdOf(socket), socket.id, rooms);
    });
  }

  /** A socket has connected whose session the hub gave to this worker. */
  adopt(handle: number, socket: Socket, rooms: ReadonlySet<Room>, data: Uint8Array): void {
    const session = this.#add(handle, socket, data);
    this.#attempt(session, "rooms", () => this.#port.sessionRestored(handle, rooms));
  }

  changed(sid: SocketId, joined: boolean, rooms: ReadonlySet<Room>): void {
    const session = this.#bySid.get(sid);
    if (!session) return;
    this.#attempt(session, "rooms", () => this.#port.sessionRooms(session.handle, joined, rooms));
    this.#touch(session);
  }

  /** The socket is gone; its client may come back. */
  suspend(sid: SocketId, data: unknown, rooms: ReadonlySet<Room>): void {
    const session = this.#remove(sid);
    if (!session) return;
    this.#snapshot(session, () => data);
    this.#end(session, true, rooms);
  }

  /**
   * The session goes to another worker: nothing is told of it from now on, after what its data is at this moment.
   * @returns what the hub calls it, and what takes that back; undefined if the hub does not have it
   */
  moveOut(sid: SocketId): { readonly handle: number; stay(): void } | undefined {
    const session = this.#port.isOpen ? this.#bySid.get(sid) : undefined;
    if (!session) return undefined;
    this.#snapshot(session, () => session.socket.data);
    this.#remove(sid);
    const { handle, socket, told } = session;
    return { handle, stay: () => void this.#add(handle, socket, told) };
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
    const isOpen = this.#attempt(session, "rooms", () => {
      this.#port.sessionOpen(handle, privateIdOf(socket), socket.id, rooms);
    });
    if (isOpen && told.length > 0) this.#tell(session);
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
      refused: undefined,
      onMessage: () => this.#touch(session),
    };
    onMessage(socket, session.onMessage);
    this.#bySid.set(socket.id, session);
    this.#byHandle.set(handle, session);
    if (this.#fresh.push(session) === 1) setImmediate(() => this.#lookAtFresh());
    return session;
  }

  #remove(sid: SocketId): LiveSession | undefined {
    const session = this.#bySid.get(sid);
    if (!session) return undefined;
    session.state = "over";
    offMessage(session.socket, session.onMessage);
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
    if (this.#port.isBusy) {
      this.#timer = setTimeout(() => this.#lookAtTouched(), SNAPSHOT_MS).unref();
      return;
    }
    for (const session of this.#touched.splice(0)) {
      if (session.state === "touched") session.state = "quiet";
      this.#look(session);
    }
  }

  #look(session: LiveSession): void {
    const { socket } = session;
    if (session.state !== "over") this.#snapshot(session, () => socket.data);
  }

  #snapshot(session: LiveSession, read: () => unknown): void {
    const bytes = this.#encode(session, read);
    if (Buffer.compare(bytes, session.told) === 0) return;
    session.told = this.#data.keep(bytes);
    this.#tell(session);
  }

  #tell(session: LiveSession): void {
    this.#attempt(session, "data", () => this.#port.sessionData(session.handle, session.told));
  }

  #encode(session: LiveSession, read: () => unknown): Uint8Array {
    let bytes: Uint8Array = NOTHING;
    try {
      bytes = packValue(read(), this.#port.maxValueBytes);
    } catch {
      this.#attempt(session, "data", () => {
        bytes = this.#encodeByField(session, read);
      });
    }
    // In memory of its own: short buffers share theirs, and sessions live long.
    return new Uint8Array(bytes);
  }

  /** What can be encoded of `socket.data`. */
  #encodeByField(session: LiveSession, read: () => unknown): Uint8Array {
    const { maxValueBytes } = this.#port;
    const { value, refused } = sendableOf(read, maxValueBytes);
    for (const [field, cause] of refused) this.#refuse(session, nameField("data", field), cause);
    return packValue(value, maxValueBytes);
  }

  /** @returns whether it could be done; otherwise it has been reported */
  #attempt(session: LiveSession, what: string, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      this.#refuse(session, what, error);
      return false;
    }
  }

  #refuse(session: LiveSession, what: string, cause: unknown): void {
    session.refused ??= new ToldOnce();
    if (!session.refused.isNew(what)) return;
    const code = cause instanceof HoldfastError ? cause.code : "HOLDFAST_ERR_UNSERIALIZABLE";
    const message = `socket.${what} of socket ${session.socket.id} cannot be kept for the client's return: `;
    this.#onError(new HoldfastError(code, message + messageOf(cause), { cause }));
  }
}

const NOTHING = new Uint8Array(0);
const NO_ROOMS: ReadonlySet<Room> = new Set();
