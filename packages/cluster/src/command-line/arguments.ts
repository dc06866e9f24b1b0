/** Reads arguments. Runs in: the command line. */
import { codeOf, messageOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import { CommandError } from "./command-error.js";

/** Of each command. */
export const COMMON = { help: { type: "boolean", short: "h" } } as const;
/** Of commands for a cluster that runs. */
export const WHICH = {
  ...COMMON,
  name: { type: "string", short: "n" },
  control: { type: "string" },
} as const;

/** What `parseArgs()` gives; what it refuses is told with the way to get help. */
export function reading<T extends { positionals: string[] }>(
  command: string,
  most: number,
  parse: () => T,
): T {
  try {
    const parsed = parse();
    const { positionals } = parsed;
    if (positionals.length > most) throw new Error(`Unexpected argument '${positionals[most]}'.`);
    return parsed;
  } catch (error) {
    throw wrongUsage(command, messageOf(error));
  }
}

/** A whole number, in range; the text names the flag. */
export function numberOf(command: string, what: string, text: string, min: number, max: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw wrongUsage(command, `${what} must be a whole number from ${min} to ${max}, not "${text}".`);
}

export function wrongUsage(command: string, message: string): CommandError {
  return new CommandError(EXIT.usage, `${message}\nSee: holdfast ${command} --help`);
}

/** A failure of `startCluster()` as an end of the command. */
export function asCommandError(error: unknown): unknown {
  const code = codeOf(error);
  if (code === "HOLDFAST_ERR_INVALID_OPTION" || code === "HOLDFAST_ERR_WORKER_FILE") {
    return wrongUsage("run", messageOf(error));
  }
  return code.startsWith("HOLDFAST_ERR_") ? new CommandError(EXIT.failed, messageOf(error)) : error;
}
