/**
 * Question: how much of the adapter's saving is left where real clients are on the network?
 * 500 WebSocket clients on 4 workers, bursts of 20 broadcasts of 100 B to all; the next burst starts when
 * every client has the last one. Windows of 1 s, the first dropped. The clients' process is not counted.
 */
import type { Bench, Sample } from "../lib/bench.js";
import { AudienceSession } from "./audience-session.js";

const CLIENTS = 500;
const PACE = { ms: 1000, burst: 20, window: 20, rate: 0 };

async function sample(session: AudienceSession): Promise<Sample> {
  const { emitted, seconds, cpu, failures } = await session.hear(PACE, false);
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

export const adapterClients: Bench = {
  name: "adapter-clients",
  title: "500 WebSocket clients on 4 workers, bursts of 20 broadcasts",
  question: "How much of the saving is left where real clients are on the network?",
  method: [
    "500 WebSocket clients, 125 on each of 4 workers (each worker on a port of its own), in a process that is not counted.",
    "One worker broadcasts 20 events of 100 B in a turn, and the next 20 when every client has them, for 1 s.",
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
    {
      title: "500 clients, W = 4",
      contestants: ["holdfast", "peer", "peer-advanced"],
      comparisons: [
        { of: "holdfast", to: "peer", measure: "cluster", atMost: 0.6 },
        { of: "holdfast", to: "peer", measure: "primary" },
        { of: "holdfast", to: "peer", measure: "rate" },
      ],
      open: async (lab, contestant) => {
        const hall = { contestant, workers: 4, clients: CLIENTS, listen: "own" } as const;
        const session = await AudienceSession.open(lab, hall);
        return { sample: () => sample(session), close: () => session.close() };
      },
    },
  ],
};
