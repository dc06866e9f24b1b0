/**
 * What a bench is: a question, cases, contestants, and samples of named measures.
 * `compare()` runs the contestants of a case in turn (A B A B …), each in processes that stay alive for
 * the whole case and idle while another is measured. Runs in: the bench.
 */
import type { Lab } from "./lab.js";

/** One measured quantity of a bench. */
export interface Measure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Which way is good. */
  readonly better: "lower" | "higher";
}

/** One measured window. */
export interface Sample {
  readonly values: Readonly<Record<string, number>>;
  /** What went wrong: lost, double or reordered messages, failed connections. Any entry fails the bench. */
  readonly failures: readonly string[];
}

/** A contestant set up for a case, ready to be measured again and again. */
export interface Session {
  sample(): Promise<Sample>;
  close(): Promise<void>;
}

/** A comparison that the report makes, with the limit that it is held to, if any. */
export interface Comparison {
  readonly measure: string;
  readonly of: string;
  /** Without it, it is the figure of `of` itself that has a limit. */
  readonly to?: string;
  /** The ratio must not be above `atMost` or below `atLeast`. */
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Case {
  readonly title: string;
  readonly contestants: readonly string[];
  readonly comparisons: readonly Comparison[];
  open(lab: Lab, contestant: string): Promise<Session>;
}

export interface Bench {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  /** What the bench answers, in one sentence. */
  readonly question: string;
  /** How: what is counted, payload, clients, workers, warm-up. One item a sentence. */
  readonly method: readonly string[];
  readonly measures: readonly Measure[];
  /** The measure that the chart shows; of several, it shows what they are in the first case. */
  readonly chart?: string | readonly string[];
  /** For what hardly varies and takes long. */
  readonly runsAtMost?: number;
  /** Each sample starts everything anew, so that no round has to be dropped. */
  readonly startsAnew?: boolean;
  /** Contestants whose failures are a finding about them, not an error of the run. */
  readonly mayFail?: readonly string[];
  cases(settings: Settings): readonly Case[];
}

export interface Settings {
  /** Measured rounds per case, after one that is dropped. */
  readonly runs: number;
  /** Full length: the counts that the targets name (100,000 connections and the like). */
  readonly full: boolean;
}

/** Everything that one contestant did in one case. */
export interface Entry {
  readonly contestant: string;
  /** One per measured round. */
  readonly samples: Readonly<Record<string, number>>[];
  /** Of all rounds: the warm-up is dropped as a measurement, not as a check. */
  readonly failures: string[];
}

export interface CaseResult {
  readonly bench: Bench;
  readonly case: Case;
  readonly entries: readonly Entry[];
  /** Contestants that are not in this build. */
  readonly missing: readonly string[];
}

/**
 * Runs one case: one round that is dropped, unless each sample starts anew, then `runs` rounds of every contestant in turn. A contestant that
 * breaks is out of the case, with a failure; the others go on.
 */
export async function compare(
  lab: Lab,
  bench: Bench,
  item: Case,
  settings: Settings,
  isPresent: (contestant: string) => boolean,
): Promise<CaseResult> {
  const entries: Entry[] = [];
  const sessions = new Map<Entry, Session>();
  for (const contestant of item.contestants.filter(isPresent)) {
    const entry: Entry = { contestant, samples: [], failures: [] };
    entries.push(entry);
    await attempt(entry, async () => {
      sessions.set(entry, await item.open(lab, contestant));
    });
  }
  const runs = Math.min(settings.runs, bench.runsAtMost ?? settings.runs);
  for (let round = bench.startsAnew ? 1 : 0; round <= runs; round++) {
    for (const [entry, session] of sessions) {
      const sound = await attempt(entry, async () => {
        const { values, failures } = await session.sample();
        entry.failures.push(...failures);
        if (round > 0) entry.samples.push(values);
      });
      if (sound) continue;
      sessions.delete(entry);
      await attempt(entry, () => session.close());
    }
  }
  await Promise.all([...sessions].map(([entry, session]) => attempt(entry, () => session.close())));
  const missing = item.contestants.filter((name) => !isPresent(name));
  return { bench, case: item, entries, missing };
}

/** @returns whether it went well; if not, `entry` has the reason */
async function attempt(entry: Entry, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    const { message } = error as Error;
    process.stderr.write(`${entry.contestant}: ${message}\n`);
    entry.failures.push(message.split("\n")[0] ?? "");
    return false;
  }
}
