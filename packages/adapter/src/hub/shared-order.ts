/**
 * The order of recoverable packets that several hosts share: the backplane numbers them, and a packet of this host
 * has its place when it comes back. While the hosts cannot reach each other, each numbers its own, in an order of
 * its own.
 * Owns: whose packets are on their way. Runs in: where the hub is.
 */
import { voidKeys } from "../wire/frame.js";
import { newEpoch } from "../wire/offset.js";
import type { OnNumbered, Order } from "./order.js";

interface Waiting<Sender> {
  readonly sender: Sender;
  readonly frame: Buffer;
}

export interface SharedOrderEvents {
  /** Sends a packet to be numbered. */
  record(buffer: Buffer, start: number, end: number): void;
  /** Numbers mean something else from now on. @param pastUpTo nobody here waits for packets up to this number */
  onEpoch(epoch: string, pastUpTo: number): void;
}

export class SharedOrder<Sender> implements Order<Sender> {
  readonly #onNumbered: OnNumbered<Sender>;
  readonly #events: SharedOrderEvents;
  #epoch = newEpoch();
  // shared ↔ alone
  #state: "shared" | "alone" = "shared";
  #last = 0;
  /** The oldest first: they come back in this order. */
  #waiting: Waiting<Sender>[] = [];

  constructor(onNumbered: OnNumbered<Sender>, events: SharedOrderEvents) {
    this.#onNumbered = onNumbered;
    this.#events = events;
  }

  get epoch(): string {
    return this.#epoch;
  }

  number(sender: Sender, buffer: Buffer, start: number, end: number): void {
    if (this.#state === "alone") return this.#onNumbered(sender, buffer, start, end, ++this.#last);
    // If nobody numbers it, it is needed again.
    this.#waiting.push({ sender, frame: Buffer.from(buffer.subarray(start, end)) });
    this.#events.record(buffer, start, end);
  }

  /** A packet of this host has come back. @returns false if it is not known here */
  numbered(sequence: number): boolean {
    const oldest = this.#waiting.shift();
    if (!oldest) return false;
    const { sender, frame } = oldest;
    this.#onNumbered(sender, frame, 0, frame.length, sequence);
    return true;
  }

  /**
   * The hosts have an order; what waits stays in it.
   * @param pastUpTo nobody here waits for packets up to this number
   * @returns whether packets were placed here that are not in it
   */
  share(epoch: string, pastUpTo: number): boolean {
    if (this.#state === "shared" && epoch === this.#epoch) return false;
    const wasApart = this.#state === "alone" && this.#last > 0;
    this.#state = "shared";
    this.#change(epoch, pastUpTo);
    return wasApart;
  }

  /** The keys of what waits say nothing any more. */
  voidKeys(): void {
    for (const { frame } of this.#waiting) voidKeys(frame, 0);
  }

  /** This host is alone: what waits is numbered here. */
  goAlone(): void {
    if (this.#state === "alone") return;
    this.#state = "alone";
    this.#last = 0;
    this.#change(newEpoch(), 0);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { sender, frame } of waiting) this.#onNumbered(sender, frame, 0, frame.length, ++this.#last);
  }

  close(): void {
    this.#waiting = [];
  }

  #change(epoch: string, pastUpTo: number): void {
    this.#epoch = epoch;
    this.#events.onEpoch(epoch, pastUpTo);
  }
}
