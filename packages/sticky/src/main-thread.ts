/**
 * Worker threads are no processes of a cluster: they have its primary's name, and get no connections.
 * Owns: nothing. Runs in: primary and workers.
 */
import { isMainThread } from "node:worker_threads";
import { HoldfastError } from "./errors.js";

/** @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` */
export function mainThreadOnly(caller: string): void {
  if (isMainThread) return;
  throw new HoldfastError(
    "HOLDFAST_ERR_WORKER_THREAD",
    `${caller}() was called in a worker thread. Call it in the main thread of a process; a cluster's workers are ` +
      "processes that cluster.fork() starts.",
  );
}
