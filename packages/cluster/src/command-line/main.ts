/** The command line: finds the command, and turns failures into texts and exit codes. Runs in: the command line. */
import { EXIT } from "../exit-codes.js";
import { VERSION } from "../version.js";
import { CommandError } from "./command-error.js";
import { type Command, rebalance, reload, scale, status, stop } from "./commands.js";
import { run } from "./run.js";
import { top } from "./top.js";
import { COMMAND_USAGE, USAGE } from "./usage.js";

const COMMANDS: Readonly<Record<string, Command>> = { run, reload, status, top, scale, rebalance, stop };

async function main([name, ...args]: readonly string[]): Promise<number | undefined> {
  if (name === undefined) throw new CommandError(EXIT.usage, USAGE);
  if (name === "--version" || name === "-v") return say(VERSION);
  if (name === "--help" || name === "-h") return say(USAGE);
  if (name === "help") return say(usageOf(args[0] ?? ""));
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new CommandError(EXIT.usage, `There is no command "${name}".\nSee: holdfast --help`);
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  if (own.some((arg) => arg === "--help" || arg === "-h")) return say(usageOf(name));
  return command(args);
}

function usageOf(name: string): string {
  return (Object.hasOwn(COMMAND_USAGE, name) && COMMAND_USAGE[name]) || USAGE;
}

function say(text: string): number {
  console.log(text);
  return EXIT.done;
}

try {
  // Set, not exited with: what is written to a pipe must arrive, and a cluster goes on.
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  console.error(error.message);
  process.exit(error.exitCode);
}
