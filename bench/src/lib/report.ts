/** Writes docs/benchmarks.md and its charts from the results of a whole run. Runs in: the bench. */
import { mkdir, writeFile } from "node:fs/promises";
import type { Bench, CaseResult } from "./bench.js";
import { LEGEND } from "./contestants.js";
import { describe, type Machine } from "./machine.js";
import { spread } from "./stats.js";
import { type Bar, barChart } from "./svg.js";
import { markdownTable, range } from "./table.js";
import { compared, limit, measureOf, valuesOf, verdicts } from "./verdicts.js";

export interface Run {
  readonly results: readonly CaseResult[];
  readonly machine: Machine;
  readonly runs: number;
  readonly full: boolean;
  readonly date: Date;
}

/** @param docs the directory `docs/` of the repository */
export async function writeReport(docs: URL, run: Run): Promise<void> {
  const benches = [...new Set(run.results.map(({ bench }) => bench))];
  const ofBench = (bench: Bench) => run.results.filter((result) => result.bench === bench);
  await mkdir(new URL("images/", docs), { recursive: true });
  for (const bench of benches) {
    const svg = chart(bench, ofBench(bench));
    if (svg) await writeFile(new URL(imageOf(bench), docs), svg);
  }
  const sections = benches.map((bench) => section(bench, ofBench(bench)));
  await writeFile(new URL("benchmarks.md", docs), `${[head(run), ratios(run), ...sections].join("\n\n")}\n`);
}

function imageOf(bench: Bench): string {
  return `images/bench-${bench.name}.svg`;
}

function head({ machine, runs, full, date }: Run): string {
  return `# Benchmarks

Written by \`npm run bench\`${full ? " (`--full`)" : ""} on ${date.toISOString().slice(0, 10)}: ${describe(machine)}.
\`node bench/dist/index.js --help\` tells how to run a part of it.

## Method

- All contestants of a case are started together and then measured in turn (A B A B …) in one run; each idles while another is measured.
- Every contestant has ${runs} measured rounds after one that is dropped (fewer where a bench says so). Figures are medians with the least and the most, \`median (min–max)\`.
- A ratio is computed for each pair of neighbours in time, then the median and extremes of these ratios are taken: what else the machine does hits both of a pair.
- CPU is user and system time of the whole process (\`process.cpuUsage()\`), read for each process before and after a measured window. Load generators run in processes of their own and count for nobody.
- Absolute figures depend on the machine, so it is the ratios that have limits.
- Every run checks what it measures: an event that is lost, doubled, damaged or out of order, a wrong answer or a lost connection fails the row and the run. Only what peers and controls lose is reported without failing the run.

## Contestants

${markdownTable([["name", "meaning"], ...LEGEND.map(([name, meaning]) => [`\`${name}\``, meaning])], "left")}`;
}

/** Everything that has a limit, in one table. */
function ratios({ results }: Run): string {
  const rows = results.flatMap((result) =>
    verdicts(result)
      .filter(({ met }) => met !== undefined)
      .map(({ comparison, measure, ratio, met }) => [
        `[${result.bench.name}](#${anchor(result.bench.title)}), ${result.case.title}`,
        measure.title,
        compared(comparison),
        range(ratio),
        limit(comparison),
        met ? "yes" : "**no**",
      ]),
  );
  return `## Ratios with a limit

${markdownTable([["work", "measure", "ratio", "median (min–max)", "limit", "met"], ...rows], "left")}`;
}

function section(bench: Bench, results: readonly CaseResult[]): string {
  const image = bench.chart ? [`![${bench.title}](${imageOf(bench)})`] : [];
  return [
    `## ${bench.title}`,
    `${bench.question} (\`${bench.name}\`)`,
    bench.method.map((sentence) => `- ${sentence}`).join("\n"),
    ...image,
    ...results.map(caseSection),
  ].join("\n\n");
}

function caseSection(result: CaseResult): string {
  const { entries, missing } = result;
  const measures = result.bench.measures.filter(({ key }) =>
    entries.some((entry) => valuesOf(entry, key).some(Number.isFinite)),
  );
  const figures = measures.map(({ key, title, unit }) => [
    unit ? `${title}, ${unit}` : title,
    ...entries.map((entry) => range(spread(valuesOf(entry, key)))),
  ]);
  const comparisons = verdicts(result).map(({ comparison, measure, ratio }) => [
    compared(comparison),
    measure.title,
    range(ratio),
    limit(comparison),
  ]);
  const notes = entries.flatMap(({ contestant, failures }) =>
    [...new Set(failures)].map((failure) => `- ${contestant}: ${failure}`),
  );
  if (missing.length > 0) notes.push(`- not in this build: ${missing.join(", ")}`);
  return [
    `### ${result.case.title}`,
    markdownTable([["", ...entries.map(({ contestant }) => contestant)], ...figures]),
    ...(comparisons.length > 0
      ? [markdownTable([["ratio", "of", "median (min–max)", "limit"], ...comparisons], "left")]
      : []),
    ...(notes.length > 0 ? [notes.join("\n")] : []),
  ].join("\n\n");
}

function chart(bench: Bench, results: readonly CaseResult[]): string | undefined {
  const [first] = results;
  if (!bench.chart || !first) return undefined;
  if (typeof bench.chart !== "string") {
    const groups = bench.chart.map((key) => ({ title: titleOf(first, key), bars: barsOf(first, key) }));
    return barChart(bench.title, first.case.title, groups);
  }
  const key = bench.chart;
  const groups = results.map((result) => ({ title: result.case.title, bars: barsOf(result, key) }));
  return barChart(bench.title, titleOf(first, key), groups);
}

function barsOf({ entries }: CaseResult, key: string): Bar[] {
  return entries
    .map((entry) => ({ label: entry.contestant, ...spread(valuesOf(entry, key)) }))
    .filter(({ median }) => Number.isFinite(median));
}

function titleOf(result: CaseResult, key: string): string {
  const { title, unit } = measureOf(result, key);
  return unit ? `${title}, ${unit}` : title;
}

/** As GitHub makes anchors from headings. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
