/**
 * How the cluster is, in a word and a sentence, and what can be done: that of what is worst.
 * Owns: nothing; pure. Runs in: primary.
 */
import type { BackplaneStatus, Health, HostStatus, LiveWorker } from "../live-status.js";
import type { ClusterState } from "../status.js";

export interface Verdict {
  /** What it is about: as long as that is the same, it is one trouble. */
  readonly about: string;
  readonly health: Health;
  readonly summary: string;
  /** `null` if there is nothing to do. */
  readonly advice: string | null;
  /** The worker that it names, if it names one. */
  readonly slot?: number;
}

type JudgedWorker = Pick<LiveWorker, "slot" | "state" | "health" | "summary" | "advice">;

/** What a verdict is about. */
export interface Parts {
  readonly state: ClusterState;
  readonly workers: readonly JudgedWorker[];
  /** `null` without one. */
  readonly backplane: Pick<BackplaneStatus, "kind" | "health" | "summary"> | null;
  /** Hosts besides this one. */
  readonly others: readonly Pick<HostStatus, "id" | "name" | "presence">[];
}

const WELL: Verdict = { about: "", health: "good", summary: "Everything is well.", advice: null };

export function judgeCluster({ state, workers, backplane, others }: Parts): Verdict {
  const ready = workers.filter((worker) => worker.state === "ready").length;
  const about = state;
  if (state === "stopping" || state === "stopped")
    return { about, health: "warning", summary: "The cluster is stopping.", advice: null };
  if (state === "starting") {
    const summary = `The cluster starts: ${ready} of ${workers.length} workers are ready.`;
    return { about, health: "unknown", summary, advice: null };
  }
  const [worst = WELL, next] = [
    ...troubleOf(workers, ready),
    ...troubleOfBackplane(backplane),
    ...others.filter(({ presence }) => presence === "silent").map(silence),
    ...slownessOf(workers),
  ].toSorted((a, b) => rank(a) - rank(b));
  // The first one does not hide another that is as bad.
  if (worst.health !== "bad" || next?.health !== "bad") return worst;
  return { ...worst, summary: `${worst.summary} ${next.summary}` };
}

const rank = ({ health }: Verdict) => (health === "bad" ? 0 : 1);

function troubleOf(workers: readonly JudgedWorker[], ready: number): Verdict[] {
  const bad = workers.filter(({ health }) => health === "bad");
  if (ready > 0) return verdictOn(bad, `${bad.length} of ${workers.length} workers are in trouble.`);
  const [first] = bad;
  const summary = "No worker takes connections.";
  if (!first) return [{ about: "workers", health: "bad", summary, advice: null }];
  return [{ ...aboutWorker(first), about: "workers", summary: `${summary} ${named(first)}` }];
}

function slownessOf(workers: readonly JudgedWorker[]): Verdict[] {
  const slow = workers.filter(({ health }) => health === "warning");
  return verdictOn(slow, `${slow.length} of ${workers.length} workers are not well.`);
}

/** @param many what is said if there are several */
function verdictOn(workers: readonly JudgedWorker[], many: string): Verdict[] {
  const [first] = workers;
  if (!first) return [];
  if (workers.length === 1) return [aboutWorker(first)];
  return [{ ...aboutWorker(first), about: "workers", summary: `${many} ${named(first)}` }];
}

function aboutWorker(worker: JudgedWorker): Verdict {
  const { slot, health, advice } = worker;
  return { about: `worker ${slot}`, health, summary: named(worker), advice, slot };
}

function troubleOfBackplane(backplane: Parts["backplane"]): Verdict[] {
  if (!backplane || backplane.health === "good") return [];
  const { kind, health, summary } = backplane;
  const advice =
    "Clients of this host reach each other as before, those of other hosts not. Start Redis, or mend the way to it: " +
    "the hosts find each other again by themselves.";
  return [
    { about: "backplane", health, summary: `${kind}: ${summary}.`, advice: health === "bad" ? advice : null },
  ];
}

function silence({ id, name }: Parts["others"][number]): Verdict {
  return {
    about: `host ${id}`,
    health: "warning",
    summary: `Host ${name} has fallen silent.`,
    advice:
      "Its clients come back to the other hosts. Look at that machine: it has crashed, stands still, or does not reach " +
      "Redis.",
  };
}

function named({ slot, summary }: JudgedWorker): string {
  return `Worker ${slot}: ${summary.charAt(0).toLowerCase()}${summary.slice(1)}`;
}
