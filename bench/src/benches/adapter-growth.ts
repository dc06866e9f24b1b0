/**
 * Question: does the primary's cost of a delivery grow with the number of workers?
 * The fan-out bench with W = 2 and W = 16 side by side, so that their ratio is made of pairs.
 */
import type { Bench } from "../lib/bench.js";
import { BROADCAST_MEASURES, openBroadcast, type Work } from "./broadcast-session.js";

const WORK: Omit<Work, "workers"> = {
  options: { payload: { kind: "text", bytes: 100 }, rooms: 1 },
  pace: { ms: 600, burst: 64, window: 2048, rate: 0 },
};

export const adapterGrowth: Bench = {
  name: "adapter-growth",
  title: "From 2 to 16 workers",
  question: "Does the primary's cost of one delivery grow with the number of workers?",
  method: [
    "As the first bench; the contestants are W = 2 and W = 16 of the same adapter, measured in turn.",
    "A delivery is one event taken to one other worker.",
  ],
  measures: BROADCAST_MEASURES.filter(({ key }) => key === "hop"),
  cases: () => [
    {
      title: "W = 2 and 16",
      contestants: ["holdfast@2", "holdfast@16", "peer@2", "peer@16"],
      comparisons: [
        { of: "holdfast@16", to: "holdfast@2", measure: "hop", atMost: 1.3 },
        { of: "peer@16", to: "peer@2", measure: "hop" },
      ],
      open: (lab, contestant) => {
        const [name = "", workers] = contestant.split("@");
        return openBroadcast(lab, name, { ...WORK, workers: Number(workers) });
      },
    },
  ],
};
