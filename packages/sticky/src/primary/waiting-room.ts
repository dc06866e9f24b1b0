/**
 * Connections that no worker takes at the moment.
 * Owns: them, reading from them, one timer for all deadlines. Runs in: primary.
 *
 * It reads on while they wait: that is how it hears of clients that leave. What it reads goes to the worker with the
 * rest of the head. A client that ends its side may still want an answer, so it stays for a moment.
 */
import { monotonicMs } from "../clock.js";
import { addressOf, startReading, stopReading } from "../handle/node-internals.js";
import type { Arrival } from "./arrival.js";

/** How long a connection whose client has ended its side may wait. */
const ENDED_MS = 2_000;
/** Deadlines are looked after no more often than this: it means looking at all that wait. */
const SWEEP_MS = 20;

export interface WaitingRoomHooks {
  onTimeout(arrival: Arrival): void;
  /** Its client has left. */
  onLeft(arrival: Arrival): void;
}

export class WaitingRoom {
  readonly #maxHeadBytes: number;
  readonly #hooks: WaitingRoomHooks;
  /** With their deadlines, in the order in which they came in. */
  readonly #entries = new Map<Arrival, number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param maxHeadBytes how much may be read of a connection */
  constructor(maxHeadBytes: number, hooks: WaitingRoomHooks) {
    this.#maxHeadBytes = maxHeadBytes;
    this.#hooks = hooks;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(arrival: Arrival): boolean {
    return this.#entries.has(arrival);
  }

  /** @param deadline by {@link monotonicMs} */
  add(arrival: Arrival, deadline: number): void {
    this.#entries.set(arrival, deadline);
    this.#watch(this.#dueAt(arrival, deadline));
    this.#read(arrival);
  }

  /** Takes a connection out; nobody reads from it then. */
  take(arrival: Arrival): boolean {
    if (!this.#entries.delete(arrival)) return false;
    stopReading(arrival.handle);
    return true;
  }

  /** Takes out all that `wanted` says, in the order in which they came in. */
  takeAll(wanted: (arrival: Arrival) => boolean = () => true): Arrival[] {
    return [...this.#entries.keys()].filter((arrival) => wanted(arrival) && this.take(arrival));
  }

  /** Takes out the connection that has been in longest. */
  takeOldest(): Arrival | undefined {
    for (const arrival of this.#entries.keys()) {
      this.take(arrival);
      return arrival;
    }
    return undefined;
  }

  /** Ends it and returns the connections that are in it, in order. */
  close(): Arrival[] {
    clearTimeout(this.#timer);
    return this.takeAll();
  }

  #read(arrival: Arrival): void {
    const { handle } = arrival;
    if (arrival.head.length >= this.#maxHeadBytes) return;
    const isRead = startReading(handle, (bytes) => {
      if (bytes === undefined) this.#onEnd(arrival);
      else this.#onBytes(arrival, bytes);
    });
    if (!isRead) this.#leave(arrival);
  }

  #onBytes(arrival: Arrival, bytes: Buffer): void {
    arrival.head += bytes.toString("latin1");
    if (arrival.head.length >= this.#maxHeadBytes) stopReading(arrival.handle);
  }

  #onEnd(arrival: Arrival): void {
    const { handle } = arrival;
    stopReading(handle);
    // Without a peer the connection is reset; with one, its client has just no more to say.
    if (handle.getpeername && addressOf(handle) === undefined) return this.#leave(arrival);
    arrival.endedAt ??= monotonicMs();
    this.#watch(this.#dueAt(arrival, this.#entries.get(arrival) ?? 0));
  }

  #dueAt({ endedAt }: Arrival, deadline: number): number {
    return endedAt === undefined ? deadline : Math.min(deadline, endedAt + ENDED_MS);
  }

  #leave(arrival: Arrival): void {
    if (this.take(arrival)) this.#hooks.onLeft(arrival);
  }

  #watch(deadline: number): void {
    const now = monotonicMs();
    const at = Math.max(deadline, now + SWEEP_MS);
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#sweep(), at - now).unref();
  }

  #sweep(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = monotonicMs();
    let next = Number.POSITIVE_INFINITY;
    for (const [arrival, deadline] of this.#entries) {
      const dueAt = this.#dueAt(arrival, deadline);
      if (dueAt > now) {
        next = Math.min(next, dueAt);
      } else if (dueAt < deadline) {
        this.#leave(arrival);
      } else {
        this.take(arrival);
        this.#hooks.onTimeout(arrival);
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#watch(next);
  }
}
