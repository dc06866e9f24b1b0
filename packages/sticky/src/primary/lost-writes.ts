/**
 * What the primary writes to a worker that has just died is lost, and no error of the primary.
 * Owns: a listener of each worker's process, and one of `cluster`, while there is a router. Runs in: primary.
 *
 * node:cluster answers a worker's `listen()` without a callback, so that the failure is emitted as "error" of the process, and
 * again of the `Worker`. Where nobody listens for that, one worker that dies right after it has asked would end the primary.
 */
import cluster, { type Worker } from "node:cluster";
import { processWide } from "../process-wide.js";
import { allWorkers } from "./all-workers.js";

type Listener = (error: NodeJS.ErrnoException | undefined) => void;

/** The other end of the channel is closed; that the primary knows of it comes later. */
const CLOSED = new Set(["EPIPE", "ECONNRESET"]);

const listeners = processWide("lost writes", () => new WeakMap<Worker, Listener>());

/** @returns the function that undoes it */
export function surviveLostWrites(): () => void {
  allWorkers().forEach(watch);
  cluster.prependListener("fork", watch);
  return () => {
    cluster.off("fork", watch);
    allWorkers().forEach(unwatch);
  };
}

function watch(worker: Worker): void {
  // One that was forked in the moment in which this began is among those that were there, and "fork" is yet to come.
  if (listeners.has(worker)) return;
  const onError: Listener = (error) => {
    // Whoever emits it may give nothing.
    const { code = "", syscall } = error ?? {};
    if (syscall === "write" && CLOSED.has(code)) worker.once("error", ignore);
  };
  listeners.set(worker, onError);
  // First: the next listener is that of node:cluster, which has the worker emit it.
  worker.process.prependListener("error", onError);
}

function unwatch(worker: Worker): void {
  const onError = listeners.get(worker);
  if (onError) worker.process.off("error", onError);
  listeners.delete(worker);
}

const ignore = () => {};
