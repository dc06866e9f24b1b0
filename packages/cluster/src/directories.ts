/** Paths that users give, and whether one leads to a directory. Owns: nothing. Runs in: primary, and the command line. */
import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { HoldfastError } from "./errors.js";

/**
 * The same path, whatever becomes of the working directory of this process.
 * @param what what the path is, where that has to be told
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` for a relative one if that directory has been removed
 */
export function wholePath(path: string, what = path): string {
  const whole = wholePathIfAny(path);
  if (whole !== undefined) return whole;
  throw new HoldfastError(
    "HOLDFAST_ERR_INVALID_OPTION",
    `${what} is a relative path, and the working directory has been removed. Give the whole path.`,
  );
}

/** The same; `undefined` in place of an error. */
export function wholePathIfAny(path: string): string | undefined {
  // Behind a link, `..` is another directory than its text says: what is whole stays as it is.
  if (isAbsolute(path)) return path;
  return currentDirectory() === undefined ? undefined : resolve(path);
}

/** The working directory of this process; `undefined` if it has been removed. */
export function currentDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

/** A relative path is seen from the working directory of this process. */
export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
