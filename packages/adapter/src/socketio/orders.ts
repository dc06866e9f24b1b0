/**
 * The orders of kept packets that a worker has heard of, one after the other: a hub begins another one when it finds
 * other hosts, or goes on without them. Offsets can be compared across them.
 * Owns: which orders came when. Runs in: workers.
 */
import { epochOf } from "../wire/offset.js";

/** Packets that are sent on late are seconds old. */
const MAX_KNOWN = 32;

export class Orders {
  /** The oldest first. */
  readonly #known: string[] = [];

  /** What is placed from now on has places in this offset's order. */
  begin(offset: string): void {
    const epoch = epochOf(offset);
    if (this.#known.at(-1) === epoch) return;
    this.#known.push(epoch);
    if (this.#known.length > MAX_KNOWN) this.#known.shift();
  }

  /** Whether a place comes after another one. */
  isAfter(offset: string, other: string): boolean {
    const [epoch, otherEpoch] = [epochOf(offset), epochOf(other)];
    if (epoch === otherEpoch) return offset > other;
    return this.#known.lastIndexOf(epoch) > this.#known.lastIndexOf(otherEpoch);
  }
}
