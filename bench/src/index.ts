/**
 * Measures Holdfast against its peers and the physical limit, in one run.
 * Program: `node bench/dist/index.js --help`.
 */
import { writeFile } from "node:fs/promises";
import { BENCHES } from "./benches/index.js";
import { type Arguments, readArguments, USAGE } from "./lib/arguments.js";
import { type Bench, type CaseResult, compare } from "./lib/bench.js";
import { presence } from "./lib/contestants.js";
import { Lab } from "./lib/lab.js";
import { describe, machine } from "./lib/machine.js";
import { writeReport } from "./lib/report.js";
import { summary, verdictTable } from "./lib/summary.js";
import { fatal } from "./lib/verdicts.js";

const DOCS = new URL("../../docs/", import.meta.url);

const options = readArguments(process.argv.slice(2));
if (options.help) {
  console.log(
    `${USAGE}\n\nBenches:\n${BENCHES.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`).join("\n")}`,
  );
} else {
  const results = await measure(options);
  console.log(`${describe(machine())}\n\n${verdictTable(results)}\n\n${summary(results)}`);
  if (isWhole(options)) {
    const { runs, full } = options;
    await writeReport(DOCS, { results, machine: machine(), runs, full, date: new Date() });
  }
  if (options.json) await writeFile(options.json, JSON.stringify(toJson(results), null, 1));
  const broken = results.flatMap(fatal);
  if (broken.length > 0) {
    console.error(`\n${broken.length} checks failed`);
    process.exitCode = 1;
  }
}

async function measure({ runs, full, cases, only }: Arguments): Promise<CaseResult[]> {
  const built = await presence();
  if (!built.redis) console.error("redis-server is not installed, so nobody takes part who needs it.");
  const results: CaseResult[] = [];
  const lab = new Lab();
  try {
    for (const bench of chosen()) {
      const ours = bench.name.startsWith("sticky") ? built.sticky : built.adapter;
      const takesPart = (name: string) =>
        (only.length === 0 || only.includes(name)) &&
        (ours || !name.startsWith("holdfast")) &&
        (built.redis || !(name.startsWith("redis") || bench.name.startsWith("hosts")));
      for (const item of bench.cases({ runs, full })) {
        if (cases.length > 0 && !cases.some((text) => item.title.includes(text))) continue;
        process.stderr.write(`${bench.name}: ${item.title}\n`);
        results.push(await compare(lab, bench, item, { runs, full }, takesPart));
      }
    }
  } finally {
    await lab.close();
  }
  return results;
}

function isWhole({ names, only, cases }: Arguments): boolean {
  return names.length + only.length + cases.length === 0;
}

function chosen(): Bench[] {
  const { names } = options;
  const unknown = names.find((name) => !BENCHES.some((bench) => bench.name.startsWith(name)));
  if (unknown !== undefined) throw new Error(`no bench "${unknown}": see --help`);
  return BENCHES.filter((bench) => names.length === 0 || names.some((name) => bench.name.startsWith(name)));
}

function toJson(results: readonly CaseResult[]): object {
  return {
    machine: machine(),
    date: new Date().toISOString(),
    runs: options.runs,
    results: results.map(({ bench, case: item, entries, missing }) => ({
      bench: bench.name,
      case: item.title,
      entries,
      missing,
    })),
  };
}
