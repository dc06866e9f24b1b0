/**
 * Question: what does a broadcast cost that only one worker needs?
 * 1000 rooms, each with one member on one of 8 workers; 100 B of text to each room in turn, as fast as the
 * loop allows (64 emits a turn, at most 2048 on their way). Windows of 600 ms, the first dropped.
 */
import type { Bench } from "../lib/bench.js";
import { BROADCAST_MEASURES, openBroadcast, type Work } from "./broadcast-session.js";

const WORK: Work = {
  workers: 8,
  options: { payload: { kind: "text", bytes: 100 }, rooms: 1000 },
  pace: { ms: 600, burst: 64, window: 2048, rate: 0 },
};

export const adapterRooms: Bench = {
  name: "adapter-rooms",
  title: "1000 rooms, each on one of 8 workers",
  question: "What does a broadcast cost that only one worker needs?",
  method: [
    "As the first bench with W = 8, but the emits go to 1000 rooms in turn, each of which has one member on one worker.",
    "Each worker checks that it gets every packet for its rooms, once and in order; one emit is one delivery.",
  ],
  measures: BROADCAST_MEASURES,
  chart: "cluster",
  cases: () => [
    {
      title: "1000 rooms, W = 8",
      contestants: ["holdfast", "peer", "peer-advanced"],
      comparisons: [
        { of: "holdfast", to: "peer", measure: "cluster", atMost: 1 / 8 },
        { of: "holdfast", to: "peer", measure: "primary" },
        { of: "holdfast", to: "peer", measure: "rate" },
      ],
      open: (lab, contestant) => openBroadcast(lab, contestant, WORK),
    },
  ],
};
