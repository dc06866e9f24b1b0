/**
 * The signals of the process, and the end of npm, as orders for the cluster.
 * Owns: the listeners, and a timer that looks after npm. Runs in: primary.
 */
import { closeSync, openSync } from "node:fs";

/** Ctrl+C under npm comes twice: to the whole group, and passed on by npm. That is one signal. */
const SAME_SIGNAL_MS = 500;
/** How often to look whether npm is still there. */
const LOOK_MS = 500;

export interface SignalOrders {
  stop(): void;
  /** Stop at once. */
  hurry(): void;
  reload(): void;
}

/** @returns the function that gives the signals back */
export function handleSignals(orders: SignalOrders): () => void {
  const hadTerminal = hasTerminal();
  let stoppedAt: number | undefined;
  const stop = () => {
    const now = performance.now();
    if (stoppedAt === undefined) {
      stoppedAt = now;
      orders.stop();
    } else if (now - stoppedAt > SAME_SIGNAL_MS) {
      orders.hurry();
    }
  };
  // The end of its terminal ends a program; told by `kill`, the same signal means what it means to daemons.
  const onHangUp = () => (hadTerminal && !hasTerminal() ? stop() : orders.reload());
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", onHangUp);
  const release = onNpmGone(stop);
  return () => {
    process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", onHangUp);
    release();
  };
}

/** Whether the process has a controlling terminal that is still there. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/**
 * npm passes SIGINT and SIGTERM on, to the shell that it has started; SIGHUP ends it without a word. So what it runs has
 * to see for itself that one of the two is gone.
 */
function onNpmGone(callback: () => void): () => void {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const parent = process.ppid;
  const timer = setInterval(() => {
    // A process whose parent is gone gets another one.
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
