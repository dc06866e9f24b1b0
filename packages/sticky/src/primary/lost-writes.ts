/**
 * What the primary writes to a worker that has just died is lost, and no error of the primary.
 * Owns: a listener of each worker, and one of `cluster`, while there is a router. Runs in: primary.
 *
 * node:cluster answers a worker's `listen()` without a callback, so that the failure is emitted as "error" of the `Worker`.
 * Where nobody listens for that, one worker that dies right after it has asked would end the primary.
 */
import cluster, { type Worker } from "node:cluster";
import { processWide } from "../process-wide.js";

/** The other end of the channel is closed; that the primary knows of it comes later. */
const CLOSED = new Set(["EPIPE", "ECONNRESET"]);

/** One for all copies of this package in the process: with two, each would take the other for a listener of the application. */
const onError = processWide(
  "lost writes",
  () =>
    function (this: Worker, error: NodeJS.ErrnoException): void {
      const isLostWrite = error.syscall === "write" && CLOSED.has(error.code ?? "");
      // Where nobody else listens, Node.js throws it.
      if (!isLostWrite && this.listenerCount("error") === 1) throw error;
    },
);

/** @returns the function that undoes it */
export function surviveLostWrites(): () => void {
  forEachWorker(watch);
  cluster.prependListener("fork", watch);
  return () => {
    cluster.off("fork", watch);
    forEachWorker(unwatch);
  };
}

function watch(worker: Worker): void {
  // A worker that was forked in this very moment is among those that are there, and "fork" is yet to come.
  unwatch(worker);
  // First: a listener of the application that is called once, as that of events.once(), is counted while it is there.
  worker.prependListener("error", onError);
}

function unwatch(worker: Worker): void {
  worker.off("error", onError);
}

function forEachWorker(use: (worker: Worker) => void): void {
  for (const worker of Object.values(cluster.workers ?? {})) if (worker) use(worker);
}
