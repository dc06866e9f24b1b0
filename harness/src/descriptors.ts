/** Processes that have no file descriptor left. Linux only. Runs in: tests. */
import { execFileSync } from "node:child_process";

/**
 * From now on the process can open nothing; what it has open, it keeps.
 * @param limit what is free below that number, it can open; below 3 are its streams
 * @returns the function that gives it its limit back
 */
export function withoutDescriptors(pid: number | undefined, limit = 3): () => void {
  const prlimit = (...args: string[]) =>
    execFileSync("prlimit", ["--pid", String(pid), ...args], { encoding: "utf8" });
  const before = prlimit("--nofile", "--noheadings", "--output=SOFT").trim();
  prlimit(`--nofile=${limit}:`);
  return () => void prlimit(`--nofile=${before}:`);
}
