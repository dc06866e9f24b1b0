/**
 * Live sessions go to other workers by the router, which holds their connections meanwhile.
 * Owns: nothing. Runs in: primary.
 */
import type { MoveResult, StickyPrimary as Router } from "@holdfast/sticky";
import type { MoveOrder, MoveSessions } from "../reload.js";

/** Of the time of a worker that leaves: how long sessions may stay that cannot be moved, and the time to close them. */
const STAY_SHARE = 0.5;
const SPREAD_SHARE = 0.25;

/** @param drainTimeoutMs how long a worker may take that leaves */
export function movesThrough(router: Router, drainTimeoutMs: number): MoveSessions {
  const options = {
    drainTimeout: Math.floor(drainTimeoutMs * STAY_SHARE),
    spread: Math.floor(drainTimeoutMs * SPREAD_SHARE),
  };
  return async ({ from, to, onProgress }: MoveOrder) => {
    try {
      const { outcome, moved, lost, closed } = await router.retire(from, to, { ...options, onProgress });
      return { moved, closed: lost + closed, outcome: OUTCOMES[outcome] };
    } catch {
      // The router does not have one of them any more: its end is about to be heard of.
      return { moved: 0, closed: 0, outcome: "left" };
    }
  };
}

const OUTCOMES = {
  done: "done",
  "worker-gone": "left",
  "worker-silent": "left",
  "successor-gone": "kept",
  "successor-silent": "kept",
} as const satisfies Record<MoveResult["outcome"], string>;
