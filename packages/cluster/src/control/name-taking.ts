/**
 * Who gets a name that a killed process has left: of several that want it at the same time, one.
 * Owns: nothing but its turn. Runs in: primary.
 */
import { linkSync } from "node:fs";
import { codeOf } from "../errors.js";
import { isForsaken, removeIfThere } from "./socket-file.js";
import { takeTurn } from "./turns.js";

/**
 * Gives a socket that listens under another name the name `path`, if nobody has it or whoever had it is gone.
 * @param socketPath in the same directory
 * @param signal ends the wait for others that want it, too
 * @returns whether it got the name; `false` also if another process has been about to take it for too long
 * @throws {Error} of the system; the `AbortError` of `signal`
 */
export async function takeName(socketPath: string, path: string, signal?: AbortSignal): Promise<boolean> {
  if (tryToLink(socketPath, path)) return true;
  // It may be gone by now: then nobody has the name.
  if (!(await isForsaken(path))) return tryToLink(socketPath, path);
  // A name is removed whatever has it by then: only in a turn, and after another look.
  const turn = await takeTurn(path, signal);
  if (!turn) return false;
  try {
    if (await isForsaken(path)) removeIfAllowed(path);
    return tryToLink(socketPath, path);
  } finally {
    turn.end();
  }
}

function removeIfAllowed(path: string): void {
  try {
    removeIfThere(path);
  } catch {
    // In a directory of all users, it stays that of its user.
  }
}

/** A link is never made over another file. */
function tryToLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}
