/**
 * The contract by which reloads move live sessions, and its one implementation: by the router, which holds their
 * connections meanwhile.
 * Owns: nothing. Runs in: primary.
 */
import type { Worker } from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import type { MoveResult, StickyPrimary as Router } from "@holdfast/sticky";

/** All sessions of a worker go to others. */
export interface MoveOrder {
  /** The worker that they leave. It gets no new connections from then on. */
  readonly from: Worker;
  /** The workers that they go to, but for those that take nothing any more. */
  readonly to: readonly Worker[];
  /** Told several times a second, as long as the worker says how it goes. */
  readonly onProgress: (progress: { readonly moved: number; readonly total: number }) => void;
}

/** What became of the sessions. */
export interface MovedSessions {
  /** As many as there were, as far as the worker has said so; 0 if it has not. */
  readonly total: number;
  readonly moved: number;
  /** Those that could not be moved, or were lost on the way. */
  readonly closed: number;
  /**
   * - `"done"`: no session is left there.
   * - `"left"`: some may be left, and are drained.
   * - `"gone"`: the worker has ended before.
   * - `"kept"`: none of the others takes sessions any more, or one does not answer; the worker gets new connections
   *   again.
   */
  readonly outcome: "done" | "left" | "gone" | "kept";
}

/** Moves live sessions between workers. It never rejects. */
export type MoveSessions = (order: MoveOrder) => Promise<MovedSessions>;

/** Of the time of a worker that leaves: how long sessions may stay that cannot be moved, and the time to close them. */
const STAY_SHARE = 0.5;
const SPREAD_SHARE = 0.25;
/** How soon to ask again a router that moves other sessions. */
const RETRY_MS = 50;

/** @param drainTimeoutMs how long a worker may take that leaves */
export function movesThrough(router: Router, drainTimeoutMs: number): MoveSessions {
  const options = {
    drainTimeout: Math.floor(drainTimeoutMs * STAY_SHARE),
    spread: Math.floor(drainTimeoutMs * SPREAD_SHARE),
  };
  return async ({ from, to, onProgress }: MoveOrder) => {
    const patientUntil = performance.now() + options.drainTimeout;
    for (;;) {
      const taking = new Set(router.stats().workers.map(({ workerId }) => workerId));
      const successors = to.filter(({ id }) => taking.has(id));
      if (successors.length === 0) return { total: 0, moved: 0, closed: 0, outcome: "kept" };
      try {
        const { outcome, total, moved, lost, closed } = await router.retire(from, successors, {
          ...options,
          onProgress,
        });
        return { total, moved, closed: lost + closed, outcome: OUTCOMES[outcome] };
      } catch {
        // The router does not have it any more, and its end is about to be heard of; or it gets sessions of another one,
        // as the application may have ordered, until that is over.
        const isBusy = taking.has(from.id) && performance.now() < patientUntil;
        if (!isBusy) return { total: 0, moved: 0, closed: 0, outcome: "left" };
      }
      await sleep(RETRY_MS);
    }
  };
}

const OUTCOMES = {
  done: "done",
  "worker-gone": "gone",
  "worker-silent": "left",
  "successor-gone": "kept",
  "successor-silent": "kept",
  "router-closed": "left",
} as const satisfies Record<MoveResult["outcome"], string>;
