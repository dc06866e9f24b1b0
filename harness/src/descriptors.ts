/** Processes that have no file descriptor left, which `prlimit` of Linux brings about. Runs in: tests. */
import { execFileSync } from "node:child_process";
import { findProgram } from "./find-program.js";

/** Path of `prlimit`; undefined when tests that need it are to be skipped. */
export function findPrlimit(): string | undefined {
  return findProgram({
    name: "prlimit",
    programs: ["prlimit"],
    variable: "PRLIMIT_PATH",
    cure: "It is in Debian's package util-linux, and for Linux only.",
  });
}

/**
 * While `during` runs, the process can open nothing; what it has open, it keeps. Then it has its limit back, whatever
 * has become of `during`.
 * @param limit what is free below that number, it can open; below 3 are its streams
 */
export async function withoutDescriptors<T>(pid: number, during: () => Promise<T>, limit = 3): Promise<T> {
  const program = String(findPrlimit());
  const prlimit = (...args: string[]) =>
    execFileSync(program, ["--pid", String(pid), ...args], { encoding: "utf8" });
  const before = prlimit("--nofile", "--noheadings", "--output=SOFT").trim();
  prlimit(`--nofile=${limit}:`);
  try {
    return await during();
  } finally {
    // One that has ended meanwhile needs none, and that it has is for `during` to say.
    if (isThere(pid)) prlimit(`--nofile=${before}:`);
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
