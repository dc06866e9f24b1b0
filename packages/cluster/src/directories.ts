/** Whether a path leads to a directory. Owns: nothing. Runs in: primary. */
import { statSync } from "node:fs";

/** A relative path is seen from the working directory of this process. */
export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
