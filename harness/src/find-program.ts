/** Programs that some tests need and a machine may lack. Runs in: tests. */
import { existsSync } from "node:fs";

export interface Wanted {
  readonly name: string;
  /** Environment variable that may hold the path. */
  readonly variable: string;
  /** Where it lies, most likely first. */
  readonly paths: readonly string[];
  /** How to get it, as a sentence. */
  readonly cure: string;
}

/**
 * Gives the path of a program, or undefined when the tests that need it are to be skipped; the reason is
 * printed. With HOLDFAST_REQUIRE_ALL=1, as in CI, nothing is skipped: then a missing program is an error.
 */
export function findProgram({ name, variable, paths, cure }: Wanted): string | undefined {
  const given = process.env[variable];
  if (given && !existsSync(given)) throw new Error(`${variable} is ${given}, and there is no such file.`);
  const path = given || paths.find((candidate) => existsSync(candidate));
  if (path) return path;
  const missing = `${name} is not installed. ${cure} Or set ${variable} to its path.`;
  if (process.env.HOLDFAST_REQUIRE_ALL === "1") throw new Error(missing);
  console.warn(`Tests are skipped: ${missing}`);
  return undefined;
}
