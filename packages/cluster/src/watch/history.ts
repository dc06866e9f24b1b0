/**
 * The last 15 minutes of some figures, in memory that does not grow.
 * Owns: a ring of numbers for each series. Runs in: primary.
 */
import type { History, SeriesName } from "../live-status.js";

const STEP_MS = 5_000;
const LENGTH = 180;

export const SERIES_NAMES: readonly SeriesName[] = [
  "clients",
  "deliveries",
  "loopP50",
  "loopP99",
  "opened",
  "refused",
  "suspended",
  "backplaneRoundTrip",
  "backplaneLag",
];

/** One value for each series; `null` where nothing was measured. */
export type Point = Readonly<Record<SeriesName, number | null>>;

export class HistoryRing {
  readonly stepMs = STEP_MS;
  readonly #series = new Map(SERIES_NAMES.map((name) => [name, new Float64Array(LENGTH).fill(Number.NaN)]));
  #next = 0;
  #endsAt = 0;
  #told: History | undefined;

  add(point: Point, at: number): void {
    for (const [name, ring] of this.#series) ring[this.#next] = point[name] ?? Number.NaN;
    this.#next = (this.#next + 1) % LENGTH;
    this.#endsAt = at;
    this.#told = undefined;
  }

  /** Made once for each step. */
  history(): History {
    this.#told ??= {
      stepMs: STEP_MS,
      endsAt: this.#endsAt,
      series: Object.fromEntries(
        [...this.#series].map(([name, ring]) => [name, this.#inOrder(ring)]),
      ) as Record<SeriesName, (number | null)[]>,
    };
    return this.#told;
  }

  #inOrder(ring: Float64Array): (number | null)[] {
    const ordered = [...ring.subarray(this.#next), ...ring.subarray(0, this.#next)];
    return ordered.map((value) => (Number.isNaN(value) ? null : Math.round(value * 1_000) / 1_000));
  }
}
