/**
 * The command line of `holdfast-hub`.
 * Owns: nothing. Runs in: hub process; workers know the words.
 */
import { parseArgs } from "node:util";
import { FLAGS, URL_VARIABLE } from "../backplane/redis-streams/options.js";
import { redisStreams } from "../backplane/redis-streams.js";
import { HoldfastError } from "../errors.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import { MAX_TIMER_MS } from "../option-reader.js";
import { resolvePrimaryOptions } from "../options.js";
import { wholePath } from "../whole-path.js";
import type { HubProcessOptions } from "./hub-process.js";

/** What is written to `--ready-fd` when members can join. */
export const READY_WORD = "ready\n";

const DEFAULTS = resolvePrimaryOptions();

export const HELP = `Usage: holdfast-hub --path <socket> [options]

Runs the hub that connects the processes of an application, for createAdapter({ hub: { path } }) of @holdfast/adapter.

  --path <socket>              where it listens: a path of at most 107 bytes, in a directory of this user
  --journal-bytes <n>          memory for packets that clients may come back for (default ${DEFAULTS.journalBytes})
  --max-backlog-bytes <n>      how much may wait for one member (default ${DEFAULTS.maxBacklogBytes})
  --max-message-bytes <n>      the largest message (default ${DEFAULTS.maxMessageBytes})
  --stall-timeout <ms>         how long a member may take nothing (default ${DEFAULTS.stallTimeout})
  --no-kill-stalled            cut a stalled member off, and do not kill its process
  --redis-url <url>            joins the hubs of other hosts over Redis: redis[s]://[[user][:password]@]host[:port][/db].
                               Needs the package redis. Rather in the environment: ${URL_VARIABLE}
  --app <name>                 the application: hosts with the same name in the same Redis are one cluster
  --redis-lease <ms>           how long a host may be silent before it is taken for gone (default 3000)
  --redis-timeout <ms>         how long Redis may take to answer (default 2000)
  --redis-journal-time <ms>    how long Redis keeps packets that clients may come back for (default 150000)
  --redis-journal-bytes <n>    how many bytes of them (default 67108864)
  --redis-inbox-bytes <n>      how many bytes may wait in Redis for this host (default 67108864)
  --exit-when-idle <ms>        end when nobody has been a member for so long (default 0: never)
  --ready-fd <n>               write "ready" and a newline to this descriptor when members can join
  --help, --version

SIGTERM and SIGINT end it. It exits with 0; with 1 if it cannot open, and with 2 if the command line is wrong.
`;

export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "run"; readonly options: HubProcessOptions; readonly readyFd: number | undefined };

const OPTIONS = {
  path: { type: "string" },
  "journal-bytes": { type: "string" },
  "max-backlog-bytes": { type: "string" },
  "max-message-bytes": { type: "string" },
  "stall-timeout": { type: "string" },
  "no-kill-stalled": { type: "boolean" },
  "exit-when-idle": { type: "string" },
  "redis-url": { type: "string" },
  app: { type: "string" },
  "redis-lease": { type: "string" },
  "redis-timeout": { type: "string" },
  "redis-journal-time": { type: "string" },
  "redis-journal-bytes": { type: "string" },
  "redis-inbox-bytes": { type: "string" },
  "ready-fd": { type: "string" },
  /** For workers that start it: the directory is the application's rendezvous. */
  rendezvous: { type: "boolean" },
  help: { type: "boolean" },
  version: { type: "boolean" },
} as const;

/** @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` */
export function readCommandLine(args: readonly string[], env: NodeJS.ProcessEnv = {}): Command {
  const values = parse(args);
  if (values.help) return { kind: "help" };
  if (values.version) return { kind: "version" };
  const { path } = values;
  if (!path)
    throw invalid("--path is missing: say where the hub is to listen. holdfast-hub --help tells more.");
  const number = (name: keyof typeof values, max = MAX_TIMER_MS): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(String(text)) && value <= max) return value;
    throw invalid(`--${name} must be a whole number from 0 to ${max}, not "${text}".`);
  };
  const given = {
    journalBytes: number("journal-bytes"),
    maxBacklogBytes: number("max-backlog-bytes"),
    maxMessageBytes: number("max-message-bytes"),
    stallTimeout: number("stall-timeout"),
    killStalled: values["no-kill-stalled"] ? false : undefined,
    backplane: backplaneOf(values["redis-url"] ?? env[URL_VARIABLE], values.app, {
      lease: number(FLAGS.lease),
      timeout: number(FLAGS.timeout),
      journalTime: number(FLAGS.journalTime),
      journalBytes: number(FLAGS.journalBytes),
      inboxBytes: number(FLAGS.inboxBytes),
    }),
  };
  return {
    kind: "run",
    options: {
      ...resolvePrimaryOptions(defined(given)),
      path: wholePath(path, `--path ${path}`),
      ownsDirectory: values.rendezvous === true,
      idleMs: number("exit-when-idle") ?? 0,
    },
    readyFd: number("ready-fd"),
  };
}

/** What joins the hub with those of other hosts, if it is to be joined. */
function backplaneOf(
  url: string | undefined,
  app: string | undefined,
  numbers: Record<string, number | undefined>,
): BackplaneFactory | undefined {
  const given = defined(numbers);
  if (url === undefined && app === undefined && Object.keys(given).length === 0) return undefined;
  if (url === undefined)
    throw invalid(`--app needs to know where Redis is: --redis-url, or ${URL_VARIABLE} in the environment.`);
  if (app === undefined) throw invalid("--redis-url needs --app: hosts with the same name are one cluster.");
  return redisStreams({ url, app, ...given });
}

function defined<T>(values: Record<string, T | undefined>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter((pair): pair is [string, T] => pair[1] !== undefined),
  );
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch (error) {
    throw invalid(`${(error as Error).message}. holdfast-hub --help tells what there is.`);
  }
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", message);
}
