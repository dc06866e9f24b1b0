/**
 * Question: what do clients notice when all workers are replaced?
 * 4 workers, 400 WebSocket clients (10,000 with --full), 10 events a second to each (5 with --full).
 */
import type { RemoteProcess, RemoteProgram } from "@holdfast/harness";
import type { Bench, Case, Sample, Session } from "../lib/bench.js";
import type { Lab } from "../lib/lab.js";
import { treeCpu } from "../lib/process-tree.js";
import { ascending, quantile } from "../lib/stats.js";
import type { CrowdReport } from "../load/crowd.js";
import type { Reloaded, ReloadedConfig } from "../nodes/reloaded.js";

const WORKERS = 4;
/** How long is looked what the events alone cost. */
const IDLE_MS = 2_000;

interface Size {
  readonly way: ReloadedConfig["way"];
  readonly clients: number;
  /** Between two events of a client. */
  readonly everyMs: number;
}

/** Each sample has a cluster of its own: its workers emit all the time, and would go on while others are measured. */
class ReloadSession implements Session {
  readonly #lab: Lab;
  readonly #size: Size;

  constructor(lab: Lab, size: Size) {
    this.#lab = lab;
    this.#size = size;
  }

  async sample(): Promise<Sample> {
    const { way, everyMs } = this.#size;
    const config: ReloadedConfig = { way, workers: WORKERS, everyMs };
    const program = await this.#lab.start("nodes/reloaded", config, WORKERS + 1);
    try {
      return await this.#withLoad(program);
    } finally {
      await program.close();
    }
  }

  async #withLoad({ primary }: RemoteProgram): Promise<Sample> {
    if (!primary) throw new Error("a cluster has a primary");
    const load = await this.#lab.start("nodes/load", {}, 1);
    try {
      await load.worker(0).call("crowdIn", primary.port, this.#size.clients);
      return await this.#measure(primary, load.worker(0));
    } finally {
      await load.close();
    }
  }

  async #measure(primary: RemoteProcess, guests: RemoteProcess): Promise<Sample> {
    const cpu = () => treeCpu(primary.pid);
    const idleFrom = cpu();
    await sleep(IDLE_MS);
    const perMs = (cpu() - idleFrom) / IDLE_MS;
    await guests.call("startCrowdWindow");
    const [start, from] = [performance.now(), cpu()];
    const { seconds, freezes } = await primary.call<Reloaded>("reload");
    await guests.call("crowdSettled");
    // The last ones have to hear something, too.
    await sleep(2 * this.#size.everyMs);
    const used = cpu() - from - perMs * (performance.now() - start);
    const { disconnects, p50, p99, max } = await guests.call<CrowdReport>("crowdReport");
    const moved = ascending(freezes);
    return {
      failures: [],
      values: {
        ...{ disconnects, p50, p99, max, seconds },
        cpu: used / 1e6,
        ...(moved.length > 0 && {
          freezeP50: quantile(moved, 0.5),
          freezeP99: quantile(moved, 0.99),
          moves: moved.length,
        }),
      },
    };
  }

  async close(): Promise<void> {}
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function reloading(title: string, clients: number, everyMs: number): Case {
  return {
    title,
    contestants: ["holdfast", "by-hand", "pm2"],
    comparisons: ["by-hand", "pm2"].flatMap((to) =>
      ["max", "cpu", "seconds"].map((measure) => ({ of: "holdfast", to, measure })),
    ),
    open: async (lab, contestant) =>
      new ReloadSession(lab, { way: contestant as ReloadedConfig["way"], clients, everyMs }),
  };
}

export const reload: Bench = {
  name: "reload",
  title: "All workers are replaced",
  question: "What do clients notice when all workers are replaced?",
  method: [
    "4 workers, 400 WebSocket clients in a process that is not counted. Each worker emits to its own clients 10 times a second. With `--full`: 10,000 clients, 5 times a second.",
    "Each way has one round, with a cluster of its own, which ends before the next one starts.",
    "`holdfast` is `reload()` of `@holdfast/cluster`. `by-hand` starts a new worker with the official packages, ends an old one with `io.close()` when that is up, and goes on to the next; `pm2` is `pm2 reload`, of workers that close their clients when they are told to end; the official adapter does not work there, and is not needed here. Clients come back after 0.5 to 1.5 s, as socket.io-client does, and give up a connection that is not up after 5 s.",
    "A client's pause is the longest time between two of its events during the reload, which is 100 ms (200 ms) when nothing happens.",
    "The CPU time is that of all processes, those that have ended among them, above what the events alone cost in the same time.",
    "How long a session that moves has no worker is told by the router.",
  ],
  measures: [
    { key: "disconnects", title: "clients that were cut off", unit: "", better: "lower" },
    { key: "p50", title: "longest pause of a client, median of the clients", unit: "ms", better: "lower" },
    { key: "p99", title: "longest pause of a client, 99th percentile", unit: "ms", better: "lower" },
    { key: "max", title: "longest pause of all", unit: "ms", better: "lower" },
    { key: "cpu", title: "CPU of the whole cluster for a reload", unit: "s", better: "lower" },
    { key: "seconds", title: "time of a reload", unit: "s", better: "lower" },
    { key: "freezeP50", title: "time that a session has no worker, p50", unit: "ms", better: "lower" },
    { key: "freezeP99", title: "time that a session has no worker, p99", unit: "ms", better: "lower" },
    { key: "moves", title: "sessions that moved", unit: "", better: "higher" },
  ],
  chart: ["disconnects", "p99", "max", "cpu", "seconds"],
  runsAtMost: 1,
  startsAnew: true,
  cases: ({ full }) =>
    full ? [reloading("10,000 clients", 10_000, 200)] : [reloading("400 clients", 400, 100)],
};
