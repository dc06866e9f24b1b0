/**
 * Question: how long does a broadcast take to its clients, quiet and while new connections pour in?
 * 40 WebSocket clients on 4 workers behind node:cluster's own round robin (every new connection is a handle
 * on the IPC channel of its worker), 500 broadcasts/s of 100 B; then the same under 300 new connections/s,
 * each up to Socket.IO's CONNECT answer. Windows of 1.5 s, the first dropped.
 */

import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Case, Sample } from "../lib/bench.js";
import type { Arrivals } from "../load/arrivals.js";
import { AudienceSession } from "./audience-session.js";
import { differs } from "./judge.js";

const CLIENTS = 40;
const STORM_RATE = 300;
const PACE = { ms: 1500, burst: 1, window: 2048, rate: 500 };

async function sample(session: AudienceSession, storm: RemoteProgram | undefined): Promise<Sample> {
  await storm?.worker(0).call("storm", session.ports[0], STORM_RATE);
  const { failures, report, cpu, emitted } = await session.hear(PACE, true);
  const arrived = await storm?.worker(0).call<Arrivals>("calm");
  return {
    failures: [...failures, ...differs("new connections lost", arrived?.lost ?? 0, 0)],
    values: {
      p50: report.p50 / 1000,
      p99: report.p99 / 1000,
      cluster: cpu.of(...session.program.processes) / emitted,
      connections: arrived ? arrived.connected / arrived.seconds : 0,
    },
  };
}

function latency(title: string, stormy: boolean): Case {
  const peer = { of: "holdfast", to: "peer" };
  return {
    title,
    contestants: ["holdfast", "peer"],
    comparisons: [
      { ...peer, measure: "p50", atMost: 1 },
      { ...peer, measure: "p99", atMost: 1 },
      { ...peer, measure: "cluster" },
    ],
    open: async (lab, contestant) => {
      const hall = { contestant, workers: 4, clients: CLIENTS, listen: "shared" } as const;
      const session = await AudienceSession.open(lab, hall);
      const storm = stormy ? await lab.start("nodes/load", {}, 1) : undefined;
      return {
        sample: () => sample(session, storm),
        close: async () => {
          await Promise.all([session.close(), storm?.close()]);
        },
      };
    },
  };
}

export const adapterLatency: Bench = {
  name: "adapter-latency",
  title: "Latency at 500 broadcasts a second",
  question: "How long does a broadcast take to its clients, quiet and while new connections pour in?",
  method: [
    "40 WebSocket clients on 4 workers behind node:cluster's own round robin; one worker broadcasts 100 B 500 times a second for 1.5 s.",
    "Latency is from just before `io.emit()` to the arrival of the bytes in the clients' process, by the clock that both share.",
    "In the storm, another process opens 300 WebSocket connections a second on the same port, each up to Socket.IO's CONNECT answer; every handle passes the IPC channel of its worker.",
  ],
  measures: [
    { key: "p50", title: "latency, p50", unit: "ms", better: "lower" },
    { key: "p99", title: "latency, p99", unit: "ms", better: "lower" },
    { key: "cluster", title: "CPU of the whole cluster per broadcast", unit: "µs", better: "lower" },
    { key: "connections", title: "new connections per second", unit: "/s", better: "higher" },
  ],
  chart: "p99",
  cases: () => [latency("quiet", false), latency("300 new connections/s", true)],
};
