/**
 * The processes between npm and this one, and the end of one of them.
 * Owns: a timer that looks after them. Runs in: primary.
 *
 * npm passes SIGINT and SIGTERM on, to the shell that it has started; SIGHUP ends it without a word. So what it runs has
 * to see for itself that one of them is gone. A process whose parent is gone gets another one. There need be no shell: one
 * that has a single command to run becomes that. There may be more: other programs that start this one.
 *
 * What cannot be told, or is not sure, is no end of npm. What has begun a session of its own, like PM2's daemon, is to
 * outlive it.
 */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";

/** How often to look. */
const LOOK_MS = 500;
/** What npm, pnpm and yarn tell all processes of a script. They have it themselves only if another script runs them. */
const MARKS = ["npm_lifecycle_event", "npm_lifecycle_script", "npm_package_json"] as const;

interface Line {
  /** The parent, its parent, and so on; npm is the last one. It is left out if the program in its place is another one. */
  readonly pids: readonly number[];
  /** Whether one of them belongs to another session than this process. */
  readonly isApart: boolean;
}

/** @returns the function that ends the watch */
export function onNpmGone(callback: () => void): () => void {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const parent = process.ppid;
  let line = lineToNpm(parent);
  const timer = setInterval(() => {
    line ??= lineToNpm(parent);
    if (process.ppid === parent && !isBroken(line?.pids ?? [])) return;
    clearInterval(timer);
    if (!line?.isApart) callback();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * @returns `undefined` if it cannot be told now: there may be no file descriptor left, or the system tells nothing of
 * other processes
 */
function lineToNpm(parent: number): Line | undefined {
  const pids: number[] = [];
  try {
    let pid = parent;
    for (; isOfScript(pid); pid = placeOf(pid).parent) pids.push(pid);
    if (isPackageManager(pid)) pids.push(pid);
    const { session } = placeOf(process.pid);
    return { pids, isApart: pids.some((each) => placeOf(each).session !== session) };
  } catch {
    return undefined;
  }
}

/** Whether one of them has certainly another parent than before. */
function isBroken(pids: readonly number[]): boolean {
  return pids.some((pid, index) => {
    const before = pids[index + 1];
    try {
      return before !== undefined && placeOf(pid).parent !== before;
    } catch {
      // That it is gone is seen by what it has started.
      return false;
    }
  });
}

/**
 * Whether the process was started by the same script as this one.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_environ.5.html
 */
function isOfScript(pid: number): boolean {
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return MARKS.every((name) => {
    const value = process.env[name];
    return value === undefined || environment.includes(`${name}=${value}`);
  });
}

/** Whether it is the program that has started the script. */
function isPackageManager(pid: number): boolean {
  const { npm_node_execpath: program } = process.env;
  return program !== undefined && readlinkSync(`/proc/${pid}/exe`) === realpathSync(program);
}

/**
 * The parent of a process, and its session.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function placeOf(pid: number): { readonly parent: number; readonly session: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name of the program stands in brackets, and may have any characters in it.
  const [, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(parent), session: Number(session) };
}
