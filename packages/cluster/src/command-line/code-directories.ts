/** In which directories the code of an application is. Owns: nothing. Runs in: the command line. */
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isDirectory } from "../directories.js";
import { identityIfSeen } from "../file-identity.js";

/**
 * @param worker what the workers run: a file, or a directory with a package
 * @returns that of the file; and if the path is that of a link, also that of the file behind it, which Node.js runs
 */
export function codeDirectories(worker: string): readonly string[] {
  if (isDirectory(worker)) return [worker];
  const beside = dirname(worker);
  const behind = directoryBehind(worker);
  return behind === undefined || isSame(beside, behind) ? [beside] : [beside, behind];
}

function directoryBehind(worker: string): string | undefined {
  try {
    return dirname(realpathSync(worker));
  } catch {
    // It is about to be written anew.
    return undefined;
  }
}

function isSame(one: string, other: string): boolean {
  const [first, second] = [one, other].map((path) => identityIfSeen(() => statSync(path, { bigint: true })));
  return first !== undefined && first === second;
}
