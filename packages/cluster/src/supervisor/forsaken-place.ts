/**
 * A path at which a cluster is to listen, and a process that is gone has left its socket: that makes way.
 * Owns: nothing but its turn. Runs in: primary.
 */
import { lstatSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isForsaken, removeIfThere } from "../control/socket-file.js";
import { takeTurn } from "../control/turns.js";
import { identityOf } from "../file-identity.js";

/** A younger socket may be bound and not listen yet, which is a matter of one turn of its process. */
const YOUNG_MS = 1_000;

/**
 * Lets `listen` take the place of what is there, if nobody listens on that.
 *
 * A name is removed whatever has it by then. So all who would remove it take turns, and each looks in its turn: what was
 * seen before may have made way for the socket of another one by then, which nobody could reach any more.
 * @param signal ends the wait for that
 * @returns whether it was called; `false` if somebody listens there, or is about to
 * @throws {Error} of the system, if this user may not remove what is there; the `AbortError` of `signal`
 */
export async function replaceForsaken(
  path: string,
  listen: () => Promise<void>,
  signal?: AbortSignal,
): Promise<boolean> {
  const found = await forsakenAt(path, signal);
  if (found === undefined) return false;
  const turn = await takeTurn(path, signal);
  if (!turn) return false;
  try {
    if (!(await makeWay(path, found))) return false;
    // Whoever comes for the first time may still be faster; then this one is told.
    await listen();
    return true;
  } finally {
    turn.end();
  }
}

/** The file on which nobody listens and which has been there for a while; `undefined` if there is none. */
async function forsakenAt(path: string, signal?: AbortSignal): Promise<string | undefined> {
  if (!(await isForsaken(path))) return undefined;
  const found = fileAt(path);
  await untilGrown(path, signal);
  return (await isForsaken(path)) && fileAt(path) === found ? found : undefined;
}

/** @returns whether the path is free */
async function makeWay(path: string, found: string): Promise<boolean> {
  const isLeft = await isForsaken(path);
  const now = fileAt(path);
  if (now === undefined) return true;
  if (!isLeft || now !== found) return false;
  removeIfThere(path);
  return true;
}

/** The clock may have been set since it was made: this waits no longer than for a new one. */
async function untilGrown(path: string, signal?: AbortSignal): Promise<void> {
  const made = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const age = Date.now() - made;
  if (age < YOUNG_MS) await sleep(YOUNG_MS - Math.max(0, age), undefined, { signal });
}

/** The number of a file that was removed is given to the next one at once; when a socket was made does not change. */
function fileAt(path: string): string | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${identityOf(stats)}:${stats.mtimeNs}`;
}
