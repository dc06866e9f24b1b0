/** What the person who starts the chat can choose, from flags and the environment. Runs in: primary. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

export const USAGE = `Usage: node examples/chat/server.js [options]

  -p, --port <number>     port to listen on (or PORT; default 3000; 0 picks a free one)
  -w, --workers <number>  worker processes (or WORKERS; default: one per core, at least 2)
      --host <address>    address to listen on (or HOST; default: all)
      --admin-port <number>
                          port of the dashboard (or ADMIN_PORT; default: a free one)
  -h, --help              show this text`;

/** A flag or variable that cannot be used; the message says which and why. */
export class SettingsError extends Error {}

/** Flags win over the environment, the environment over the defaults. */
export function readSettings(args, env) {
  const flags = readFlags(args);
  return {
    adminPort: integer(flags, env, "admin-port", { fallback: 0, min: 0, max: 65_535 }),
    help: flags.help ?? false,
    host: flags.host || env.HOST || undefined,
    port: integer(flags, env, "port", { fallback: 3000, min: 0, max: 65_535 }),
    workers: integer(flags, env, "workers", {
      fallback: Math.max(2, availableParallelism()),
      min: 1,
      max: 128,
    }),
  };
}

function readFlags(args) {
  try {
    const options = {
      port: { type: "string", short: "p" },
      workers: { type: "string", short: "w" },
      host: { type: "string" },
      "admin-port": { type: "string" },
      help: { type: "boolean", short: "h" },
    };
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new SettingsError(error.message);
  }
}

function integer(flags, env, name, { fallback, min, max }) {
  const variable = name.toUpperCase().replace("-", "_");
  const given = flags[name] ?? (env[variable] || undefined);
  if (given === undefined) return fallback;
  const number = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (number >= min && number <= max) return number;
  const source = flags[name] === undefined ? variable : `--${name}`;
  throw new SettingsError(`${source} must be a whole number from ${min} to ${max}, not "${given}".`);
}
