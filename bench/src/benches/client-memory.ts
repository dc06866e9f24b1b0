/**
 * Question: what does a client cost in memory that is connected and idle?
 * One worker and its primary; 2,000 WebSocket clients are connected and held, then each joins 20 of 1,000 rooms.
 * Memory is read after a garbage collection before, and after each step. The first round is dropped.
 */
import type { RemoteProcess, RemoteProgram } from "@holdfast/harness";
import type { Bench, Sample, Session } from "../lib/bench.js";
import { memorySetup } from "../lib/contestants.js";
import type { Lab } from "../lib/lab.js";
import { usageOf } from "../lib/usage.js";
import type { Arrivals } from "../load/arrivals.js";
import type { NodeConfig } from "../nodes/config.js";
import { differs, jsBytes, portsOf, settled } from "./judge.js";

const CLIENTS = 2_000;
const AT_ONCE = 64;
const ROOMS_OF_A_CLIENT = 20;
const ROOMS = 1_000;
const MEMBERSHIPS = CLIENTS * ROOMS_OF_A_CLIENT;

async function open(lab: Lab, contestant: string): Promise<Session> {
  const setup = memorySetup(contestant);
  const config: NodeConfig = { setup, workers: 1, scenario: "network", listen: "shared", options: {} };
  const program = await lab.start("nodes/cluster", config, setup.router ? 2 : 1);
  const load = await lab.start("nodes/load", {}, 1);
  return {
    sample: () => sample(program, load.worker(0)),
    close: async () => {
      await Promise.all([program.close(), load.close()]);
    },
  };
}

async function sample(program: RemoteProgram, load: RemoteProcess): Promise<Sample> {
  const worker = program.worker(0);
  const memory = async () => {
    await worker.call("told");
    return {
      worker: await jsBytes(worker),
      resident: (await usageOf(worker)).rss,
      hub: program.primary ? await jsBytes(program.primary) : Number.NaN,
    };
  };
  const before = await memory();
  const [port] = portsOf(program);
  const arrivals = await load.call<Arrivals>("arrive", port, CLIENTS, AT_ONCE, true);
  const connected = await memory();
  await worker.call("joinEach", ROOMS_OF_A_CLIENT, ROOMS);
  const joined = await memory();
  await load.call("release");
  return {
    failures: [...differs("connections lost", arrivals.lost, 0), ...(await settled(program, 0))],
    values: {
      worker: (connected.worker - before.worker) / CLIENTS,
      resident: (connected.resident - before.resident) / CLIENTS,
      session: (connected.hub - before.hub) / CLIENTS,
      workerRoom: (joined.worker - connected.worker) / MEMBERSHIPS,
      hubRoom: (joined.hub - connected.hub) / MEMBERSHIPS,
    },
  };
}

export const clientMemory: Bench = {
  name: "client-memory",
  title: "Memory of an idle client",
  question: "What does a client cost in memory that is connected and idle, and each room that it is in?",
  method: [
    "One worker and its primary, with the router and the adapter; 2,000 WebSocket clients from a process that is not counted. Then each joins 20 of 1,000 rooms.",
    "Heap and buffers are read after a full garbage collection before, and after each step; the hub has been told of everything by then.",
    "With recovery, the hub keeps a session for each client. Memory of the system's for each connection is not in it.",
    "Two rounds at most, after one that is dropped.",
  ],
  measures: [
    {
      key: "worker",
      title: "heap and buffers of the worker per client, Socket.IO's own included",
      unit: "B",
      better: "lower",
    },
    { key: "resident", title: "resident memory of the worker per client", unit: "B", better: "lower" },
    { key: "session", title: "heap and buffers of the primary per client", unit: "B", better: "lower" },
    {
      key: "workerRoom",
      title: "heap and buffers of the worker per client and room",
      unit: "B",
      better: "lower",
    },
    {
      key: "hubRoom",
      title: "heap and buffers of the primary per client and room",
      unit: "B",
      better: "lower",
    },
  ],
  chart: "worker",
  runsAtMost: 2,
  cases: () => [
    {
      title: "2,000 clients",
      contestants: ["holdfast", "single", "holdfast-recovery", "single-recovery"],
      comparisons: [
        { of: "holdfast", to: "single", measure: "worker", atMost: 1.05 },
        { of: "holdfast-recovery", to: "single-recovery", measure: "worker", atMost: 1.15 },
        { of: "holdfast-recovery", measure: "session", atMost: 600 },
        { of: "holdfast-recovery", measure: "hubRoom", atMost: 40 },
        { of: "holdfast", to: "single", measure: "workerRoom" },
        { of: "holdfast-recovery", to: "single-recovery", measure: "workerRoom" },
      ],
      open,
    },
  ],
};
