/**
 * How fast counters rise.
 * Owns: the last value of each. Runs in: primary.
 */
export class Rates {
  #before = new Map<string, number>();
  #now = new Map<string, number>();
  #elapsedMs = 0;
  #at = performance.now();

  /** Begins a new round of values; those that are not given again are forgotten. */
  next(): void {
    const at = performance.now();
    this.#elapsedMs = at - this.#at;
    this.#at = at;
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** Per second since the last round; 0 for what is new, and for what has started anew. */
  perSecond(name: string, value: number): number {
    this.#now.set(name, value);
    const before = this.#before.get(name);
    if (before === undefined || value < before || this.#elapsedMs <= 0) return 0;
    return ((value - before) * 1_000) / this.#elapsedMs;
  }
}
