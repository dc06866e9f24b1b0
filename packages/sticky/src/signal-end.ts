/**
 * Runs a clean-up when a signal ends the process because nobody listens for it.
 * Owns: one listener for each such signal, while there is no other and until the end of the turn in which one comes. Runs in: primary and workers.
 *
 * Node.js emits no "exit" then. To the application nothing changes: when it listens for a signal itself, the
 * listener here goes, so nobody who counts listeners when a signal comes is misled; and after the clean-up the signal
 * ends the process as it would have. As process 1 of a container it would not have: there, nothing is done.
 */
import type { EventEmitter } from "node:events";

const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * @param cleanUp may take its time; a signal that comes meanwhile changes nothing
 * @returns the function that undoes it
 */
export function beforeEndBySignal(cleanUp: () => void | Promise<void>): () => void {
  if (process.platform === "win32" || process.pid === 1) return () => {};
  const events: EventEmitter = process;
  // waiting → ending
  let state: "waiting" | "ending" = "waiting";
  const end = async (signal: NodeJS.Signals) => {
    if (state === "ending" || joined.has(signal)) return;
    state = "ending";
    try {
      await cleanUp();
    } finally {
      release();
      process.kill(process.pid, signal);
    }
  };
  const listen = (signal: NodeJS.Signals) => {
    if (process.listenerCount(signal) === 0) process.on(signal, end);
  };
  const isSignal = (event: string | symbol): event is NodeJS.Signals =>
    (SIGNALS as readonly (string | symbol)[]).includes(event);
  const isHeardByOthers = (signal: NodeJS.Signals) =>
    process.listeners(signal).some((listener) => listener !== end);
  /** Signals for which a listener of the application has come in this turn. */
  const joined = new Set<NodeJS.Signals>();
  // Not at once: without any listener Node.js would stop to catch the signal, and one that has come already, which it
  // tells of after this turn, would be lost.
  const onNew = (event: string | symbol, listener: unknown) => {
    if (!isSignal(event) || listener === end || joined.has(event)) return;
    joined.add(event);
    queueMicrotask(() => {
      joined.delete(event);
      if (isHeardByOthers(event)) process.off(event, end);
    });
  };
  const onRemoved = (event: string | symbol, listener: unknown) => {
    if (isSignal(event) && listener !== end) listen(event);
  };
  const release = () => {
    events.off("newListener", onNew).off("removeListener", onRemoved);
    for (const signal of SIGNALS) events.off(signal, end);
  };
  events.on("newListener", onNew).on("removeListener", onRemoved);
  for (const signal of SIGNALS) listen(signal);
  return release;
}
