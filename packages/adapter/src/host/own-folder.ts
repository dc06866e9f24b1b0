/**
 * Where this package's programs are, as an ES module and as CommonJS, neither of which knows the other's way to ask.
 * Owns: nothing. Runs in: workers.
 */
import { existsSync } from "node:fs";
import nodeModule from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = "hub-command.js";

/** The program `holdfast-hub`; undefined where the package was bundled and is not installed. */
export function hubProgram(): string | undefined {
  const beside = join(dirname(ownFile()), PROGRAM);
  if (existsSync(beside)) return beside;
  try {
    // By this name alone: whoever bundles for ES modules often declares a `createRequire` in front of everything.
    const { resolve } = nodeModule.createRequire(process.argv[1] ?? join(process.cwd(), "index.js"));
    return join(dirname(resolve("@holdfast/adapter/package.json")), "dist", "bundle", PROGRAM);
  } catch {
    return undefined;
  }
}

/** The file of this function, from where it was called. */
function ownFile(): string {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_error, [site]) => site?.getFileName() ?? "";
    const name = String(new Error().stack);
    return name.startsWith("file:") ? fileURLToPath(name) : name;
  } finally {
    Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  }
}
