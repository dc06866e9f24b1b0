/**
 * What has become of sessions that were to move, counted for as long as the process lives.
 * Owns: the totals, and how long moves took. Runs in: primary, one for all routers of the process, also of routers to come: a counter that starts
 * anew is one that has fallen.
 */
import { Histogram } from "../histogram.js";
import { processWide } from "../process-wide.js";
import type { MoveStats } from "../stats.js";

export class MoveTotals {
  static get(): MoveTotals {
    return processWide("move totals", () => new MoveTotals());
  }

  readonly durations = new Histogram();
  readonly #totals = { moved: 0, polling: 0, lost: 0, closed: 0, waited: 0 };

  add(what: keyof Omit<MoveStats, "underway">, sessions = 1): void {
    this.#totals[what] += sessions;
  }

  stats(underway: number): MoveStats {
    return { underway, ...this.#totals };
  }
}
