/** The order by which a worker's sessions move. Runs in: tests. */
import type { RemoteWorker, TestCluster } from "./cluster.js";

/** Begins to move all sessions of a worker; settles as `router.retire()` does. */
export function retire({ primary }: TestCluster, from: RemoteWorker, to: RemoteWorker, options = {}) {
  return primary.run(
    (ctx, one, other, opts) => ctx.router.retire({ id: one }, { id: other }, opts),
    from.workerId,
    to.workerId,
    options,
  );
}
