/** What a user has closed to themselves, as with `chmod`. Owns: nothing. Runs in: primary, and the command line. */
import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { codeOf } from "./errors.js";
import { ifSeen } from "./file-identity.js";

/**
 * Whether that is why this user cannot use what is at the path, as a sentence that says what to do.
 * @param access what it is needed for: `W_OK` and others of Node.js' constants
 */
export function closedToSelf(path: string, access: number): string | undefined {
  const stats = ifSeen(() => statSync(path));
  if (!stats) {
    const parent = dirname(path);
    return parent === path ? undefined : closedToSelf(parent, constants.X_OK);
  }
  if (stats.uid !== process.getuid?.() || !isClosed(path, access)) return undefined;
  const rights = stats.isDirectory() ? "u+rwx" : "u+rw";
  return `You have closed ${path} to yourself: run chmod ${rights} ${path}.`;
}

/** Whether it is there, and this user has no right to use it so. */
export function isClosed(path: string, access: number): boolean {
  try {
    accessSync(path, access);
    return false;
  } catch (error) {
    return codeOf(error) === "EACCES";
  }
}
