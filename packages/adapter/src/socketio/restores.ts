/**
 * Sessions on their way to this worker: from the client's question to the connected socket.
 * Owns: one entry each, with the packets that its client has missed and those that come meanwhile.
 * Runs in: workers. Knows the hub's answers and Socket.IO's sockets, nothing of links.
 *
 * Longer than other files: the moves between the states of a restore are read together.
 */
import type { Namespace } from "socket.io";
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import { machineTime } from "../wire/machine-time.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import { unpackValue } from "../wire/values.js";
import type { PreparedPacket } from "./prepared-packet.js";
import { abandonSocket, type Connection, connectingSocket, onClosed } from "./private-fields.js";
import type { MissedHead, RecoveryPort, Restored, RestoredHead } from "./recovery-port.js";

/** Socket.IO's ids have 20; a client may send anything. */
const MAX_ID_CHARS = 100;

/** What Socket.IO makes a socket of. */
export interface RestoredSession {
  readonly sid: SocketId;
  readonly pid: string;
  readonly rooms: Room[];
  readonly data: unknown;
  /** Always empty: the adapter writes them itself, as they are encoded already. */
  readonly missedPackets: unknown[][];
}

/**
 * waiting: no hub knows the namespace, and one is looked for. asked: the hub has the question; some of what was
 * missed may have come. given: the hub has given the session, and all that was missed is here. making: Socket.IO
 * has the session and makes the socket; middlewares may be running. over: the socket is connected, or there is none.
 *
 * waiting → asked → given → making → over; asked and given → waiting (the link is lost); waiting → over (there is no
 * hub); asked → over (there is no such session); given → over (its data cannot be read); waiting and asked → over (the
 * client is gone); making → over (the socket is gone; or there is a new link, and what was placed in between is
 * missing); any state → over (the session is wanted elsewhere; or the namespace is closed)
 */
type RestoreState = "waiting" | "asked" | "given" | "making" | "over";

interface Restore {
  readonly handle: number;
  readonly privateId: string;
  readonly offset: string;
  /** When the client asked. */
  readonly askedAt: number;
  state: RestoreState;
  /** Has the one who asked look at the state. */
  settle: () => void;
  /** Stops listening to the client's connection. */
  release: () => void;
  restored: Restored | undefined;
  packets: MissedPacket[];
}

export interface MissedPacket {
  readonly packet: PreparedPacket;
  readonly flags: BroadcastFlags;
}

/** A restored session whose socket is about to say CONNECT, and what follows. */
export interface Arrival {
  readonly handle: number;
  readonly data: Uint8Array;
  readonly packets: readonly MissedPacket[];
}

/** The next frames of this link are what a session has missed. */
interface Replay {
  /** Undefined when nobody waits for it any more. */
  readonly restore: Restore | undefined;
  left: number;
  readonly isLast: boolean;
}

export class Restores {
  readonly #nsp: Namespace;
  readonly #port: RecoveryPort;
  readonly #onError: (error: HoldfastError) => void;
  readonly #byHandle = new Map<number, Restore>();
  /** Those that are given or making. */
  readonly #bySid = new Map<SocketId, Restore>();
  #replay: Replay | undefined;
  #state: "open" | "closed" = "open";

  constructor(nsp: Namespace, port: RecoveryPort, onError: (error: HoldfastError) => void) {
    this.#nsp = nsp;
    this.#port = port;
    this.#onError = onError;
  }

  /** Whether no session is here and not connected yet. */
  get isEmpty(): boolean {
    return this.#bySid.size === 0;
  }

  /** Whether no session is asked for or on its way. */
  get isIdle(): boolean {
    return this.#byHandle.size === 0;
  }

  /**
   * Gets a session for a client; as long as its connection is open, it waits.
   * @param privateId as the client gave it, like `offset`
   */
  async ask(
    privateId: string,
    offset: string,
    connection: Connection | undefined,
  ): Promise<RestoredSession | null> {
    const isPossible = offset.length === OFFSET_BYTES && privateId.length <= MAX_ID_CHARS;
    if (!isPossible || this.#state === "closed" || !this.#port.mayOpen) return null;
    const restore = this.#add(privateId, offset);
    if (connection) restore.release = onClosed(connection, () => this.#withdraw(restore));
    if (this.#port.isOpen) this.#send(restore);
    while (restore.state === "waiting" || restore.state === "asked") {
      // When this goes on, more may have happened than what has ended the wait: the state says what holds now.
      await new Promise<void>((resolve) => {
        restore.settle = resolve;
      });
    }
    return this.#take(restore);
  }

  #add(privateId: string, offset: string): Restore {
    const restore: Restore = {
      handle: this.#port.nextHandle(),
      privateId,
      offset,
      askedAt: machineTime(),
      state: "waiting",
      settle: () => {},
      release: () => {},
      restored: undefined,
      packets: [],
    };
    this.#byHandle.set(restore.handle, restore);
    return restore;
  }

  #send(restore: Restore): void {
    restore.state = "asked";
    this.#port.restore(restore.handle, restore.askedAt, restore.privateId, restore.offset);
  }

  /** Hands a session that was given to Socket.IO. */
  #take(restore: Restore): RestoredSession | null {
    const { state, privateId, restored } = restore;
    if (state !== "given" || !restored) return null;
    try {
      const data = restored.data.length > 0 ? unpackValue(restored.data) : {};
      restore.state = "making";
      restore.release();
      return { sid: restored.sid, pid: privateId, rooms: [...restored.rooms], data, missedPackets: [] };
    } catch (error) {
      // It would not come back whole: the client gets a new session.
      this.#end(restore);
      this.#port.sessionEnd(restore.handle, false);
      this.#onError(error as HoldfastError);
      return null;
    }
  }

  /** A part of what a session has missed follows. */
  onMissed({ handle, count }: MissedHead): void {
    this.#begin({ restore: this.#byHandle.get(handle), left: count, isLast: false });
  }

  /** The hub has answered. */
  onAnswer({ handle, restored, count }: RestoredHead): void {
    const restore = this.#byHandle.get(handle);
    if (!restored) {
      if (restore) this.#end(restore);
      return;
    }
    if (restore) restore.restored = restored;
    // Nobody waits any more: the client has gone.
    else this.#port.sessionEnd(handle, true);
    this.#begin({ restore, left: count, isLast: true });
  }

  /** Takes a packet if it is one that a session has missed. */
  takeMissed(packet: PreparedPacket, flags: BroadcastFlags): boolean {
    const replay = this.#replay;
    if (!replay) return false;
    replay.restore?.packets.push({ packet, flags });
    replay.left--;
    this.#endReplay(replay);
    return true;
  }

  #begin(replay: Replay): void {
    this.#replay = replay;
    this.#endReplay(replay);
  }

  #endReplay({ restore, left, isLast }: Replay): void {
    if (left > 0) return;
    this.#replay = undefined;
    if (!isLast || restore?.state !== "asked" || !restore.restored) return;
    restore.state = "given";
    this.#bySid.set(restore.restored.sid, restore);
    restore.settle();
  }

  /** Keeps a packet for the sessions that it is for and that have no connected socket yet. */
  offer(
    packet: PreparedPacket,
    flags: BroadcastFlags,
    isFor: (sid: SocketId, rooms: ReadonlySet<Room>) => boolean,
  ): void {
    for (const [sid, { packets, restored }] of this.#bySid) {
      if (restored && isFor(sid, restored.rooms)) packets.push({ packet, flags });
    }
  }

  has(sid: SocketId): boolean {
    return this.#bySid.has(sid);
  }

  /** The socket is connected: what has waited for it belongs to the caller now. */
  arrive(sid: SocketId): Arrival | undefined {
    const restore = this.#bySid.get(sid);
    if (restore?.state !== "making" || !restore.restored) return undefined;
    this.#end(restore);
    return { handle: restore.handle, data: restore.restored.data, packets: restore.packets };
  }

  /** The socket has gone before it was connected: its client may try again. */
  abandon(sid: SocketId): void {
    const restore = this.#bySid.get(sid);
    if (restore) this.#letGo(restore);
  }

  /** The session is wanted elsewhere. @returns whether it was one of these */
  fence(handle: number): boolean {
    const restore = this.#byHandle.get(handle);
    if (!restore) return false;
    this.#giveUp(restore);
    this.#port.sessionEnd(handle, true);
    return true;
  }

  /**
   * The link is gone, and with it the answers and packets that were to come. The hub takes back what it has
   * given, so it is asked again when there is a new link.
   */
  onUnlinked(): void {
    this.#replay = undefined;
    for (const restore of this.#byHandle.values()) {
      if (restore.state !== "asked" && restore.state !== "given") continue;
      this.#unname(restore);
      restore.state = "waiting";
      restore.restored = undefined;
      restore.packets = [];
    }
  }

  /**
   * The hub knows the namespace. Sockets that are being made of what came over an earlier link lack what was
   * placed meanwhile, and the hub has taken their sessions back: their clients have to ask again.
   */
  onOpened(): void {
    for (const restore of [...this.#byHandle.values()]) {
      if (restore.state === "making") this.#giveUp(restore);
      else if (restore.state === "waiting") this.#send(restore);
    }
  }

  /** There is no hub, and none is looked for: nobody has a session to give. */
  onNoHub(): void {
    for (const restore of [...this.#byHandle.values()]) {
      if (restore.state === "waiting") this.#end(restore);
    }
  }

  close(): void {
    this.#state = "closed";
    this.#replay = undefined;
    for (const restore of [...this.#byHandle.values()]) this.#end(restore);
  }

  /** The client is gone. */
  #withdraw(restore: Restore): void {
    if (restore.state === "waiting" || restore.state === "asked") this.#letGo(restore);
  }

  /** The hub may give the session to somebody else. */
  #letGo(restore: Restore): void {
    this.#end(restore);
    this.#port.sessionEnd(restore.handle, true);
  }

  #giveUp(restore: Restore): void {
    const { state, restored } = restore;
    this.#end(restore);
    const socket = state === "making" && restored ? connectingSocket(this.#nsp, restored.sid) : undefined;
    if (socket) abandonSocket(socket);
  }

  #end(restore: Restore): void {
    restore.state = "over";
    restore.release();
    this.#byHandle.delete(restore.handle);
    this.#unname(restore);
    restore.settle();
  }

  #unname(restore: Restore): void {
    const sid = restore.restored?.sid;
    if (sid !== undefined && this.#bySid.get(sid) === restore) this.#bySid.delete(sid);
  }
}
