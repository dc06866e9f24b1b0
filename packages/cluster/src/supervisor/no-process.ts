/**
 * Why the system gave a worker no process, and what to look at.
 * Owns: nothing. Runs in: primary.
 */
import cluster from "node:cluster";
import { accessSync, constants } from "node:fs";
import { isDirectory } from "../directories.js";
import { codeOf, messageOf } from "../errors.js";

/** What the codes of the system mean here. */
const MEANINGS: Record<string, string> = {
  E2BIG: 'the options "env" and "args" are too long, together with the environment of the primary',
  EAGAIN: "this user or this container may have no more processes",
  EMFILE: "the primary may have no more files and connections open, see ulimit -n",
  ENFILE: "this machine may have no more files and connections open",
  ENOMEM: "there is no memory left for another process",
};

/** With the code of the system; a part of a sentence. */
export function whyNoProcess(error: unknown): string {
  const code = codeOf(error);
  // Of a working directory, the system says no more than that something is missing, and Node.js blames its own program.
  const fault = ["ENOENT", "ENOTDIR", "EACCES"].includes(code) ? faultOfDirectory() : undefined;
  if (fault !== undefined) return `${fault} (${code})`;
  const meaning = MEANINGS[code];
  return messageOf(error) + (meaning === undefined ? "" : ` (${meaning})`);
}

function faultOfDirectory(): string | undefined {
  const { cwd } = cluster.settings;
  if (cwd === undefined) return undefined;
  if (!isDirectory(cwd)) return `there is no directory ${cwd} for the workers, see the option "cwd"`;
  try {
    accessSync(cwd, constants.X_OK);
    return undefined;
  } catch {
    return `this user may not enter ${cwd}, where the workers are to start, see the option "cwd"`;
  }
}
