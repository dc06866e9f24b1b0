/**
 * How durations are spread, in memory that does not grow.
 * Owns: one count per bucket. Runs in: primary.
 */
import type { DurationStats } from "./stats.js";

/** Upper bounds in milliseconds, both for a local hand-over and for one that waits for a worker. */
const BOUNDS_MS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

export class Histogram {
  readonly #counts = new Array<number>(BOUNDS_MS.length + 1).fill(0);
  #count = 0;
  #sumMs = 0;

  add(durationMs: number): void {
    let bucket = 0;
    while (durationMs > (BOUNDS_MS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sumMs += durationMs;
  }

  stats(): DurationStats {
    return { count: this.#count, sumMs: this.#sumMs, boundsMs: BOUNDS_MS, counts: [...this.#counts] };
  }
}
