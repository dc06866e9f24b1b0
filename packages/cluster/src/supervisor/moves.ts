/**
 * Live sessions go to other workers by the router, which holds their connections meanwhile.
 * Owns: nothing. Runs in: primary.
 */
import type { StickyPrimary as Router } from "@holdfast/sticky";
import type { MoveOrder, MoveSessions } from "../reload.js";

/** Of the time of a worker that leaves: how long its sessions may be in the way of a move, and the time to close the rest. */
const STAY_SHARE = 0.5;
const SPREAD_SHARE = 0.25;

/** @param drainTimeoutMs how long a worker may take that leaves */
export function movesThrough(router: Router, drainTimeoutMs: number): MoveSessions {
  return async ({ from, to, signal, onProgress }: MoveOrder) => {
    let moved = 0;
    // A worker that ends meanwhile ends the moves; its clients come back, and what is left is drained.
    try {
      for (const [place, successor] of to.entries()) {
        const before = moved;
        const count = shareOf(router, from.id, to.length - place);
        const result = await router.moveSessions(from, successor, {
          signal,
          ...(count !== undefined && { count }),
          onProgress: (progress) =>
            onProgress({ moved: before + progress.moved, total: before + progress.total }),
        });
        moved += result.moved;
      }
      const last = to.at(-1);
      if (!last || signal.aborted) return { moved };
      // What has come meanwhile, and what could not be moved at once; from now on nothing comes.
      const rest = await router.retire(from, last, {
        drainTimeout: Math.floor(drainTimeoutMs * STAY_SHARE),
        spread: Math.floor(drainTimeoutMs * SPREAD_SHARE),
      });
      moved += rest.moved;
    } catch {
      // The router has no such worker any more.
    }
    return { moved };
  };
}

/** How many of its sessions go to one of so many workers; `undefined` for all. */
function shareOf(router: Router, workerId: number, workers: number): number | undefined {
  if (workers === 1) return undefined;
  const worker = router.stats().workers.find((each) => each.workerId === workerId);
  return Math.ceil((worker?.connections ?? 0) / workers);
}
