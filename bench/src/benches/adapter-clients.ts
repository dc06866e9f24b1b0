/**
 * Question: how much of the adapter's saving is left where real clients are on the network?
 * 500 WebSocket clients on 4 workers, bursts of 20 broadcasts of 100 B to all; the next burst starts when every client
 * has the last one; then the same with one broadcast at a time. Windows of 1 s, the first dropped. The clients' process
 * is not counted.
 */
import type { Bench, Case, Comparison, Sample } from "../lib/bench.js";
import type { Pace } from "../scenarios/emitter.js";
import { AudienceSession } from "./audience-session.js";

const CLIENTS = 500;
/** Most of the time goes into system calls, so a burst is what shows the rest. */
const BURST = 20;
/** Until the code of the very same pace is as hot as in a server that has run for a while. */
const WARM_UP_DELIVERIES = 200_000;
/** The most that it may take, where the machine is busy. */
const WARM_UP_MS = 15_000;

async function sample(session: AudienceSession, pace: Pace): Promise<Sample> {
  const { emitted, seconds, cpu, failures } = await session.hear(pace, false);
  const deliveries = emitted * CLIENTS;
  const { processes, primary, workers } = session.program;
  return {
    failures,
    values: {
      cluster: cpu.of(...processes) / deliveries,
      primary: primary ? cpu.of(primary) / emitted : Number.NaN,
      workers: cpu.of(...workers) / deliveries,
      rate: deliveries / seconds,
    },
  };
}

async function warmUp(session: AudienceSession, pace: Pace): Promise<void> {
  const end = performance.now() + WARM_UP_MS;
  let deliveries = 0;
  while (deliveries < WARM_UP_DELIVERIES && performance.now() < end) {
    deliveries += (await session.hear(pace, false)).report.deliveries;
  }
}

function hearing(title: string, burst: number, comparisons: readonly Comparison[]): Case {
  const pace = { ms: 1000, burst, window: burst, rate: 0 };
  return {
    title,
    contestants: ["holdfast", "peer", "peer-advanced", "raw-clients", "raw-clients-joined"],
    comparisons: [
      ...comparisons,
      { of: "holdfast", to: "peer", measure: "primary" },
      { of: "holdfast", to: "peer", measure: "rate" },
      { of: "holdfast", to: "raw-clients", measure: "workers", atMost: 1.3 },
      { of: "holdfast", to: "raw-clients-joined", measure: "workers" },
    ],
    open: async (lab, contestant) => {
      const hall = { contestant, workers: 4, clients: CLIENTS, listen: "own" } as const;
      const session = await AudienceSession.open(lab, hall);
      await warmUp(session, pace);
      return { sample: () => sample(session, pace), close: () => session.close() };
    },
  };
}

export const adapterClients: Bench = {
  name: "adapter-clients",
  title: "500 WebSocket clients on 4 workers",
  question: "How much of the saving is left where real clients are on the network?",
  method: [
    "500 WebSocket clients, 125 on each of 4 workers (each worker on a port of its own), in a process that is not counted.",
    "One worker broadcasts 20 events of 100 B in a turn, or one, and as many again when every client has them, for 1 s.",
    "Before that, 200,000 deliveries at the same pace, so that code is as hot as in a server that has run for a while.",
    "The two controls are one process each, whose CPU counts as that of the workers.",
    "Each client checks that every number comes once and in order.",
  ],
  measures: [
    {
      key: "cluster",
      title: "CPU of the whole cluster per delivery to a client",
      unit: "µs",
      better: "lower",
    },
    { key: "workers", title: "CPU of the workers per delivery to a client", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per broadcast", unit: "µs", better: "lower" },
    { key: "rate", title: "deliveries per second", unit: "/s", better: "higher" },
  ],
  chart: "cluster",
  cases: () => [
    hearing("500 clients, W = 4", BURST, [{ of: "holdfast", to: "peer", measure: "cluster", atMost: 0.6 }]),
    hearing("one broadcast at a time", 1, [{ of: "holdfast", to: "peer", measure: "cluster" }]),
  ],
};
