/**
 * The signals of the process, and the end of npm, as orders for the cluster.
 * Owns: the listeners. Runs in: primary.
 */
import { closeSync, openSync } from "node:fs";
import { onNpmGone } from "./npm-ancestors.js";

/** Ctrl+C under npm comes twice: to the whole group, and passed on by npm. That is one signal. */
const SAME_SIGNAL_MS = 500;

const NPM_GONE = "npm, or a program between it and this process, is gone: the cluster stops";

export interface SignalOrders {
  /** @param why a sentence for the operator, if nobody has asked for it */
  stop(why?: string): void;
  /** Stop at once. */
  hurry(): void;
  reload(): void;
}

/** @returns the function that gives the signals back */
export function handleSignals(orders: SignalOrders): () => void {
  const hadTerminal = hasTerminal();
  let stoppedAt: number | undefined;
  // Orders are given a turn later: what a listener of the application orders at the same signal comes before.
  const stop = () => {
    const now = performance.now();
    if (stoppedAt === undefined) {
      stoppedAt = now;
      queueMicrotask(() => orders.stop());
    } else if (now - stoppedAt > SAME_SIGNAL_MS) {
      queueMicrotask(orders.hurry);
    }
  };
  // The end of its terminal ends a program; told by `kill`, the same signal means what it means to daemons.
  const onHangUp = () => (hadTerminal && hasTerminal() === false ? stop() : queueMicrotask(orders.reload));
  process
    .prependListener("SIGTERM", stop)
    .prependListener("SIGINT", stop)
    .prependListener("SIGHUP", onHangUp);
  // It is no signal: one that comes later is the first.
  const release = onNpmGone(() => orders.stop(NPM_GONE));
  return () => {
    process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", onHangUp);
    release();
  };
}

/** Whether the process has a controlling terminal that is still there; `undefined` if the system cannot tell. */
function hasTerminal(): boolean | undefined {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch (error) {
    return isShort(error) ? undefined : false;
  }
}

/** There is no file descriptor left to look with: clients may have them all. */
function isShort(error: unknown): boolean {
  return ["EMFILE", "ENFILE", "ENOMEM"].includes((error as NodeJS.ErrnoException).code ?? "");
}
