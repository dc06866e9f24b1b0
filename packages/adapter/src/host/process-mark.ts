/**
 * Tells a process from all others that have, or will have, the same number. Linux only: elsewhere nobody can tell.
 * Owns: nothing. Runs in: hub process and workers.
 */
import { readFileSync, readlinkSync } from "node:fs";

/** Field 22 of `/proc/<pid>/stat`, counted from the one behind the name, which is in brackets and may hold anything. */
const START_TIME_FIELD = 22 - 3;

/** When the process was started, in ticks since the machine was; undefined where that is not to be had. */
export function startTimeOf(pid: number | "self"): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME_FIELD];
  } catch {
    return undefined;
  }
}

/** "" where nobody can tell. A process id counts within its namespace only. */
export function processMark(pid: number | "self"): string {
  const startTime = startTimeOf(pid);
  try {
    return startTime === undefined ? "" : `${readlinkSync("/proc/self/ns/pid")} ${startTime}`;
  } catch {
    return "";
  }
}
