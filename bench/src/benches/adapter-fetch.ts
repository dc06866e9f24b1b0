/**
 * Question: what does one `fetchSockets()` of the whole cluster cost?
 * 2,000 sockets without a network, 500 on each of 4 workers; one worker fetches again and again.
 * Windows of 800 ms, the first dropped. Checked: each answer has exactly 2,000 sockets.
 */

import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
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
  const program = await lab.start("nodes/cluster", config, WORKERS + 1);
  return { sample: () => sample(program), close: () => program.close() };
}

async function sample(program: RemoteProgram): Promise<Sample> {
  let calls = 0;
  let counts: number[] = [];
  const start = performance.now();
  const cpu = await cpuDuring(program, async () => {
    ({ calls, counts } = await program
      .worker(0)
      .call<{ calls: number; counts: number[] }>("fetch", WINDOW_MS));
  });
  const seconds = (performance.now() - start) / 1000;
  const wrong = counts.filter((count) => count !== SOCKETS);
  return {
    failures: wrong.map((count) => `an answer with ${count} of ${SOCKETS} sockets`),
    values: {
      cluster: cpu.of(...program.processes) / calls / 1000,
      primary: program.primary ? cpu.of(program.primary) / calls / 1000 : Number.NaN,
      caller: cpu.of(program.worker(0)) / calls / 1000,
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
