/** The memory of processes that share some of it. Reads /proc, so it tells nothing on other systems. Runs in: tests. */
import { readFileSync } from "node:fs";

/** All of it, what is shared once, in bytes; undefined where the system does not say. */
export function memoryOf(pids: readonly number[]): number | undefined {
  try {
    return pids.reduce((sum, pid) => sum + bytesOf(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")), 0);
  } catch {
    return undefined;
  }
}

/** The field "Pss": each page counts for as many parts as processes have it. */
function bytesOf(rollup: string): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]) * 1024;
}
