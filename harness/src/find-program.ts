/** Programs and rights that some tests need and a machine may lack. Runs in: tests. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** With this, what `skipsWithout()` writes begins; at the end of a run it is shown again. */
export const SKIPS = "Tests are skipped: ";

export interface Wanted {
  readonly name: string;
  /** What it is called, most likely first: looked for in PATH. */
  readonly programs: readonly string[];
  /** Environment variable that may hold the path. */
  readonly variable: string;
  /** Where else it may lie: not everybody has /usr/sbin in PATH. */
  readonly paths?: readonly string[];
  /** How to get it, as a sentence. */
  readonly cure: string;
}

/** Gives the path of a program, or undefined when the tests that need it are to be skipped. */
export function findProgram({ name, programs, variable, paths = [], cure }: Wanted): string | undefined {
  const given = process.env[variable];
  if (given && !existsSync(given)) throw new Error(`${variable} is ${given}, and there is no such file.`);
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const inPath = programs.flatMap((program) => folders.map((folder) => join(folder, program)));
  const path = given || [...inPath, ...paths].find((candidate) => existsSync(candidate));
  skipsWithout(path, `${name} is not installed. ${cure} Or set ${variable} to its path.`);
  return path;
}

/**
 * Says why tests are skipped if there is nothing that they need. With HOLDFAST_REQUIRE_ALL=1, as in CI, nothing is
 * skipped: then it is an error.
 * @param missing what is missing, and how to get it
 */
export function skipsWithout(needed: unknown, missing: string): void {
  if (needed) return;
  if (process.env.HOLDFAST_REQUIRE_ALL === "1") throw new Error(missing);
  console.warn(SKIPS + missing);
}
