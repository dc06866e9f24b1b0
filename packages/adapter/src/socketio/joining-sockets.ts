/**
 * Sockets of this worker that have joined rooms of which the hub may not know yet. A join counts from the call, so the
 * hub will send on what was placed for the room meanwhile; until it has said that it knows the room, what comes for
 * the socket is held, so that the socket gets everything in one order.
 * Owns: what is held. Runs in: workers. Knows nothing of Socket.IO's sockets; callers pass in what to do.
 */
import type { SocketId } from "socket.io-adapter";
import { runApplication } from "../faults.js";
import type { Orders } from "./orders.js";

/** Something for one socket. What carries an offset is ordered by it; the rest stays behind what it came after. */
interface Held {
  readonly offset: string | undefined;
  write(): void;
}

interface Joining {
  /** What settles when the hub knows the rooms that the socket joined last. */
  known: Promise<void>;
  /** Offset of the newest packet here when the socket joined: it has what was placed for it up to there. */
  readonly since: string;
  readonly held: Held[];
}

export class JoiningSockets {
  readonly #orders: Orders;
  readonly #workOff: (work: () => void) => void;
  readonly #bySid = new Map<SocketId, Joining>();
  /** The sockets that wait for the promise that was given last. */
  #last: { readonly known: Promise<void>; readonly sids: SocketId[] } | undefined;

  /** @param workOff gets the work on what was held to do, so that it can be put together */
  constructor(orders: Orders, workOff: (work: () => void) => void = (work) => work()) {
    this.#orders = orders;
    this.#workOff = workOff;
  }

  get isEmpty(): boolean {
    return this.#bySid.size === 0;
  }

  /**
   * The socket has joined rooms.
   * @param known settles, never rejects, when the hub knows them
   * @param newest offset of the newest packet that has been delivered here
   */
  add(sid: SocketId, known: Promise<void>, newest: string): void {
    const joining = this.#bySid.get(sid);
    if (joining?.known === known) return;
    if (joining) joining.known = known;
    else this.#bySid.set(sid, { known, since: newest, held: [] });
    if (this.#last?.known !== known) {
      const sids: SocketId[] = [];
      this.#last = { known, sids };
      void known.then(() => this.#workOff(() => this.#onKnown(known, sids)));
    }
    this.#last.sids.push(sid);
  }

  /** Sockets that a packet with this offset may be for: not those that joined when newer ones had been delivered. */
  *before(offset: string): IterableIterator<SocketId> {
    for (const [sid, { since }] of this.#bySid) if (this.#orders.isAfter(offset, since)) yield sid;
  }

  sids(): IterableIterator<SocketId> {
    return this.#bySid.keys();
  }

  /** Holds something for the socket; a packet that was placed before others goes before them. */
  hold(sid: SocketId, offset: string | undefined, write: () => void): void {
    const held = this.#bySid.get(sid)?.held;
    if (!held) return write();
    const later =
      offset === undefined
        ? -1
        : held.findIndex((one) => one.offset !== undefined && this.#orders.isAfter(one.offset, offset));
    if (later === -1) held.push({ offset, write });
    else held.splice(later, 0, { offset, write });
  }

  /** Whether something is held for the socket. */
  concerns(sid: SocketId): boolean {
    return (this.#bySid.get(sid)?.held.length ?? 0) > 0;
  }

  /** Runs `run` for these sockets: at once, or for each when what is held for it has gone. */
  after(sids: ReadonlySet<SocketId>, run: (sids: ReadonlySet<SocketId>) => void): void {
    if (this.isEmpty) return run(sids);
    const ready = new Set(sids);
    for (const sid of sids) {
      if (!this.concerns(sid)) continue;
      ready.delete(sid);
      this.hold(sid, undefined, () => run(new Set([sid])));
    }
    if (ready.size > 0) run(ready);
  }

  /** The socket is about to be closed by the server: what is held for it goes now. */
  flush(sid: SocketId): void {
    // Listeners of the application run in these; what is held behind goes on.
    for (const { write } of this.#bySid.get(sid)?.held.splice(0) ?? []) runApplication(write);
  }

  /** The socket is gone. If its client comes back, it gets what was held. */
  forget(sid: SocketId): void {
    this.#bySid.delete(sid);
  }

  clear(): void {
    this.#bySid.clear();
  }

  #onKnown(known: Promise<void>, sids: readonly SocketId[]): void {
    for (const sid of sids) {
      // It may have joined more since.
      if (this.#bySid.get(sid)?.known !== known) continue;
      this.flush(sid);
      this.#bySid.delete(sid);
    }
  }
}
