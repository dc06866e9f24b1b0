/**
 * A path at which a cluster is to listen, and a process that is gone has left its socket: that makes way.
 * Owns: a directory beside it for moments, by which of several processes one at a time may do this. Runs in: primary.
 */
import { mkdirSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileIdOf, isForsaken } from "../control/socket-file.js";

/** A younger socket may be bound and not listen yet, which is a matter of one turn of its process. */
const YOUNG_MS = 1_000;
/** Who is at it for so long was killed amid it. */
const KILLED_AFTER_MS = 30_000;

/**
 * Lets `listen` take the place of what is there, if nobody listens on that.
 *
 * A name is removed whatever has it by then. So all who would remove it take turns, and each looks in its turn: what was
 * seen before may have made way for the socket of another one by then, which nobody could reach any more.
 * @returns whether it was called; `false` if somebody may be there, or is at it
 */
export async function replaceForsaken(path: string, listen: () => Promise<void>): Promise<boolean> {
  // Without a trace, where somebody listens.
  if (!(await isForsaken(path))) return false;
  // Hidden: where the directory of the application is watched, it is no change.
  const turn = join(dirname(path), `.${basename(path)}.hf-turn`);
  if (!takeTurn(turn)) return false;
  try {
    if (!(await removeForsaken(path))) return false;
    // Whoever comes for the first time may still be faster; then this one is told.
    await listen();
    return true;
  } finally {
    endTurn(turn);
  }
}

async function removeForsaken(path: string): Promise<boolean> {
  try {
    const found = fileIdOf(path);
    await untilGrown(path);
    if (!(await isForsaken(path)) || fileIdOf(path) !== found) return false;
    unlinkSync(path);
    return true;
  } catch {
    // It was removed by hand, or this user may not.
    return false;
  }
}

/** The clock may have been set since it was made: this waits no longer than for a new one. */
async function untilGrown(path: string): Promise<void> {
  const age = ageOf(path);
  if (age < YOUNG_MS) await sleep(YOUNG_MS - Math.max(0, age));
}

function takeTurn(turn: string): boolean {
  if (tryToMake(turn)) return true;
  try {
    if (ageOf(turn) < KILLED_AFTER_MS) return false;
    // Only if it is a directory, and empty.
    rmdirSync(turn);
  } catch {
    return false;
  }
  return tryToMake(turn);
}

function tryToMake(turn: string): boolean {
  try {
    mkdirSync(turn, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

function endTurn(turn: string): void {
  try {
    rmdirSync(turn);
  } catch {
    // Another one has taken this one for killed, or nobody may remove it: then the next one waits.
  }
}

function ageOf(path: string): number {
  return Date.now() - statSync(path).mtimeMs;
}
