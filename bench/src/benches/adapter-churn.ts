/**
 * Question: what do joins and leaves cost that come bit by bit, from all workers?
 * 8 workers, each joins 25 rooms and leaves 25 every 4 ms. Windows of 1.2 s, the first dropped. Checked after each: a
 * broadcast of another worker arrives in a room just joined, and does not in one just left.
 */
import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Sample, Session } from "../lib/bench.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import { sum } from "../lib/stats.js";
import { checkJoins, startJoiners } from "./adapter-joins.js";

const WORKERS = 8;
const ROOMS = 25;
const EVERY_MS = 4;
const WINDOW_MS = 1200;

async function open(lab: Lab, contestant: string): Promise<Session> {
  const program = await startJoiners(lab, contestant, WORKERS);
  return { sample: () => sample(program), close: () => program.close() };
}

async function sample(program: RemoteProgram): Promise<Sample> {
  const { workers, processes, primary } = program;
  let rooms = 0;
  const cpu = await cpuDuring(program, async () => {
    const each = workers.map((worker) =>
      worker.call<number>("joinAndLeaveAtPace", ROOMS, EVERY_MS, WINDOW_MS),
    );
    rooms = sum(await Promise.all(each));
  });
  return {
    failures: await checkJoins(program),
    values: {
      cluster: cpu.of(...processes) / rooms,
      primary: primary ? cpu.of(primary) / rooms : Number.NaN,
      workers: cpu.of(...workers) / rooms,
      turns: rooms / ROOMS,
    },
  };
}

export const adapterChurn: Bench = {
  name: "adapter-churn",
  title: "Joining and leaving rooms at a pace, W = 8",
  question: "What do joins and leaves cost that come bit by bit, from all workers?",
  method: [
    "One socket on each of 8 workers joins 25 rooms and leaves the 25 of the turn before every 4 ms, for 1.2 s.",
    "One operation is one room joined and left; every turn has new room names. The timers are part of it, and of the control, whose adapter tells nobody of rooms.",
    "After each window a broadcast of another worker must reach a room just joined and must not reach it once left.",
  ],
  measures: [
    { key: "cluster", title: "CPU of the whole cluster per join and leave", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per join and leave", unit: "µs", better: "lower" },
    { key: "workers", title: "CPU of the workers per join and leave", unit: "µs", better: "lower" },
    { key: "turns", title: "turns of all workers in a window", unit: "", better: "higher" },
  ],
  chart: "cluster",
  cases: () => [
    {
      title: "25 rooms every 4 ms",
      contestants: ["holdfast", "holdfast-no-interest", "peer"],
      comparisons: [
        { of: "holdfast", to: "peer", measure: "cluster", atMost: 1.5 },
        { of: "holdfast", to: "holdfast-no-interest", measure: "cluster" },
      ],
      open,
    },
  ],
};
