/**
 * Recoverable packets of this worker that the hub has not placed yet, and what has to wait for them. Listeners of the
 * application run in that; whatever one throws, the queue goes on.
 * Owns: the queue. Runs in: workers. Knows nothing of Socket.IO's sockets; callers pass in what to do.
 *
 * A packet is delivered here only when the hub says where it stands among all others. The application must
 * not notice that: who gets a packet is decided when it is made, not when it is placed, and whatever this
 * worker sends later, in whatever way, goes after it.
 */
import type { BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import { runApplication } from "../faults.js";
import type { PreparedPacket } from "./prepared-packet.js";

export interface Unplaced {
  readonly packet: PreparedPacket;
  readonly rooms: ReadonlySet<Room>;
  readonly except: ReadonlySet<Room>;
  readonly flags: BroadcastFlags;
  /** For sockets that changed rooms since: whether the packet is for them. */
  decided: Map<SocketId, boolean> | undefined;
}

/**
 * unplaced: a packet that the hub has not placed. following: a packet that is not to be placed; it is delivered when it
 * is at the front. waiting: something else that is run then.
 *
 * unplaced → gone (placed, or there is no hub any more: delivered; refused: dropped). following and waiting → gone, when
 * nothing unplaced is before them: they never stand at the front for long
 */
type Item =
  | { readonly state: "unplaced"; readonly record: Unplaced }
  | { readonly state: "following"; readonly record: Unplaced; deliver(record: Unplaced): void }
  | {
      readonly state: "waiting";
      /** Whose order it keeps, without those for whom it has run. */
      readonly sids: Set<SocketId>;
      run(sids: ReadonlySet<SocketId>): void;
    };

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
    this.#items.push({ state: "unplaced", record });
  }

  /** A packet that is not to be placed, and keeps its place behind those that are. */
  follow(record: Unplaced, deliver: (record: Unplaced) => void): void {
    if (this.isEmpty) deliver(record);
    else this.#items.push({ state: "following", record, deliver });
  }

  /**
   * Runs `run` for these sockets when everything before it has been placed: at once, if nothing waits. For a
   * socket that is closed by the server it runs before that.
   */
  after(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    if (this.isEmpty) run(sids);
    else this.#items.push({ state: "waiting", sids: new Set(sids), run });
  }

  /**
   * Call before a socket joins or leaves rooms: packets that were made before go by the rooms that it is in
   * now.
   */
  decide(sid: SocketId): void {
    if (this.isEmpty) return;
    for (const item of this.#items) {
      if (item.state === "waiting" || item.record.decided?.has(sid)) continue;
      item.record.decided ??= new Map();
      item.record.decided.set(sid, this.#isFor(item.record, sid));
    }
  }

  /** Whether there is something for the socket that has not been written yet. */
  concerns(sid: SocketId): boolean {
    return this.#items.some((item) =>
      item.state === "waiting" ? item.sids.has(sid) : this.#goesTo(item.record, sid),
    );
  }

  /** The hub has placed the oldest packet. */
  placed(deliver: (record: Unplaced) => void): void {
    const item = this.#items.shift();
    if (item?.state !== "unplaced") return;
    runApplication(() => deliver(item.record));
    this.#runFront();
  }

  /** The packet will not be placed: it never got to the hub. */
  remove(record: Unplaced): void {
    const at = this.#items.findIndex((item) => item.state === "unplaced" && item.record === record);
    if (at === -1) return;
    this.#items.splice(at, 1);
    this.#runFront();
  }

  /** The socket is about to be closed by the server: what is for it goes to it now, in order. */
  flush(sid: SocketId, write: (record: Unplaced) => void): void {
    for (const item of [...this.#items]) {
      if (item.state === "waiting") {
        if (item.sids.delete(sid)) runApplication(() => item.run(new Set([sid])));
      } else if (this.#goesTo(item.record, sid)) {
        runApplication(() => write(item.record));
        item.record.decided ??= new Map();
        item.record.decided.set(sid, false);
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
    for (let item = this.#items[0]; item && item.state !== "unplaced"; item = this.#items[0]) {
      this.#items.shift();
      runApplication(() => this.#runItem(item));
    }
  }

  #runItem(item: Exclude<Item, { readonly state: "unplaced" }>): void {
    if (item.state === "following") item.deliver(item.record);
    else if (item.sids.size > 0) item.run(item.sids);
  }
}
