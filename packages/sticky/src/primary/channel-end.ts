/**
 * The end of the IPC channel of a worker that has ended: what the worker has sent may come after the word that it has.
 * Owns: its timer. Runs in: primary.
 *
 * Where a handle was on its way to the worker, Node.js waits for its receipt, which nobody sends any more, and does not
 * emit "disconnect". That the channel is not connected, it knows all the same (`worker.isConnected()`), as soon as it has
 * read all of it.
 */
import type { Worker } from "node:cluster";

const LOOK_MS = 5;
/** How long after a worker's exit its IPC channel may still hold acknowledgements. */
export const CHANNEL_DRAIN_MS = 1_000;

/**
 * @param latestMs it is not waited for longer: another process may hold the channel open
 * @returns the function that stops it
 */
export function whenChannelEnds(worker: Worker, latestMs: number, onEnd: () => void): () => void {
  const latest = performance.now() + latestMs;
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    if (!worker.isConnected() || performance.now() >= latest) return onEnd();
    timer = setTimeout(look, LOOK_MS).unref();
  };
  timer = setTimeout(look, 0).unref();
  return () => clearTimeout(timer);
}
