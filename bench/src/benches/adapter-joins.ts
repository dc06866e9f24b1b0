/**
 * Question: what does it cost that the cluster knows who is in which room?
 * One socket joins 1000 rooms in a turn and leaves them in the next, 4 workers. Windows of 600 ms, the first
 * dropped. Checked: after `await join()` a broadcast of another worker arrives, after `await leave()` it does not.
 */
import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import type { NodeConfig } from "../nodes/config.js";
import { differs } from "./judge.js";

const WINDOW_MS = 600;
const PER_TURN = 1000;
const WORKERS = 4;

/** A cluster that listens nowhere, with one socket on each worker. */
export function startJoiners(lab: Lab, contestant: string, workers: number): Promise<RemoteProgram> {
  const setup = adapterSetup(contestant);
  const config: NodeConfig = { setup, workers, scenario: "joins", listen: "none", options: {} };
  return lab.start("nodes/cluster", config, workers + 1);
}

async function open(lab: Lab, contestant: string): Promise<Session> {
  const program = await startJoiners(lab, contestant, WORKERS);
  const reaches = contestant !== "in-memory";
  return { sample: () => sample(program, reaches), close: () => program.close() };
}

async function sample(program: RemoteProgram, reaches: boolean): Promise<Sample> {
  const joiner = program.worker(0);
  let rooms = 0;
  const cpu = await cpuDuring(program, async () => {
    rooms = await joiner.call<number>("joinAndLeave", PER_TURN, WINDOW_MS);
  });
  return {
    failures: reaches ? await checkJoins(program) : [],
    values: {
      cluster: cpu.of(...program.processes) / rooms,
      primary: program.primary ? cpu.of(program.primary) / rooms : Number.NaN,
      worker: cpu.of(joiner) / rooms,
    },
  };
}

/** Each step is awaited, so what the next broadcast must reach is settled; the fence takes the same way. */
export async function checkJoins(program: RemoteProgram): Promise<string[]> {
  const [joiner, other] = [program.worker(0), program.worker(1)];
  await joiner.call("arrived");
  await joiner.call("join", "fence", 1, 1);
  await joiner.call("join", "check", 1, 1);
  await other.call("say", "check 0", "inside");
  await other.call("say", "fence 0", "fence");
  const before = await until(program, '["fence"]');
  await joiner.call("leave", "check", 1, 1);
  await other.call("say", "check 0", "outside");
  await other.call("say", "fence 0", "end");
  const after = await until(program, '["end"]');
  await joiner.call("leave", "fence", 1, 1);
  return [
    ...differs("events in a room just joined", before.length, 2),
    ...differs("events in a room just left", after.length, 1),
  ];
}

async function until(program: RemoteProgram, last: string): Promise<string[]> {
  const all: string[] = [];
  const end = performance.now() + 5000;
  while (!all.includes(last) && performance.now() < end)
    all.push(...(await program.worker(0).call<string[]>("arrived")));
  return all;
}

export const adapterJoins: Bench = {
  name: "adapter-joins",
  title: "Joining and leaving rooms, W = 4",
  question: "What does it cost that the cluster knows who is in which room?",
  method: [
    "One socket joins 1000 rooms by 1000 calls in one turn and leaves them in a later one, again and again for 600 ms.",
    "One operation is one room joined and left; every turn has new room names, and making the strings is part of it.",
    "After each window a broadcast of another worker must reach a room just joined and must not reach it once left.",
  ],
  measures: [
    { key: "cluster", title: "CPU of the whole cluster per join and leave", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per join and leave", unit: "µs", better: "lower" },
    { key: "worker", title: "CPU of the worker per join and leave", unit: "µs", better: "lower" },
  ],
  chart: "cluster",
  cases: () => [
    {
      title: "1000 rooms a turn",
      contestants: ["holdfast", "peer", "in-memory"],
      comparisons: [
        { of: "holdfast", to: "in-memory", measure: "cluster", atMost: 2 },
        { of: "holdfast", to: "peer", measure: "cluster" },
      ],
      open,
    },
  ],
};
