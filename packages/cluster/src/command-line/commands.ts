/** The commands for a cluster that runs. Runs in: the command line. */
import { parseArgs } from "node:util";
import { EXIT } from "../exit-codes.js";
import { MAX_TIMER_MS } from "../option-reader.js";
import type { RebalanceResult, ReloadResult, ScaleResult } from "../reload.js";
import type { StopResult } from "../status.js";
import { numberOf, reading, WHICH, wrongUsage } from "./arguments.js";
import { ProgressLine } from "./progress-line.js";
import { ask, findAll, findOne } from "./running-clusters.js";
import { statusTable } from "./status-table.js";

const MAX_WORKERS = 512;

const STATUS = { ...WHICH, json: { type: "boolean" } } as const;
const STOP = { ...WHICH, timeout: { type: "string", short: "t" } } as const;

/** Carries a command out and gives the exit code. */
export type Command = (args: readonly string[]) => Promise<number>;

export const reload: Command = async (args) => {
  const { values } = reading("reload", 0, () =>
    parseArgs({ args: [...args], options: WHICH, allowPositionals: true }),
  );
  const { path } = await findOne(values);
  const line = new ProgressLine();
  try {
    const result = (await ask(path, { command: "reload" }, (progress) =>
      line.show(progress),
    )) as ReloadResult;
    line.end();
    const { workers, moved, closed, killed, durationMs } = result;
    console.log(
      `Reloaded ${workers} workers in ${(durationMs / 1_000).toFixed(1)} s: ${moved} sessions moved, ${closed} ` +
        `connections closed${killed > 0 ? `, ${killed} workers killed` : ""}.`,
    );
    return EXIT.done;
  } finally {
    line.end();
  }
};

export const status: Command = async (args) => {
  const { values } = reading("status", 0, () =>
    parseArgs({ args: [...args], options: STATUS, allowPositionals: true }),
  );
  const { found, problems } = await findAll(values);
  const all = found.map((each) => each.status);
  if (values.json) console.log(JSON.stringify(all, undefined, 2));
  else if (all.length > 0) console.log(all.map(statusTable).join("\n\n"));
  for (const { text } of problems) console.error(text);
  return problems.length > 0 ? EXIT.failed : EXIT.done;
};

export const scale: Command = async (args) => {
  const { values, positionals } = reading("scale", 1, () =>
    parseArgs({ args: [...args], options: WHICH, allowPositionals: true }),
  );
  const [text] = positionals;
  if (text === undefined) throw wrongUsage("scale", "How many workers?");
  const workers = numberOf("scale", "The number of workers", text, 1, MAX_WORKERS);
  const { path } = await findOne(values);
  const { before, after, moved, closed } = (await ask(
    path,
    { command: "scale", workers },
    () => {},
  )) as ScaleResult;
  console.log(
    `Scaled from ${before} to ${after} workers: ${moved} sessions moved, ${closed} connections closed.`,
  );
  return EXIT.done;
};

export const rebalance: Command = async (args) => {
  const { values } = reading("rebalance", 0, () =>
    parseArgs({ args: [...args], options: WHICH, allowPositionals: true }),
  );
  const { path } = await findOne(values);
  const { moved, connections, reason } = (await ask(
    path,
    { command: "rebalance" },
    () => {},
  )) as RebalanceResult;
  const spread = `The workers have ${connections.join(", ")} connections.`;
  console.log(`${moved} sessions moved. ${spread}${reason === undefined ? "" : ` ${reason}`}`);
  return EXIT.done;
};

export const stop: Command = async (args) => {
  const { values } = reading("stop", 0, () =>
    parseArgs({ args: [...args], options: STOP, allowPositionals: true }),
  );
  const timeoutMs =
    values.timeout === undefined ? undefined : numberOf("stop", "--timeout", values.timeout, 0, MAX_TIMER_MS);
  const { path, status: before } = await findOne(values);
  const { killed } = (await ask(path, { command: "stop", timeoutMs }, () => {})) as StopResult;
  console.log(
    `Stopped ${before.name}${killed > 0 ? `; ${killed} workers did not end in time and were killed` : ""}.`,
  );
  return killed > 0 ? EXIT.forced : EXIT.done;
};
