/** CPU time of processes that come and go. Reads /proc, so it runs on Linux only. Runs in: the bench. */
import { readdirSync, readFileSync } from "node:fs";

/** Microseconds of a tick of /proc: USER_HZ is 100 wherever Linux shows it to programs. */
const TICK_MICROS = 10_000;

interface ProcessTimes {
  readonly parent: number;
  /** Its own, and those of its children that have ended, microseconds. */
  readonly cpu: number;
}

/** User and system time of a process, of all that it started, and of those that have ended since, in microseconds. */
export function treeCpu(root: number): number {
  const all = new Map<number, ProcessTimes>();
  for (const name of readdirSync("/proc")) {
    const times = /^\d+$/.test(name) ? timesOf(name) : undefined;
    if (times) all.set(Number(name), times);
  }
  let total = 0;
  for (const [pid, { cpu }] of all) if (isWithin(pid, root, all)) total += cpu;
  return total;
}

function isWithin(pid: number, root: number, all: ReadonlyMap<number, ProcessTimes>): boolean {
  for (let at: number | undefined = pid; at; at = all.get(at)?.parent) if (at === root) return true;
  return false;
}

/** The fields of proc_pid_stat(5) behind the name, which may hold anything. */
function timesOf(pid: string): ProcessTimes | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [parent, ticks] = [Number(fields[1]), fields.slice(11, 15).map(Number)];
  return { parent, cpu: ticks.reduce((sum, each) => sum + each, 0) * TICK_MICROS };
}
