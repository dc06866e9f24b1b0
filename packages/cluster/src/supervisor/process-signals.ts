/**
 * The signals of the process, and the end of npm, as orders for the cluster.
 * Owns: the listeners, and a timer that looks after npm. Runs in: primary.
 */
import { closeSync, openSync, readFileSync } from "node:fs";

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
  // Orders are given a turn later: what a listener of the application orders at the same signal comes before.
  const stop = () => {
    const now = performance.now();
    if (stoppedAt === undefined) {
      stoppedAt = now;
      queueMicrotask(orders.stop);
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
  const release = onNpmGone(stop);
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

/**
 * npm passes SIGINT and SIGTERM on, to the shell that it has started; SIGHUP ends it without a word. So what it runs has
 * to see for itself that one of the two is gone. A process whose parent is gone gets another one.
 */
function onNpmGone(callback: () => void): () => void {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const shell = process.ppid;
  const npm = parentOf(shell);
  const timer = setInterval(() => {
    const now = parentOf(shell);
    if (process.ppid === shell && (now === npm || now === undefined)) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * The parent of another process; 0 if that is gone, or where the system tells nothing of others; `undefined` if it cannot
 * tell now.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the program stands in brackets, and may have any characters in it.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch (error) {
    return isShort(error) ? undefined : 0;
  }
}
