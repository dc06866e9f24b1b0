/**
 * What all workers of a place have done, also those before it was removed and added again: a counter that starts anew is
 * one that has fallen.
 * Owns: the counts. Runs in: primary.
 */
import { RequestTally } from "../request-stats.js";

export class SlotTotals {
  /** Of other workers. */
  readonly requests = new RequestTally();
  /** Workers started because the one before had ended unasked. */
  restarts = 0;
}
