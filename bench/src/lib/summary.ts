/** The two tables that a run prints. Pure. */
import type { CaseResult } from "./bench.js";
import { spread } from "./stats.js";
import { number, range, textTable } from "./table.js";
import { compared, limit, valuesOf, verdicts } from "./verdicts.js";

const HEAD = ["bench", "case", "measure", "medians", "ratio", "median (min–max)", "limit", ""];

const VERDICT_HEAD = ["", "bench", "case", "measure", "of", "median (min–max)", "limit"];

/** Everything that has a limit, and whether it is kept; what could not be measured is not. */
export function verdictTable(results: readonly CaseResult[]): string {
  const rows = results.flatMap((result) =>
    verdicts(result)
      .filter(({ met }) => met !== undefined)
      .map(({ comparison, measure, ratio, met }) => [
        met ? "met" : "MISSED",
        result.bench.name,
        result.case.title,
        measure.title,
        compared(comparison),
        range(ratio),
        limit(comparison),
      ]),
  );
  return rows.length === 0 ? "nothing here has a limit" : textTable([VERDICT_HEAD, ...rows]);
}

/** One row a measure, and one more for each further comparison of it; failures after their case. */
export function summary(results: readonly CaseResult[]): string {
  return textTable([HEAD, ...results.flatMap(rowsOf)]);
}

function rowsOf(result: CaseResult): string[][] {
  const { bench, entries } = result;
  const judged = verdicts(result);
  const rows = bench.measures.flatMap(({ key, title, unit }) => {
    const medians = entries
      .map((entry) => [entry.contestant, spread(valuesOf(entry, key)).median] as const)
      .filter(([, median]) => Number.isFinite(median))
      .map(([name, median]) => `${name} ${number(median)}`);
    if (medians.length === 0) return [];
    const first = [bench.name, result.case.title, `${title}, ${unit}`, medians.join(", ")];
    const ratios = judged
      .filter(({ comparison }) => comparison.measure === key)
      .map(({ comparison, ratio, met }) => [
        compared(comparison),
        range(ratio),
        limit(comparison),
        met === undefined ? "" : met ? "met" : "MISSED",
      ]);
    const [top = [], ...more] = ratios;
    return [[...first, ...top], ...more.map((row) => ["", "", "", "", ...row])];
  });
  for (const { contestant, failures } of entries) {
    for (const failure of failures)
      rows.push([bench.name, result.case.title, `FAILED ${contestant}`, failure]);
  }
  return rows;
}
