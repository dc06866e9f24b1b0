/**
 * Recoverable packets of this worker that the hub has not placed yet, and what has to wait for them.
 * Owns: the queue. Runs in: workers. Knows nothing of Socket.IO's sockets; callers pass in what to do.
 *
 * A packet is delivered here only when the hub says where it stands among all others. The application must
 * not notice that: who gets a packet is decided when it is made, not when it is placed, and whatever this
 * worker sends later, in whatever way, goes after it.
 */
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import type { PreparedPacket } from "./prepared-packet.js";

export interface Unplaced {
  readonly packet: PreparedPacket;
  readonly rooms: Set<Room>;
  readonly except: Set<Room>;
  readonly flags: BroadcastFlags;
  /** For sockets that changed rooms since: whether the packet is for them. */
  decided: Map<SocketId, boolean> | undefined;
}

interface Waiting {
  /** Whose order it keeps, without those for whom it has run. */
  readonly sids: Set<SocketId>;
  run(sids: ReadonlySet<SocketId>): void;
}

/** `deliver` is set where the hub places nothing: it runs when everything before has been placed. */
type Item = { record: Unplaced; deliver?: (record: Unplaced) => void } | { waiting: Waiting };

export class InFlight {
  readonly #isFor: (record: Unplaced, sid: SocketId) => boolean;
  #items: Item[] = [];

  /** @param isFor whether the packet is for the socket, by the rooms that it is in now */
  constructor(isFor: (record: Unplaced, sid: SocketId) => boolean) {
    this.#isFor = isFor;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  push(record: Unplaced): void {
    this.#items.push({ record });
  }

  /** A packet that is not to be placed, and keeps its place behind those that are. */
  follow(record: Unplaced, deliver: (record: Unplaced) => void): void {
    if (this.isEmpty) deliver(record);
    else this.#items.push({ record, deliver });
  }

  /**
   * Runs `run` for these sockets when everything before it has been placed: at once, if nothing waits. For a
   * socket that is closed by the server it runs before that.
   */
  after(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    if (this.isEmpty) run(sids);
    else this.#items.push({ waiting: { sids: new Set(sids), run } });
  }

  /**
   * Call before a socket joins or leaves rooms: packets that were made before go by the rooms that it is in
   * now.
   */
  decide(sid: SocketId): void {
    if (this.isEmpty) return;
    for (const item of this.#items) {
      if (!("record" in item) || item.record.decided?.has(sid)) continue;
      item.record.decided ??= new Map();
      item.record.decided.set(sid, this.#isFor(item.record, sid));
    }
  }

  /** Whether a packet that is not placed yet is for the socket. */
  concerns(sid: SocketId): boolean {
    return this.#items.some((item) => "record" in item && this.#goesTo(item.record, sid));
  }

  /** The hub has placed the oldest packet. */
  placed(deliver: (record: Unplaced) => void): void {
    const item = this.#items.shift();
    // What waits, or follows, never stands in front: it has run by then.
    if (!item || !("record" in item)) return;
    try {
      deliver(item.record);
    } finally {
      this.#runFront();
    }
  }

  /** The packet will not be placed: it never got to the hub. */
  remove(record: Unplaced): void {
    const at = this.#items.findIndex((item) => "record" in item && item.record === record);
    if (at === -1) return;
    this.#items.splice(at, 1);
    this.#runFront();
  }

  /** The socket is about to be closed by the server: what is for it goes to it now, in order. */
  flush(sid: SocketId, write: (record: Unplaced) => void): void {
    for (const item of [...this.#items]) {
      if ("record" in item) {
        if (!this.#goesTo(item.record, sid)) continue;
        write(item.record);
        item.record.decided ??= new Map();
        item.record.decided.set(sid, false);
      } else if (item.waiting.sids.delete(sid)) {
        item.waiting.run(new Set([sid]));
      }
    }
  }

  /** There is no hub any more: everything is delivered now. */
  drain(deliver: (record: Unplaced) => void): void {
    while (!this.isEmpty) this.placed(deliver);
  }

  clear(): void {
    this.#items = [];
  }

  #goesTo(record: Unplaced, sid: SocketId): boolean {
    return record.decided?.get(sid) ?? this.#isFor(record, sid);
  }

  #runFront(): void {
    for (let item = this.#items[0]; item && !isToBePlaced(item); item = this.#items[0]) {
      this.#items.shift();
      if ("record" in item) item.deliver?.(item.record);
      else if (item.waiting.sids.size > 0) item.waiting.run(item.waiting.sids);
    }
  }
}

function isToBePlaced(item: Item): boolean {
  return "record" in item && !item.deliver;
}
