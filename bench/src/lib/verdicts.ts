/** Turns results into ratios and says whether they are within their limits. Pure. */
import type { CaseResult, Comparison, Entry, Measure } from "./bench.js";
import { pairwise, type Spread, spread } from "./stats.js";

export interface Verdict {
  readonly comparison: Comparison;
  readonly measure: Measure;
  /** Median, minimum and maximum of the ratios of all pairs, or of the figure where nothing is compared. */
  readonly ratio: Spread;
  /** Undefined where nothing is demanded. */
  readonly met: boolean | undefined;
}

export function measureOf({ bench }: CaseResult, key: string): Measure {
  const measure = bench.measures.find((candidate) => candidate.key === key);
  if (!measure) throw new Error(`${bench.name} has no measure "${key}"`);
  return measure;
}

export function valuesOf(entry: Entry, key: string): number[] {
  return entry.samples.map((sample) => sample[key] ?? Number.NaN);
}

/** The comparisons of a case for which both sides have been measured. */
export function verdicts(result: CaseResult): Verdict[] {
  return result.case.comparisons.flatMap((comparison) => {
    const find = (name: string) => result.entries.find(({ contestant }) => contestant === name);
    const of = find(comparison.of);
    const to = comparison.to === undefined ? undefined : find(comparison.to);
    if (!of || (comparison.to !== undefined && !to)) return [];
    const values = valuesOf(of, comparison.measure);
    const ratio = spread(to ? pairwise(values, valuesOf(to, comparison.measure)) : values);
    return [
      {
        comparison,
        measure: measureOf(result, comparison.measure),
        ratio,
        met: isMet(comparison, ratio.median),
      },
    ];
  });
}

function isMet({ atMost, atLeast }: Comparison, ratio: number): boolean | undefined {
  // What could not be measured, a ratio of NaN, has not been met.
  if (atMost !== undefined) return ratio <= atMost;
  if (atLeast !== undefined) return ratio >= atLeast;
  return undefined;
}

/** What is compared, in words. */
export function compared({ of, to }: Comparison): string {
  return to === undefined ? of : `${of} / ${to}`;
}

/** The limit of a comparison, in words; empty where there is none. */
export function limit({ atMost, atLeast }: Comparison): string {
  if (atMost !== undefined) return `≤ ${Number(atMost.toFixed(3))}`;
  if (atLeast !== undefined) return `≥ ${atLeast}`;
  return "";
}

/** Failures that fail the run: those of contestants that are not expected to fail. */
export function fatal(result: CaseResult): string[] {
  return result.entries
    .filter(({ contestant }) => !result.bench.mayFail?.includes(contestant))
    .flatMap(({ contestant, failures }) => failures.map((failure) => `${contestant}: ${failure}`));
}
