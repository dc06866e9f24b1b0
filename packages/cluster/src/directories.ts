/** Paths that users give, and whether one leads to a directory. Owns: nothing. Runs in: primary, and the command line. */
import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";

/** The same path, whatever becomes of the working directory of this process. */
export function wholePath(path: string): string {
  // Behind a link, `..` is another directory than its text says: what is whole stays as it is.
  return isAbsolute(path) ? path : resolve(path);
}

/** The same; `undefined` for a relative one if the working directory of this process has been removed. */
export function wholePathIfAny(path: string): string | undefined {
  return isAbsolute(path) || currentDirectory() !== undefined ? wholePath(path) : undefined;
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
