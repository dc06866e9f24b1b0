/**
 * A private directory: where the sockets are on which the processes of one application find each other.
 * Owns: how it is made, looked at and removed. Runs in: primary and workers.
 *
 * Whoever can enter it can speak for a worker. So it belongs to one user with mode 0700, and is looked at before it is
 * used: in a place like `/tmp`, anybody may lay out a directory of that name when ours has been removed.
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { HoldfastError } from "../errors.js";
import { OWNER_FILE, ownIdentity } from "./owner-file.js";

const PREFIX = "holdfast-";
/** What `mkdtemp` appends. */
export const DIRECTORY_NAME = /^holdfast-[A-Za-z0-9]{6}$/;
/** Names of workers' sockets. */
export const SOCKET_NAME = /^\d+$/;
/** The longest name of a socket: the greatest worker id. */
const SOCKET_NAME_BYTES = 8;
/** Size of `sun_path` with its final zero; longer paths would be cut, or refused. */
const SUN_PATH_BYTES = process.platform === "linux" ? 108 : 104;
const IS_WINDOWS = process.platform === "win32";

/** The socket of a worker. On Windows a named pipe, which has no directory and no mode. */
export function socketPath(directory: string, workerId: number): string {
  return IS_WINDOWS
    ? `\\\\.\\pipe\\${directory.replace(/[\\/:]/g, "-")}-${workerId}`
    : join(directory, String(workerId));
}

/**
 * Removes what has the name of a socket. Never throws: who has lost the right to do so, or ends, cannot help it, and who
 * opens a socket of that name learns of it then.
 */
export function removeSocket(path: string): void {
  if (IS_WINDOWS) return;
  try {
    rmSync(path, { force: true });
  } catch {
    // See above.
  }
}

/** Whether an error of a socket says that nobody is there: there is no file, or nobody listens on it. */
export function isAbsence(code: string | undefined): boolean {
  return code === "ENOENT" || code === "ECONNREFUSED";
}

/** Whether the sockets of workers do not fit into a directory. */
export function tooLongForSockets(directory: string): boolean {
  return Buffer.byteLength(directory) + "/".length + SOCKET_NAME_BYTES + 1 > SUN_PATH_BYTES;
}

/** How many bytes the path of a place may have, so that they fit into a directory of that name there. */
export function longestPlaceFor(name: string): number {
  return SUN_PATH_BYTES - `/${name}/`.length - SOCKET_NAME_BYTES - 1;
}

/** Where private directories may be, the best first. */
export function placesForDirectories(): string[] {
  const places = [tmpdir(), process.env.XDG_RUNTIME_DIR ?? "", "/tmp", "/var/tmp"];
  return [...new Set(places)].filter((place) => isAbsolute(place));
}

/**
 * Makes a private directory in the first place that will do.
 * @param prepare makes it what it has to be; where that throws, the place will not do
 * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` if none does
 */
export function makePrivateDirectory(
  places: readonly string[] = placesForDirectories(),
  prepare: (directory: string) => void = () => {},
): string {
  const failures: string[] = [];
  for (const place of places) {
    const pattern = join(place, PREFIX);
    if (IS_WINDOWS) return `${pattern}${Math.random().toString(36).slice(2, 8)}`;
    try {
      return makeIn(pattern, prepare);
    } catch (error) {
      failures.push(`${place} (${(error as Error).message})`);
    }
  }
  throw new HoldfastError(
    "HOLDFAST_ERR_PRIVATE_DIRECTORY",
    `There is no place for the workers' private sockets: ${failures.join(", ")}. Set TMPDIR to a directory that ` +
      `exists, that this user can write to, and whose path has at most ` +
      `${longestPlaceFor(`${PREFIX}XXXXXX`)} bytes.`,
  );
}

function makeIn(pattern: string, prepare: (directory: string) => void): string {
  if (tooLongForSockets(`${pattern}XXXXXX`)) throw new Error("its path is too long for a socket");
  const directory = mkdtempSync(pattern);
  try {
    // The umask may have taken rights away.
    chmodSync(directory, 0o700);
    writeFileSync(join(directory, OWNER_FILE), ownIdentity(), { mode: 0o600 });
    if (inspectDirectory(directory) !== "ours") throw new Error("its files are open to other users");
    prepare(directory);
    return directory;
  } catch (error) {
    removePrivateDirectory(directory);
    throw error;
  }
}

/** `foreign`: somebody else's, open to others, or no directory. `denied`: this user may not look at it. */
export type DirectoryState = "ours" | "missing" | "foreign" | "denied";

/** @param uid whose it must be */
export function inspectDirectory(directory: string, uid = process.geteuid?.()): DirectoryState {
  if (IS_WINDOWS) return "ours";
  try {
    const stat = lstatSync(directory);
    const isOurs = stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0;
    return isOurs ? "ours" : "foreign";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "missing" : "denied";
  }
}

/**
 * Makes a private directory that was removed again, under the same name. Others may have been faster.
 * @param ownerPid the process whose end makes the directory stale
 */
export function restoreDirectory(directory: string, ownerPid: number): DirectoryState {
  try {
    mkdirSync(directory, { mode: 0o700 });
    chmodSync(directory, 0o700);
    writeFileSync(join(directory, OWNER_FILE), ownIdentity(ownerPid), { mode: 0o600 });
  } catch {
    // What is there now tells.
  }
  return inspectDirectory(directory);
}

/** The names of the sockets in it. */
export function socketsIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => SOCKET_NAME.test(name));
}

/** Removes a private directory with what belongs in it, and with nothing else. Never throws. */
export function removePrivateDirectory(directory: string): void {
  if (IS_WINDOWS) return;
  try {
    // Never through a link: what lies elsewhere is not ours.
    if (!lstatSync(directory).isDirectory()) return;
    for (const name of [...socketsIn(directory), OWNER_FILE]) rmSync(join(directory, name), { force: true });
    rmdirSync(directory);
  } catch {
    // Somebody else removes it as well, or uses it for something else.
  }
}
