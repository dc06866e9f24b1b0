/**
 * How the requests between workers have ended, and how long they took, in memory that does not grow.
 * Owns: one count per result, and per bucket. Runs in: workers and the primary.
 */

/** How a request has ended. */
export type RequestResult =
  /** All workers that were asked have answered, or were gone. */
  | "answered"
  /** Some did not answer in time. */
  | "timeout"
  /** A worker could not carry it out. */
  | "failed"
  /** The hub could not be reached, or the asker was closed. */
  | "lost";

/** All of them. */
export const REQUEST_RESULTS: readonly RequestResult[] = ["answered", "timeout", "failed", "lost"];

/** Upper bounds in milliseconds; a request takes a fraction of one, and at most `requestsTimeout`. */
const BOUNDS_MS: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/** What became of requests to other workers. */
export interface RequestStats {
  /** How many have ended so. */
  readonly results: Readonly<Record<RequestResult, number>>;
  /** Upper bounds of the buckets, in milliseconds. */
  readonly boundsMs: readonly number[];
  /** How many took at most so long and longer than the bound before; the last count is of those beyond all bounds. */
  readonly counts: readonly number[];
  /** How long all of them took together, in milliseconds. */
  readonly sumMs: number;
}

const RESULT_OF: Readonly<Record<string, RequestResult>> = {
  HOLDFAST_ERR_REQUEST_TIMEOUT: "timeout",
  HOLDFAST_ERR_REQUEST_FAILED: "failed",
};

export class RequestTally {
  /** Results, then buckets, then the sum in microseconds: as they travel. */
  readonly #figures = new Array<number>(REQUEST_RESULTS.length + BOUNDS_MS.length + 2).fill(0);

  /** @param code of the error that it has ended with; undefined if it was answered */
  add(durationMs: number, code?: string): void {
    const result = code === undefined ? "answered" : (RESULT_OF[code] ?? "lost");
    const bucket = BOUNDS_MS.findIndex((bound) => durationMs <= bound);
    this.#raise(REQUEST_RESULTS.indexOf(result), 1);
    this.#raise(REQUEST_RESULTS.length + (bucket < 0 ? BOUNDS_MS.length : bucket), 1);
    this.#raise(this.#figures.length - 1, Math.round(durationMs * 1_000));
  }

  /** Gives what was added since the last time, for {@link include}; nothing if that is nothing. */
  take(): number[] {
    if (this.#figures.every((figure) => figure === 0)) return [];
    return this.#figures.splice(0, this.#figures.length, ...this.#figures.map(() => 0));
  }

  /** Adds what another tally has given. One of another version has other figures: they are left out. */
  include(figures: readonly number[]): void {
    if (figures.length !== this.#figures.length) return;
    for (const [i, figure] of figures.entries()) this.#raise(i, figure);
  }

  stats(): RequestStats {
    const results = { answered: 0, timeout: 0, failed: 0, lost: 0 };
    REQUEST_RESULTS.forEach((result, i) => {
      results[result] = this.#figures[i] ?? 0;
    });
    const counts = this.#figures.slice(REQUEST_RESULTS.length, -1);
    return { results, boundsMs: BOUNDS_MS, counts, sumMs: (this.#figures.at(-1) ?? 0) / 1_000 };
  }

  #raise(index: number, by: number): void {
    this.#figures[index] = (this.#figures[index] ?? 0) + by;
  }
}
