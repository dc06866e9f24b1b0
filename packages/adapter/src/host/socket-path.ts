/**
 * The path of a hub's socket, and the directory it is in: whose they are, and whether they will do.
 * Owns: nothing. Runs in: hub process and workers.
 *
 * Whoever holds the path can speak for the hub. So the socket belongs to this user or to root, and before it is used
 * it is looked at: in a place like `/tmp`, anybody may lay out a file of that name.
 */
import { chmodSync, lstatSync, mkdirSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { HoldfastError } from "../errors.js";

/** `sun_path` without its final zero; longer paths would be cut, or refused. */
export const MAX_PATH_BYTES = process.platform === "linux" ? 107 : 103;
const ROOT_UID = 0;
const OPEN_TO_OTHERS = 0o077;

/** Where a hub listens before its socket has its name. No longer than that of the rendezvous. */
export function temporaryPath(path: string, pid = process.pid): string {
  return join(dirname(path), `.hf${pid.toString(36)}`);
}

/** @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH` */
export function checkLength(path: string): void {
  const bytes = Math.max(Buffer.byteLength(path), Buffer.byteLength(temporaryPath(path, 2 ** 22)));
  if (bytes <= MAX_PATH_BYTES) return;
  throw pathError(
    `The path "${path}" is too long for a Unix socket: it takes ${bytes} bytes, and the system allows ` +
      `${MAX_PATH_BYTES}. Choose a shorter one, for instance below /run.`,
  );
}

/**
 * Looks at what is at the path.
 * @returns undefined if nothing is there
 * @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH` for what is no socket, or somebody else's
 */
export function lookAtSocket(path: string): Stats | undefined {
  const stats = lookAt(path);
  if (!stats) return undefined;
  if (!stats.isSocket()) {
    throw pathError(`"${path}" is not a socket. Remove it, or choose another path for the hub.`);
  }
  if (!isTrusted(stats.uid)) {
    throw pathError(
      `The socket "${path}" belongs to another user (uid ${stats.uid}), who could read and send everything. ` +
        "Run hub and workers as the same user, or choose another path.",
    );
  }
  return stats;
}

/**
 * Sees to it that the directory is there, and nobody else's.
 * @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH`
 */
export function ensurePrivateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
    // The umask may have taken rights away.
    chmodSync(directory, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw refused(directory, error);
  }
  checkPrivateDirectory(directory);
}

/**
 * Looks at whose the directory is, if it is there.
 * @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH` if it is not this user's alone
 */
export function checkPrivateDirectory(directory: string): void {
  const stats = lookAt(directory);
  if (!stats || isPrivate(stats)) return;
  throw pathError(
    `The directory "${directory}", in which the processes of this application find each other, belongs to another ` +
      "user or is open to others. Remove it, or set XDG_RUNTIME_DIR or TMPDIR to a directory of this user alone.",
  );
}

/** Whether it is a directory of this user, and of nobody else. */
export function isPrivate(stats: Stats): boolean {
  return stats.isDirectory() && stats.uid === process.geteuid?.() && (stats.mode & OPEN_TO_OTHERS) === 0;
}

export function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw refused(path, error);
  }
}

/** What the system said about the path, with what to do. */
export function refused(path: string, cause: unknown): HoldfastError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const hints: Record<string, string> = {
    EACCES: "This user may not use it. Choose a path in a directory of this user, or give it the right.",
    EPERM: "This user may not use it. Choose a path in a directory of this user, or give it the right.",
    EROFS: "The file system is read-only. Choose a path elsewhere, for instance below /run.",
    ENOSPC: "The file system is full. Make room, or choose a path on another one.",
    EDQUOT: "This user's share of the file system is used up. Make room, or choose a path on another one.",
    ENOENT: "Its directory does not exist. Make the directory, or choose another path.",
    ENOTDIR: "A part of it is no directory. Choose another path.",
  };
  const hint = hints[code ?? ""] ?? "Choose another path.";
  return pathError(`The hub's path "${path}" cannot be used (${code ?? message}). ${hint}`, { cause });
}

function isTrusted(uid: number): boolean {
  return uid === process.geteuid?.() || uid === ROOT_UID;
}

function pathError(message: string, options?: ErrorOptions): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_HUB_PATH", message, options);
}
