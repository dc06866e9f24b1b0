/** The command line of the bench. Pure. */
import { parseArgs } from "node:util";

export interface Arguments {
  /** Names of benches, or the beginnings of names; empty for all. */
  readonly names: readonly string[];
  readonly runs: number;
  readonly full: boolean;
  readonly json: string | undefined;
  /** Contestants to run; empty for all. */
  readonly only: readonly string[];
  /** Cases to run, by words of their titles; empty for all. */
  readonly cases: readonly string[];
  readonly help: boolean;
}

export const USAGE = `Usage: node bench/dist/index.js [names] [options]

  names            benches to run, or the beginnings of their names; all if none is given
  --runs N         measured rounds per case (default 5)
  --full           the counts that the targets name, such as 100,000 connections; takes long
  --only A,B       contestants to run
  --case TEXT      cases whose title contains TEXT; may be repeated
  --json FILE      write all samples
  --help           list the benches

Prints the machine, what has a limit and whether it is met, then all figures.
Without names, --only and --case, docs/benchmarks.md and its charts are written anew.`;

export function readArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "5" },
      full: { type: "boolean", default: false },
      json: { type: "string" },
      only: { type: "string", default: "" },
      case: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs must be a whole number from 1, not ${values.runs}`);
  return {
    names: positionals,
    runs,
    full: values.full,
    json: values.json,
    only: values.only.split(",").filter((name) => name !== ""),
    cases: values.case,
    help: values.help,
  };
}
