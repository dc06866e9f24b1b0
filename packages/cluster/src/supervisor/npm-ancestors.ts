/**
 * The processes between npm and this one, and the end of one of them.
 * Owns: a timer that looks after them. Runs in: primary.
 *
 * npm passes SIGINT and SIGTERM on, to the shell that it has started; SIGHUP ends it without a word. So what it runs has
 * to see for itself that one of them is gone. A process whose parent is gone gets another one. There need be no shell: one
 * that has a single command to run becomes that. There may be more: other programs that start this one.
 *
 * What cannot be told, or is not sure, is no end of npm.
 */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";

/** How often to look. */
const LOOK_MS = 500;
/** What npm, pnpm and yarn tell all processes of a script. They have it themselves only if another script runs them. */
const MARKS = ["npm_lifecycle_event", "npm_lifecycle_script", "npm_package_json"] as const;

/** @returns the function that ends the watch */
export function onNpmGone(callback: () => void): () => void {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const parent = process.ppid;
  let ancestors = ancestorsUpToNpm(parent);
  const timer = setInterval(() => {
    ancestors ??= ancestorsUpToNpm(parent);
    if (process.ppid === parent && !isBroken(ancestors ?? [])) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * The parent, its parent, and so on; npm is the last one. It is left out if the program in its place is another one.
 * @returns `undefined` if that cannot be told now: there may be no file descriptor left, or the system tells nothing of
 * other processes
 */
function ancestorsUpToNpm(parent: number): readonly number[] | undefined {
  const ancestors: number[] = [];
  try {
    let pid = parent;
    for (; isOfScript(pid); pid = parentOf(pid)) ancestors.push(pid);
    return isPackageManager(pid) ? [...ancestors, pid] : ancestors;
  } catch {
    return undefined;
  }
}

/** Whether one of them has certainly another parent than before. */
function isBroken(ancestors: readonly number[]): boolean {
  return ancestors.some((pid, index) => {
    const before = ancestors[index + 1];
    try {
      return before !== undefined && parentOf(pid) !== before;
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

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name of the program stands in brackets, and may have any characters in it.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
