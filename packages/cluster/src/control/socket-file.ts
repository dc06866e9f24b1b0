/**
 * Unix sockets as files: whether somebody listens there, and which file it is.
 * Owns: nothing. Runs in: primary.
 */
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { codeOf, HoldfastError } from "../errors.js";
import { identityOf, ifSeen } from "../file-identity.js";

/** Of a Unix socket's path: the system's limit, without the byte that ends it. */
export const MAX_SOCKET_PATH_BYTES = process.platform === "darwin" ? 103 : 107;

/**
 * The path, if the system can take one that is so long.
 * @param cure what to do otherwise, as a sentence
 * @throws {HoldfastError} `HOLDFAST_ERR_CONTROL_SOCKET`
 */
export function shortEnough(path: string, cure: string): string {
  const fault = whyTooLong(path);
  if (fault === undefined) return path;
  throw new HoldfastError("HOLDFAST_ERR_CONTROL_SOCKET", `${fault} ${cure}`);
}

/** A sentence; `undefined` for a path that the system can take. */
export function whyTooLong(path: string): string | undefined {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return undefined;
  return `The path ${path} is too long for a Unix socket, which can have ${MAX_SOCKET_PATH_BYTES} bytes.`;
}

/** taken: a process listens there; forsaken: the one that did is gone. */
type SocketState = "taken" | "forsaken";

/** Whether it is a socket that a process has left which is gone. A file of another kind is nobody's to remove. */
export async function isForsaken(path: string): Promise<boolean> {
  return (await ask(path)) === "forsaken";
}

/** Whether it is a socket, and a process listens there. */
export async function isTaken(path: string): Promise<boolean> {
  return (await ask(path)) === "taken";
}

/** Which of the two it is; `undefined` if it is no socket, or is gone by now. */
export async function ask(path: string): Promise<SocketState | undefined> {
  return isSocket(path) ? knock(path) : undefined;
}

/** One that begins with a zero, on Linux, is no file: it ends with its process. */
function isSocket(path: string): boolean {
  return !path.startsWith("\0") && ifSeen(() => lstatSync(path))?.isSocket() === true;
}

/** Whether a file of another kind has that path. */
export function isOtherFile(path: string): boolean {
  return ifSeen(() => lstatSync(path))?.isSocket() === false;
}

function knock(path: string): Promise<SocketState | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("taken");
    });
    socket.once("error", (error) => {
      const code = codeOf(error);
      if (code === "ECONNREFUSED") resolve("forsaken");
      // Any other error is no proof that nobody is there.
      else resolve(code === "ENOENT" ? undefined : "taken");
    });
  });
}

/**
 * By which a file is told from another one of its name.
 * @throws {Error} of the system, if it is not there or may not be looked at
 */
export function fileIdOf(path: string): string {
  return identityOf(lstatSync(path, { bigint: true }));
}

/** Removes the name, if it is still that of this file. @throws {Error} of the system */
export function giveName(path: string, file: string): void {
  if (fileIdOf(path) === file) unlinkSync(path);
}

/** @throws {Error} of the system */
export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}
