/**
 * Sessions on their way to this worker: from the client's question to the connected socket.
 * Owns: one entry each, with the packets that its client has missed and those that come meanwhile.
 * Runs in: workers. Knows the hub's answers and Socket.IO's sockets, nothing of links.
 */
import type { Namespace } from "socket.io";
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import { OFFSET_BYTES } from "../wire/offset.js";
import { unpackValue } from "../wire/values.js";
import type { PreparedPacket } from "./prepared-packet.js";
import { abandonSocket, connectingSocket } from "./private-fields.js";
import type { RecoveryPort, Restored } from "./recovery-port.js";

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
 * asked: the hub has not answered. given: it has; the socket does not exist yet. making: the socket has
 * joined its rooms, the middlewares may be running.
 *
 * asked → given → making → gone (connected); given → asked (the link was lost); any state → gone (declined,
 * fenced, rejected; or, while making, the link was lost)
 */
interface Restore {
  readonly handle: number;
  readonly privateId: string;
  readonly offset: string;
  /** When the client gets a new session instead. */
  readonly deadline: number;
  /** How often the hub was asked; only the last answer counts. */
  attempts: number;
  state: "asked" | "given" | "making";
  readonly resolve: (session: RestoredSession | null) => void;
  restored: Restored | undefined;
  packets: { packet: PreparedPacket; flags: BroadcastFlags }[];
}

/** A restored session whose socket is about to say CONNECT, and what follows. */
export interface Arrival {
  readonly handle: number;
  readonly data: Uint8Array;
  readonly packets: readonly { packet: PreparedPacket; flags: BroadcastFlags }[];
}

export class Restores {
  readonly #nsp: Namespace;
  readonly #port: RecoveryPort;
  readonly #timeoutMs: number;
  readonly #byHandle = new Map<number, Restore>();
  readonly #bySid = new Map<SocketId, Restore>();
  /** The next frames of this link are what this one has missed. */
  #replay: { readonly restore: Restore | undefined; left: number } | undefined;

  constructor(nsp: Namespace, port: RecoveryPort, timeoutMs: number) {
    this.#nsp = nsp;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
  }

  get isEmpty(): boolean {
    return this.#bySid.size === 0;
  }

  /** @param privateId as the client gave it, like `offset` */
  ask(privateId: string, offset: string): Promise<RestoredSession | null> {
    if (offset.length !== OFFSET_BYTES || privateId.length > MAX_ID_CHARS) return Promise.resolve(null);
    return new Promise((resolve) => {
      const restore: Restore = {
        handle: this.#port.nextHandle(),
        privateId,
        offset,
        deadline: Date.now() + this.#timeoutMs,
        attempts: 0,
        state: "asked",
        resolve,
        restored: undefined,
        packets: [],
      };
      this.#byHandle.set(restore.handle, restore);
      this.#ask(restore);
    });
  }

  #ask(restore: Restore): void {
    const { handle, privateId, offset, deadline } = restore;
    if (this.#byHandle.get(handle) !== restore) return;
    const attempt = ++restore.attempts;
    this.#port.restore(handle, privateId, offset, Math.max(1, deadline - Date.now()), (error) => {
      if (error && restore.attempts === attempt) this.#drop(restore);
    });
  }

  /** The hub has answered; `restored` is undefined when there is no such session. */
  onAnswer(handle: number, restored: Restored | undefined): void {
    const restore = this.#byHandle.get(handle);
    if (!restored) {
      if (restore) this.#drop(restore);
      return;
    }
    if (restore) {
      restore.state = "given";
      restore.restored = restored;
      this.#bySid.set(restored.sid, restore);
    } else {
      // Nobody waits any more: the client has a new session by now.
      this.#port.sessionEnd(handle, true);
    }
    this.#replay = { restore, left: restored.missed };
    this.#endReplay();
  }

  /** Takes a packet if it is one that a restored session has missed. */
  takeMissed(packet: PreparedPacket, flags: BroadcastFlags): boolean {
    const replay = this.#replay;
    if (!replay) return false;
    replay.restore?.packets.push({ packet, flags });
    replay.left--;
    this.#endReplay();
    return true;
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

  /** Socket.IO has made the socket. */
  onMade(sid: SocketId): void {
    const restore = this.#bySid.get(sid);
    if (restore) restore.state = "making";
  }

  /** The socket is connected: what has waited for it belongs to the caller now. */
  arrive(sid: SocketId): Arrival | undefined {
    const restore = this.#bySid.get(sid);
    if (!restore?.restored) return undefined;
    this.#remove(restore);
    return { handle: restore.handle, data: restore.restored.data, packets: restore.packets };
  }

  /** The socket has gone before it was connected: its client may try again. */
  abandon(sid: SocketId): void {
    const restore = this.#bySid.get(sid);
    if (!restore) return;
    this.#remove(restore);
    this.#port.sessionEnd(restore.handle, true);
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
   * given, so it is asked again, when this worker has joined again. While there is none, the answer is no.
   */
  onUnlinked(): void {
    this.#replay = undefined;
    for (const restore of [...this.#byHandle.values()]) {
      if (restore.state === "making") continue;
      this.#unname(restore);
      restore.state = "asked";
      restore.restored = undefined;
      restore.packets = [];
      // A failure of the earlier question no longer counts.
      restore.attempts++;
      // After the change of the member's state, which says whether the question waits for a hub.
      queueMicrotask(() => this.#ask(restore));
    }
  }

  /**
   * There is a new link. The sockets that are being made of what came over the earlier one lack what was
   * placed meanwhile, and the hub has taken their sessions back: their clients have to ask again.
   */
  onOpened(): void {
    for (const restore of [...this.#byHandle.values()]) {
      if (restore.state === "making") this.#giveUp(restore);
    }
  }

  close(): void {
    this.#replay = undefined;
    for (const restore of [...this.#byHandle.values()]) this.#drop(restore);
  }

  #endReplay(): void {
    const replay = this.#replay;
    if (!replay || replay.left > 0) return;
    this.#replay = undefined;
    const { restore } = replay;
    // After what has come in the same chunk: it may be a fence.
    if (restore) queueMicrotask(() => this.#give(restore));
  }

  #give({ state, resolve, privateId, restored, handle }: Restore): void {
    if (state !== "given" || !restored || !this.#byHandle.has(handle)) return;
    resolve({
      sid: restored.sid,
      pid: privateId,
      rooms: [...restored.rooms],
      data: restored.data.length > 0 ? unpackValue(restored.data) : {},
      missedPackets: [],
    });
  }

  #drop(restore: Restore): void {
    this.#remove(restore);
    restore.resolve(null);
  }

  #giveUp(restore: Restore): void {
    this.#drop(restore);
    const sid = restore.restored?.sid ?? "";
    const socket = restore.state === "making" ? connectingSocket(this.#nsp, sid) : undefined;
    if (socket) abandonSocket(socket);
  }

  #remove(restore: Restore): void {
    this.#byHandle.delete(restore.handle);
    this.#unname(restore);
  }

  #unname(restore: Restore): void {
    const sid = restore.restored?.sid;
    if (sid !== undefined && this.#bySid.get(sid) === restore) this.#bySid.delete(sid);
  }
}
