/**
 * The processes between npm and this one, and the end of one of them.
 * Owns: a timer that looks after them. Runs in: primary.
 *
 * npm passes SIGINT and SIGTERM on, to the shell that it has started; SIGHUP ends it without a word. So what it runs has
 * to see for itself that one of them is gone. A process whose parent is gone gets another one. There need be no shell: one
 * that has a single command to run becomes that. There may be more: other programs that start this one, and npm once more,
 * where a script runs another one.
 *
 * What cannot be told, or is not sure, is no end of npm. What has begun a session of its own, like PM2's daemon, is to
 * outlive it. Where the system tells nothing of other processes, the parent is all that is looked after.
 */
import cluster from "node:cluster";
import { existsSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { codeOf } from "../errors.js";

/** How often to look. */
const LOOK_MS = 500;
/** Set for all processes of a script. npm has it itself only if another script runs it. */
const SCRIPT = "npm_lifecycle_event";
/** What npm, pnpm and yarn tell all processes of a script. */
const MARKS = [SCRIPT, "npm_lifecycle_script", "npm_package_json"] as const;
/** It is there also when there is no file descriptor left. */
const TELLS_OF_PROCESSES = existsSync("/proc/self/stat");

/** Whose end counts: the parent, its parent, and so on. */
type Line = readonly number[];
type Environment = ReadonlyMap<string, string>;

/** As this file is loaded: an application may call `startCluster()` when npm has gone already. */
const PARENT = process.ppid;
const lineAtLoad = cluster.isPrimary && isUnderNpm() ? lineFrom(PARENT) : undefined;

/** @returns the function that ends the watch */
export function onNpmGone(callback: () => void): () => void {
  if (!isUnderNpm()) return () => {};
  let line = lineAtLoad;
  const timer = setInterval(() => {
    line ??= lineFrom(PARENT);
    if (line === undefined || !isBroken(line)) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function isUnderNpm(): boolean {
  return process.env[SCRIPT] !== undefined;
}

/**
 * @returns `undefined` if it cannot be told now: there may be no file descriptor left, or the parent is gone already
 */
function lineFrom(parent: number): Line | undefined {
  if (!TELLS_OF_PROCESSES) return [parent];
  try {
    const line = climb(parent);
    // Its number may be another process' by now.
    return process.ppid === parent ? line : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Up to the outermost npm of this session. If that has begun below npm, nobody is looked after.
 * @throws {Error} of the system
 */
function climb(parent: number): Line {
  const { session } = placeOf(process.pid);
  const line: number[] = [];
  let upToNpm = 0;
  let below: Environment = new Map(Object.entries(process.env as Record<string, string>));
  for (let pid = parent; pid > 0; ) {
    const place = placeOf(pid);
    if (place.session !== session) return line.slice(0, upToNpm);
    const own = environmentOf(pid);
    const role = roleOf(pid, own, below);
    // The parent counts in any case: this process has the marks from there.
    if (role === "other" && pid !== parent) return line;
    line.push(pid);
    if (role === "npm") upToNpm = line.length;
    if (role === "other" || !own?.has(SCRIPT)) return line;
    below = own;
    pid = place.parent;
  }
  return line;
}

/**
 * What a process is to one of a script that it has started.
 * @param own its environment
 * @param below that of the one that it has started
 */
function roleOf(
  pid: number,
  own: Environment | undefined,
  below: Environment,
): "npm" | "script" | "hidden" | "other" {
  if (own === undefined) return "hidden";
  if (MARKS.every((name) => !below.has(name) || own.get(name) === below.get(name))) return "script";
  return isProgram(pid, below.get("npm_node_execpath")) ? "npm" : "other";
}

/** Whether one of them has certainly another parent than before. */
function isBroken(line: Line): boolean {
  if (line.length > 0 && process.ppid !== line[0]) return true;
  return line.some((pid, index) => {
    const before = line[index + 1];
    try {
      return before !== undefined && placeOf(pid).parent !== before;
    } catch {
      // That it is gone is seen by what it has started.
      return false;
    }
  });
}

/**
 * What a process was started with.
 * @returns `undefined` if another user's process hides it
 * @throws {Error} of the system
 * @see https://man7.org/linux/man-pages/man5/proc_pid_environ.5.html
 */
function environmentOf(pid: number): Environment | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return new Map(fields.map((field) => [nameIn(field), field.slice(nameIn(field).length + 1)]));
  } catch (error) {
    if (["EACCES", "EPERM"].includes(codeOf(error))) return undefined;
    throw error;
  }
}

function nameIn(field: string): string {
  return field.slice(0, Math.max(field.indexOf("="), 0));
}

function isProgram(pid: number, path: string | undefined): boolean {
  return path !== undefined && existsSync(path) && readlinkSync(`/proc/${pid}/exe`) === realpathSync(path);
}

/**
 * The parent of a process, and its session.
 * @throws {Error} of the system
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function placeOf(pid: number): { readonly parent: number; readonly session: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name of the program stands in brackets, and may have any characters in it.
  const [, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(parent), session: Number(session) };
}
