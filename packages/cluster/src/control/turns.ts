/**
 * Turns: of several processes that would remove what is left at a path, one at a time may.
 * Owns: a ticket while one waits or has its turn: a socket that listens, in the directory of the path. Runs in: primary.
 *
 * Whoever has taken a ticket looks for those of others then, and has the turn only if there is none: so of any two, at least
 * the later one sees the other. Nothing has to be cleaned up before the next turn: nobody answers at the ticket of a process
 * that is gone, whenever it was killed and whatever the clock says. The name of a ticket is random and nobody's again: that of
 * a living process is never removed by mistake, and nobody can have it before.
 */
import { once } from "node:events";
import { chmodSync, lstatSync, readdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, removeIfThere, whyTooLong } from "./socket-file.js";
import { removeForsaken, UNNAMED, unnamedPath } from "./unnamed-socket.js";

const ENDING = ".t";
/** As long as a socket without a name, so that there is room for it wherever a control socket can be. */
const PATTERN = /^\.hf-[\w-]{6}\.t$/;
const LOOK_AGAIN_MS = 10;
/** A turn takes some milliseconds: who has it for so long stands still. */
const PATIENCE_MS = 5_000;
/** Of a directory in which only the owner of a file may remove it. */
const STICKY_BIT = 0o1000;
const ROOT = 0;

export interface Turn {
  end(): void;
}

/**
 * @param path what is to be removed
 * @param signal ends the wait: the turn is not wanted any more
 * @returns `undefined` if another process has had its turn for too long, and lives
 * @throws {Error} of the system, if this user may make nothing there; the `AbortError` of `signal`
 */
export async function takeTurn(path: string, signal?: AbortSignal): Promise<Turn | undefined> {
  const directory = dirname(path);
  // Only this directory is the same for all who want the path. Where it has no room for a ticket, nobody has one.
  if (whyTooLong(join(directory, UNNAMED)) !== undefined) return { end: () => {} };
  const tooLate = performance.now() + PATIENCE_MS;
  let ticket: Ticket | undefined;
  try {
    while (performance.now() < tooLate) {
      const others = await othersTickets(path, ticket?.name);
      if (others.length === 0) {
        if (ticket) return ticket;
        ticket = await Ticket.take(directory);
        continue;
      }
      // Of those who see each other, one stays.
      if (ticket?.isBehind(others)) {
        ticket.end();
        ticket = undefined;
      }
      await sleep(LOOK_AGAIN_MS, undefined, { signal });
    }
  } catch (error) {
    ticket?.end();
    throw error;
  }
  ticket?.end();
  return undefined;
}

class Ticket implements Turn {
  readonly name: string;
  readonly #path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.name = basename(path);
    this.#path = path;
    this.#server = server;
  }

  static async take(directory: string): Promise<Ticket> {
    await removeForsaken(directory);
    const unnamed = unnamedPath(directory);
    const path = unnamed.slice(0, -ENDING.length) + ENDING;
    const server = createServer((socket) => socket.destroy());
    const listening = once(server, "listening");
    server.listen(unnamed);
    await listening;
    try {
      openToAll(unnamed);
      // Not before it answers: a ticket at which nobody answers is that of a process that is gone.
      renameSync(unnamed, path);
    } catch (error) {
      server.close();
      throw error;
    }
    return new Ticket(path, server);
  }

  isBehind(others: readonly string[]): boolean {
    return others.some((name) => name < this.name);
  }

  end(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // It was removed by hand, or may not be removed any more: nobody will answer there.
    }
    this.#server.close();
  }
}

/** Whoever wants the turn as another user has to see whether somebody answers. */
function openToAll(path: string): void {
  try {
    chmodSync(path, 0o666);
  } catch {
    // Some file systems have no modes for sockets.
  }
}

/** The names of tickets at which somebody answers. The others are removed. */
async function othersTickets(path: string, own: string | undefined): Promise<string[]> {
  const directory = dirname(path);
  const counts = whoseCount(path);
  const living: string[] = [];
  for (const name of ticketsIn(directory)) {
    const ticket = join(directory, name);
    if (name === own || !counts(ticket)) continue;
    const state = await ask(ticket);
    if (state === "taken") living.push(name);
    else if (state === "forsaken") removeIfAllowed(ticket);
  }
  return living;
}

function ticketsIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => PATTERN.test(name));
  } catch {
    // Who may not list it sees nobody, and is seen by those who may.
    return [];
  }
}

/** In a directory of all users, who may not remove what is at the path does not keep others from that. */
function whoseCount(path: string): (ticket: string) => boolean {
  const directory = statSync(dirname(path));
  if ((directory.mode & STICKY_BIT) === 0) return () => true;
  const allowed = [ROOT, directory.uid, ownerOf(path)];
  return (ticket) => allowed.includes(ownerOf(ticket));
}

function ownerOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.uid;
}

function removeIfAllowed(path: string): void {
  try {
    removeIfThere(path);
  } catch {
    // In a directory of all users, it stays that of its user.
  }
}
