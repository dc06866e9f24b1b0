/** The workers of the cluster, as node:cluster has them. Runs in: primary. */
import cluster, { type Worker } from "node:cluster";

/** All that have been forked and are not gone. */
export function allWorkers(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}
