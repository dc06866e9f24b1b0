/**
 * Why the cluster cannot listen, and what to do about it.
 * Owns: nothing. Runs in: primary.
 *
 * The system has few words for what is wrong with the path of a Unix socket: whatever lies there is an address in use,
 * and Node.js calls a directory that is missing a right that is. So this looks.
 */
import { constants, lstatSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isClosed } from "../closed-to-self.js";
import { isTaken } from "../control/socket-file.js";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import { ifSeen } from "../file-identity.js";
import type { ListenPlace } from "./resolve-options.js";

export async function cannotListen(
  { port, host, path }: ListenPlace,
  error: unknown,
): Promise<HoldfastError> {
  const text = path === undefined ? whyNotOnPort(port, host, error) : await whyNotAt(path, error);
  return new HoldfastError("HOLDFAST_ERR_LISTEN", text, { cause: error });
}

function whyNotOnPort(port: number, host: string | undefined, error: unknown): string {
  const place = `port ${port}${host === undefined ? "" : ` of ${host}`}`;
  const texts: Record<string, string> = {
    EADDRINUSE: `Somebody else listens on ${place}. Stop that, or choose another place.`,
    EACCES: `This user may not listen on ${place}. Choose another place.`,
    EADDRNOTAVAIL: `This machine has no address ${host}.`,
  };
  return texts[codeOf(error)] ?? `Cannot listen on ${place}: ${messageOf(error)}`;
}

async function whyNotAt(path: string, error: unknown): Promise<string> {
  const code = codeOf(error);
  const otherwise = `Cannot listen on ${path}: ${messageOf(error)}`;
  // A pipe of Windows is in no directory.
  if (process.platform === "win32") return otherwise;
  if (code === "EADDRINUSE") return whoIsAt(path);
  // The system says so, too, where a file system has no sockets.
  if (code === "EPERM" && ifSeen(() => lstatSync(path))?.isSocket()) {
    return `Another user's process has left its socket at ${path}, which this user may not remove. Remove it, or choose another path.`;
  }
  const directory = dirname(path);
  // The file that the system names may be one for moments beside it.
  if (["ENOSPC", "EDQUOT"].includes(code)) {
    return `There is no room for a socket in ${directory} (${code}). Make some, or choose another path.`;
  }
  if (!["EACCES", "ENOENT", "ENOTDIR"].includes(code)) return otherwise;
  try {
    if (!statSync(directory).isDirectory()) {
      return `${directory} is no directory, so the socket ${path} cannot be in it. Choose another path.`;
    }
  } catch (fault) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(fault))) {
      return `There is no directory ${directory} for the socket. Make it, or choose another path.`;
    }
  }
  return `This user may not make a socket in ${directory}. Give it the right to, or choose another path.`;
}

async function whoIsAt(path: string): Promise<string> {
  const kind = await otherThanSocket(path);
  if (kind !== undefined) {
    return `There is ${kind} at ${path}, where the socket is to be. Remove it, or choose another path.`;
  }
  if (isClosed(path, constants.W_OK)) {
    return `Somebody else may listen on ${path}, where this user may not ask. Remove it if nobody does, or choose another path.`;
  }
  return `Somebody else listens on ${path}, or is about to. Stop that, or choose another path.`;
}

/** What lies at the path, if that is no socket, and leads to none on which somebody may listen. */
async function otherThanSocket(path: string): Promise<string | undefined> {
  const own = ifSeen(() => lstatSync(path));
  if (!own || own.isSocket()) return undefined;
  if (own.isDirectory()) return "a directory";
  if (!own.isSymbolicLink()) return "a file";
  const target = ifSeen(() => realpathSync(path));
  return target !== undefined && (await isTaken(target)) ? undefined : "a symbolic link";
}
