/**
 * The private directory of an application that no primary keeps: its processes know its name, make it, and remove it.
 * Owns: where it may be, how it is made and cleaned. Runs in: workers.
 *
 * It may lie in several places at a time: the first one may be full, be somebody else's, or go with the login of a user.
 * So a process puts its own socket where it can, and looks for the others' everywhere.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, type Stats } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { inspectDirectory, SOCKET_NAME, socketPath, tooLongForSockets } from "./private-directory.js";

const IS_WINDOWS = process.platform === "win32";
/** A younger socket may be bound and not listen yet. */
const YOUNG_MS = 1_000;
/** How long a socket may take to say whether somebody listens. */
const PROBE_MS = 1_000;

/** Where the directory of that name may be, the best place first. */
export function directoriesOf(name: string): string[] {
  const runtime = process.env.XDG_RUNTIME_DIR ?? "";
  const places = [inspectDirectory(runtime) === "ours" ? runtime : "", tmpdir(), "/tmp", "/var/tmp"];
  return [...new Set(places)].filter((place) => isAbsolute(place)).map((place) => join(place, name));
}

/**
 * Makes a directory unless it is there.
 * @throws {Error} whose text says why it is no good
 */
export function provideDirectory(directory: string): void {
  if (IS_WINDOWS) return;
  if (tooLongForSockets(directory)) throw new Error(`${directory}: the path is too long for a socket`);
  if (inspectDirectory(directory) === "missing") {
    try {
      mkdirSync(directory, { mode: 0o700 });
      // The umask may have taken rights away.
      chmodSync(directory, 0o700);
    } catch (error) {
      // Another process may have been faster.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  if (inspectDirectory(directory) !== "ours") {
    throw new Error(`${directory}: it belongs to another user, is open to others, or is no directory`);
  }
}

/**
 * The socket of that number, in whichever of the directories it is; if it is in none, where it would be: in one that is
 * ours, since of another one nobody could say that it is missing there.
 */
export function findSocket(directories: readonly string[], number: number): string {
  const paths = directories
    .filter((each) => inspectDirectory(each) === "ours")
    .map((each) => socketPath(each, number));
  const found = paths.find((path) => IS_WINDOWS || statOf(path) !== undefined);
  return found ?? paths[0] ?? socketPath(directories.at(-1) ?? tmpdir(), number);
}

/** Removes a directory if nothing is in it. Never throws. */
export function removeIfEmpty(directory: string): void {
  if (IS_WINDOWS || inspectDirectory(directory) !== "ours") return;
  try {
    rmdirSync(directory);
  } catch {
    // Others are in it.
  }
}

/**
 * Removes the sockets on which nobody listens any more, and the directories that are empty then: of this
 * application, and of all others of this user, whose processes were killed. Never rejects.
 * @param directories of this application
 */
export async function removeTheDead(directories: readonly string[]): Promise<void> {
  if (IS_WINDOWS) return;
  for (const directory of directories.flatMap(siblingsOf)) {
    if (inspectDirectory(directory) !== "ours") continue;
    for (const name of namesIn(directory).filter((each) => SOCKET_NAME.test(each))) {
      // What may not be looked at or removed stays.
      await removeIfDead(join(directory, name)).catch(() => {});
    }
    removeIfEmpty(directory);
  }
}

/** Directories of applications of the same user in the same place. */
function siblingsOf(directory: string): string[] {
  const place = join(directory, "..");
  const pattern = new RegExp(`^holdfast-${process.geteuid?.() ?? 0}-[0-9a-f]{16}$`);
  return namesIn(place)
    .filter((name) => pattern.test(name))
    .map((name) => join(place, name));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

async function removeIfDead(path: string): Promise<void> {
  const before = statOf(path);
  if (before === undefined || Date.now() - before.mtimeMs < YOUNG_MS || !(await isDead(path))) return;
  if (statOf(path)?.ino === before.ino) rmSync(path, { force: true });
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Whether certainly nobody listens. */
function isDead(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const timer = setTimeout(() => finish(false), PROBE_MS).unref();
    const finish = (dead: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(dead);
    };
    socket.once("connect", () => finish(false));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => finish(code === "ECONNREFUSED"));
  });
}
