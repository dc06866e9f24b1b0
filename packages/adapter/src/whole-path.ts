/** Paths that users give, seen from the working directory, which may change later. Owns: nothing. Runs in: all processes. */
import { resolve } from "node:path";
import { HoldfastError } from "./errors.js";

/**
 * @param what what the path is, as it is told
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` for a relative one if the working directory has been removed
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
  try {
    return resolve(path);
  } catch {
    return undefined;
  }
}
