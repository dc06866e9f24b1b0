/** `holdfast run`: a cluster whose process is this one. Runs in: the command line, which is its primary. */
import { statSync } from "node:fs";
import { parseArgs } from "node:util";
import type { LoadBalancingMethod } from "@holdfast/sticky";
import { wholePath } from "../directories.js";
import { codeOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import type { ClusterOptions } from "../options.js";
import { startCluster } from "../supervisor/start-cluster.js";
import { asCommandError, COMMON, numberOf, reading, wrongUsage } from "./arguments.js";
import type { Command } from "./commands.js";
import { Development } from "./development.js";
import { placeOf } from "./status-table.js";

const FLAGS = {
  ...COMMON,
  port: { type: "string", short: "p" },
  host: { type: "string" },
  path: { type: "string" },
  workers: { type: "string", short: "w" },
  name: { type: "string", short: "n" },
  balance: { type: "string" },
  watch: { type: "boolean" },
  "watch-path": { type: "string", multiple: true },
  control: { type: "string" },
  "ready-timeout": { type: "string" },
  "hang-timeout": { type: "string" },
  "drain-timeout": { type: "string" },
  "stop-timeout": { type: "string" },
  "max-crashes": { type: "string" },
} as const;

/** Flags whose value is a number, the option that each stands for, and its range: that of `startCluster()`. */
const NUMBERS = {
  port: ["port", 0, 65_535],
  workers: ["workers", 1, 512],
  "ready-timeout": ["readyTimeout", 1, 2 ** 31 - 1],
  "hang-timeout": ["hangTimeout", 0, 2 ** 31 - 1],
  "drain-timeout": ["drainTimeout", 0, 2 ** 31 - 1],
  "stop-timeout": ["stopTimeout", 0, 2 ** 31 - 1],
  "max-crashes": ["maxCrashes", 1, 1_000_000],
} as const;

const METHODS: readonly LoadBalancingMethod[] = ["least-connection", "round-robin", "random", "hash"];

/** Never ends by itself: the cluster ends the process. */
export const run: Command = async (args) => {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  const { values, positionals } = reading("run", 1, () =>
    parseArgs({ args: [...own], options: FLAGS, allowPositionals: true }),
  );
  const [file] = positionals;
  if (!file) throw wrongUsage("run", "Which file are the workers to run?");
  try {
    const options = optionsOf(file, values, end < 0 ? [] : args.slice(end + 1));
    const directories = values["watch-path"]?.map(watchedDirectory);
    if (values.watch || directories) return await new Development(options, directories).run();
    const cluster = await startCluster(options);
    const { slots, address, name, pid } = cluster.status();
    console.log(
      `${name} (pid ${pid}) runs ${slots.length} workers on ${address ? placeOf(address) : "no port"}`,
    );
  } catch (error) {
    // It was told to stop before it had started: no failure, and it ends the process itself.
    if (codeOf(error) !== "HOLDFAST_ERR_CLOSED") throw asCommandError(error);
  }
  return EXIT.done;
};

type Values = Readonly<Partial<Record<keyof typeof FLAGS, string | boolean | string[]>>>;

function optionsOf(file: string, values: Values, args: readonly string[]): ClusterOptions {
  const given: Record<string, unknown> = { worker: wholePath(file), args };
  for (const flag of ["host", "path", "name"] as const)
    if (values[flag] !== undefined) given[flag] = values[flag];
  for (const [flag, [option, min, max]] of Object.entries(NUMBERS)) {
    const text = values[flag as keyof typeof NUMBERS];
    if (typeof text === "string") given[option] = numberOf("run", `--${flag}`, text, min, max);
  }
  const { PORT } = process.env;
  if (PORT && given.port === undefined && given.path === undefined) {
    given.port = numberOf("run", "PORT", PORT, 0, 65_535);
  }
  if (typeof values.balance === "string") given.sticky = { loadBalancingMethod: methodOf(values.balance) };
  if (values.control !== undefined) given.control = values.control === "none" ? false : values.control;
  // Each flag has been read as its option is typed, or is checked by startCluster() as an option of JavaScript.
  return given as unknown as ClusterOptions;
}

/** The whole path of a directory to watch. What is none would be watched in vain. */
function watchedDirectory(path: string): string {
  // It is that of a variable that is not set, and would be taken for the working directory.
  if (path === "") throw wrongUsage("run", "--watch-path takes a directory, and its path is empty.");
  const whole = wholePath(path, `--watch-path ${path}`);
  let found = `${whole} is a file. Name the directory that it is in.`;
  try {
    if (statSync(whole).isDirectory()) return whole;
  } catch (error) {
    found = `there is none at ${whole} (${codeOf(error)}). Name one that is there.`;
  }
  throw wrongUsage("run", `--watch-path takes a directory, and ${found}`);
}

function methodOf(text: string): LoadBalancingMethod {
  const method = METHODS.find((each) => each === text);
  if (method) return method;
  throw wrongUsage("run", `--balance must be one of ${METHODS.join(", ")}, not "${text}".`);
}
