/**
 * Question: what does one `fetchSockets()` of the whole cluster cost?
 * 2,000 sockets without a network, 500 on each of 4 workers; one worker fetches again and again.
 * Windows of 800 ms, the first dropped. Checked: each answer has exactly 2,000 sockets.
 */
import type { Bench, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Group, Lab } from "../lib/lab.js";
import type { NodeConfig } from "../nodes/config.js";

const WORKERS = 4;
const SOCKETS = 2000;
const WINDOW_MS = 800;

async function open(lab: Lab, contestant: string): Promise<Session> {
  const config: NodeConfig = {
    setup: adapterSetup(contestant),
    workers: WORKERS,
    scenario: "sockets",
    listen: "none",
    options: { perWorker: SOCKETS / WORKERS },
  };
  const group = await lab.start("nodes/cluster", config, WORKERS + 1);
  return { sample: () => sample(group), close: () => group.close() };
}

async function sample(group: Group): Promise<Sample> {
  let calls = 0;
  let counts: number[] = [];
  const start = performance.now();
  const cpu = await cpuDuring(group, async () => {
    ({ calls, counts } = await group.at(0).call<{ calls: number; counts: number[] }>("fetch", WINDOW_MS));
  });
  const seconds = (performance.now() - start) / 1000;
  const wrong = counts.filter((count) => count !== SOCKETS);
  return {
    failures: wrong.map((count) => `an answer with ${count} of ${SOCKETS} sockets`),
    values: {
      cluster: cpu.of(...group.members) / calls / 1000,
      primary: group.primary ? cpu.of(group.primary) / calls / 1000 : Number.NaN,
      caller: cpu.of(group.at(0)) / calls / 1000,
      rate: calls / seconds,
    },
  };
}

export const adapterFetch: Bench = {
  name: "adapter-fetch",
  title: "fetchSockets() of 2,000 sockets on 4 workers",
  question: "What does one `fetchSockets()` of the whole cluster cost?",
  method: [
    "500 sockets on each of 4 workers, each with a browser's handshake, `data` and three rooms; no network.",
    "One worker calls `io.fetchSockets()` again as soon as it is answered, for 800 ms; each answer must have 2,000 sockets.",
  ],
  measures: [
    { key: "cluster", title: "CPU of the whole cluster per call", unit: "ms", better: "lower" },
    { key: "primary", title: "CPU of the primary per call", unit: "ms", better: "lower" },
    { key: "caller", title: "CPU of the caller per call", unit: "ms", better: "lower" },
    { key: "rate", title: "calls per second", unit: "/s", better: "higher" },
  ],
  chart: "cluster",
  cases: () => [
    {
      title: "2,000 sockets",
      contestants: ["holdfast", "peer", "peer-advanced"],
      comparisons: [
        { of: "holdfast", to: "peer", measure: "cluster", atMost: 1 / 2 },
        { of: "holdfast", to: "peer", measure: "primary" },
        { of: "holdfast", to: "peer", measure: "rate" },
      ],
      open,
    },
  ],
};
