/**
 * What the primary writes to a worker that has just died is lost, and no error of the primary.
 * Owns: a listener of each worker, and one of `cluster`, while there is a router. Runs in: primary.
 *
 * node:cluster answers a worker's `listen()` without a callback, so that the failure is emitted as "error" of the `Worker`.
 * Where nobody listens for that, one worker that dies right after it has asked would end the primary.
 */
import cluster, { type Worker } from "node:cluster";

/** The other end of the channel is closed; that the primary knows of it comes later. */
const CLOSED = new Set(["EPIPE", "ECONNRESET"]);

/** @returns the function that undoes it */
export function surviveLostWrites(): () => void {
  forEachWorker((worker) => watch(worker));
  cluster.prependListener("fork", watch);
  return () => {
    cluster.off("fork", watch);
    forEachWorker((worker) => worker.off("error", onError));
  };
}

function watch(worker: Worker): void {
  worker.on("error", onError);
}

function onError(this: Worker, error: NodeJS.ErrnoException): void {
  const isLostWrite = error.syscall === "write" && CLOSED.has(error.code ?? "");
  // Where nobody else listens, Node.js throws it.
  if (!isLostWrite && this.listenerCount("error") === 1) throw error;
}

function forEachWorker(use: (worker: Worker) => void): void {
  for (const worker of Object.values(cluster.workers ?? {})) if (worker) use(worker);
}
