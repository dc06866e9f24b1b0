/**
 * What in a directory can be code of the application, and what certainly is none: sockets and pipes, what others have
 * installed, what is hidden, what Holdfast itself makes. Owns: nothing. Runs in: the command line.
 * Paths are those of `byte-path.ts`.
 */
import { type BigIntStats, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../errors.js";
import { identityOf } from "../file-identity.js";
import { bytesOf, fromBytes } from "./byte-path.js";
import { isPrivateDirectory, ownOutput } from "./own-files.js";

/** What others have installed, and what is hidden. */
const SKIPPED = /^(node_modules$|\.)/;
/** Below an application in the root directory: they show what the system does, and that never ends. */
const OF_THE_SYSTEM = new Set(["/proc", "/sys", "/dev"]);
/** Codes of a path that leads to nothing, or to no directory. */
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/** code: may be; output: this process writes its own there; none: it is something else, or nothing is there. */
export type Kind = "code" | "output" | "none";

export class CodeFiles {
  readonly #isOwnOutput = ownOutput();

  /**
   * The names of what can be code there, those of directories with their identities.
   * @throws {Error} of the system
   */
  in(directory: string): Map<string, string | undefined> {
    const found = new Map<string, string | undefined>();
    const entries = readdirSync(bytesOf(directory), { encoding: "buffer", withFileTypes: true });
    for (const entry of entries) {
      const name = fromBytes(entry.name);
      if (isSkipped(directory, name)) continue;
      if (entry.isFile() || entry.isSymbolicLink()) found.set(name, undefined);
      if (!entry.isDirectory()) continue;
      const stats = lookAt(join(directory, name));
      if (stats?.isDirectory() && !isPrivateDirectory(bytesOf(directory), name, stats)) {
        found.set(name, directoryIdentity(stats));
      }
    }
    return found;
  }

  kindOf(directory: string, name: string): Kind {
    if (isSkipped(directory, name)) return "none";
    try {
      const stats = lookAt(join(directory, name));
      if (!stats) return "none";
      if (this.#isOwnOutput(stats)) return "output";
      if (stats.isFile() || stats.isSymbolicLink()) return "code";
      return stats.isDirectory() && !isPrivateDirectory(bytesOf(directory), name, stats) ? "code" : "none";
    } catch {
      // There is something, which this user may not look at.
      return "code";
    }
  }
}

/**
 * By which a directory is told from another one at its path, also from one made anew, which may have the same inode.
 * @returns `undefined` if there is none
 * @throws {Error} of the system, if that cannot be seen
 */
export function directoryAt(path: string): string | undefined {
  const stats = orGone(() => statSync(bytesOf(path), { bigint: true }));
  return stats?.isDirectory() ? directoryIdentity(stats) : undefined;
}

export function isGone(error: unknown): boolean {
  return GONE.has(codeOf(error));
}

function directoryIdentity(stats: BigIntStats): string {
  return `${identityOf(stats)}:${stats.birthtimeNs}`;
}

function isSkipped(directory: string, name: string): boolean {
  return SKIPPED.test(name) || OF_THE_SYSTEM.has(join(directory, name));
}

/** `undefined` if nothing is there. @throws {Error} of the system */
function lookAt(path: string): BigIntStats | undefined {
  return orGone(() => lstatSync(bytesOf(path), { bigint: true }));
}

function orGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}
