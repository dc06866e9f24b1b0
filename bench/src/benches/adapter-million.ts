/**
 * Question: what do a million rooms cost, in memory and time?
 * 4 workers join 250,000 rooms each, 10,000 a turn, and leave them again; nothing is emitted. Memory is read
 * after a garbage collection before, while and after. The first time is dropped.
 */
import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Sample, Session } from "../lib/bench.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import { startJoiners } from "./adapter-joins.js";
import { differs, jsBytes } from "./judge.js";

const WORKERS = 4;
const ROOMS = 1_000_000;
const PER_TURN = 10_000;

async function open(lab: Lab, contestant: string): Promise<Session> {
  const program = await startJoiners(lab, contestant, WORKERS);
  return { sample: () => sample(program), close: () => program.close() };
}

async function sample(program: RemoteProgram): Promise<Sample> {
  const { primary, workers } = program;
  if (!primary) throw new Error("a cluster has a primary");
  const all = (command: string) =>
    Promise.all(
      workers.map((w) => w.call(command, `a room of worker ${w.workerId},`, ROOMS / WORKERS, PER_TURN)),
    );
  const memory = async () => ({
    primary: await jsBytes(primary),
    workers: (await Promise.all(workers.map(jsBytes))).reduce((total, bytes) => total + bytes, 0),
  });
  const before = await memory();
  const joining = await cpuDuring(program, async () => {
    await all("join");
  });
  const during = await memory();
  const joined = (await Promise.all(workers.map((w) => w.call<number>("rooms")))).reduce((a, b) => a + b, 0);
  const leaving = await cpuDuring(program, async () => {
    await all("leave");
  });
  const after = await memory();
  return {
    // Each socket is in its own room too.
    failures: differs("rooms", joined, ROOMS + WORKERS),
    values: {
      hub: (during.primary - before.primary) / ROOMS,
      kept: (after.primary - before.primary) / ROOMS,
      worker: (during.workers - before.workers) / ROOMS,
      joining: joining.of(primary) / ROOMS,
      leaving: leaving.of(primary) / ROOMS,
      cluster: (joining.of(...program.processes) + leaving.of(...program.processes)) / ROOMS,
    },
  };
}

export const adapterMillion: Bench = {
  name: "adapter-million",
  title: "One million rooms on 4 workers",
  question: "What do a million rooms cost in memory and time, with and without the table of who needs what?",
  method: [
    "One socket on each of 4 workers joins 250,000 rooms, 10,000 by one call a turn, and leaves them one by one, 10,000 a turn.",
    "Heap and buffers are read after a full garbage collection before joining, while joined, and after leaving.",
    "Three runs at most, the first dropped.",
  ],
  measures: [
    { key: "hub", title: "memory of the primary per room", unit: "B", better: "lower" },
    { key: "kept", title: "memory of the primary kept after leaving, per room", unit: "B", better: "lower" },
    {
      key: "worker",
      title: "memory of the workers per room, Socket.IO's own included",
      unit: "B",
      better: "lower",
    },
    { key: "joining", title: "CPU of the primary per join", unit: "µs", better: "lower" },
    { key: "leaving", title: "CPU of the primary per leave", unit: "µs", better: "lower" },
    { key: "cluster", title: "CPU of the whole cluster per join and leave", unit: "µs", better: "lower" },
  ],
  chart: "hub",
  runsAtMost: 2,
  cases: () => [
    {
      title: "1,000,000 rooms",
      contestants: ["holdfast", "holdfast-no-interest", "in-memory"],
      comparisons: [
        { of: "holdfast", to: "holdfast-no-interest", measure: "cluster" },
        { of: "holdfast", to: "in-memory", measure: "cluster" },
      ],
      open,
    },
  ],
};
