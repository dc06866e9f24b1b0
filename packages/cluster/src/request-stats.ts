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

/** The codes of errors that requests end with, and what stands for all others: few words, whatever fails. */
const NO_FAILURES = {
  HOLDFAST_ERR_REQUEST_TIMEOUT: 0,
  HOLDFAST_ERR_REQUEST_FAILED: 0,
  HOLDFAST_ERR_CLOSED: 0,
  HOLDFAST_ERR_LINK_LOST: 0,
  HOLDFAST_ERR_NO_HUB: 0,
  HOLDFAST_ERR_HUB_START: 0,
  HOLDFAST_ERR_HUB_PATH: 0,
  HOLDFAST_ERR_VERSION_MISMATCH: 0,
  HOLDFAST_ERR_BACKLOG_FULL: 0,
  HOLDFAST_ERR_MESSAGE_TOO_LARGE: 0,
  other: 0,
};
const FAILURES = Object.keys(NO_FAILURES) as (keyof typeof NO_FAILURES)[];

/** Upper bounds in milliseconds; a request takes a fraction of one, and at most `requestsTimeout`. */
const BOUNDS_MS: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/** What became of requests to other workers. */
export interface RequestStats {
  /** How many have ended so. */
  readonly results: Readonly<Record<RequestResult, number>>;
  /** How many have failed, by the code of their error; `other` is for those that are not of `@holdfast/adapter`. */
  readonly failures: Readonly<Record<string, number>>;
  /** Upper bounds of the buckets, in milliseconds. */
  readonly boundsMs: readonly number[];
  /** How many took at most so long and longer than the bound before; the last count is of those beyond all bounds. */
  readonly counts: readonly number[];
  /** How long all of them took together, in milliseconds. */
  readonly sumMs: number;
}

/** Where the figures are: answered, failures, buckets, the sum in microseconds. */
const FAILURES_AT = 1;
const BUCKETS_AT = FAILURES_AT + FAILURES.length;
const SUM_AT = BUCKETS_AT + BOUNDS_MS.length + 1;

export class RequestTally {
  /** As they travel. */
  readonly #figures = new Array<number>(SUM_AT + 1).fill(0);

  /** @param code of the error that it has ended with; undefined if it was answered */
  add(durationMs: number, code?: string): void {
    const bucket = BOUNDS_MS.findIndex((bound) => durationMs <= bound);
    this.#raise(code === undefined ? 0 : FAILURES_AT + placeOf(code), 1);
    this.#raise(BUCKETS_AT + (bucket < 0 ? BOUNDS_MS.length : bucket), 1);
    this.#raise(SUM_AT, Math.round(durationMs * 1_000));
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
    const failures = { ...NO_FAILURES };
    FAILURES.forEach((code, i) => {
      failures[code] = this.#at(FAILURES_AT + i);
    });
    const timeout = failures.HOLDFAST_ERR_REQUEST_TIMEOUT;
    const failed = failures.HOLDFAST_ERR_REQUEST_FAILED;
    const lost = Object.values(failures).reduce((sum, count) => sum + count) - timeout - failed;
    return {
      results: { answered: this.#at(0), timeout, failed, lost },
      failures,
      boundsMs: BOUNDS_MS,
      counts: this.#figures.slice(BUCKETS_AT, SUM_AT),
      sumMs: this.#at(SUM_AT) / 1_000,
    };
  }

  #at(index: number): number {
    return this.#figures[index] ?? 0;
  }

  #raise(index: number, by: number): void {
    this.#figures[index] = this.#at(index) + by;
  }
}

function placeOf(code: string): number {
  const place = FAILURES.indexOf(code as keyof typeof NO_FAILURES);
  return place < 0 ? FAILURES.indexOf("other") : place;
}
