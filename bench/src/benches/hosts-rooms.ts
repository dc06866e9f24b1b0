/**
 * Question: what does a broadcast cost that only one host needs?
 * 1000 rooms, each with one member on one of 2 × 4 workers; 100 B of text to each room in turn, as fast as the loop
 * allows (64 emits a turn, at most 2048 on their way). Windows of 1 s, the first dropped, after 1.5 s of the same.
 */
import type { Bench } from "../lib/bench.js";
import { HOSTS_MEASURES, HOSTS_METHOD, hostsCase, QUICK } from "./hosts-session.js";

export const hostsRooms: Bench = {
  name: "hosts-rooms",
  title: "Two hosts: 1000 rooms, each on one of them",
  question: "What does a broadcast cost that only one host needs?",
  method: [
    ...HOSTS_METHOD,
    "As the first of them, but the emits go to 1000 rooms in turn, each of which has one member on one worker of one host: half of them on the emitter's.",
    "Each worker checks that it gets every packet for its rooms, once and in order; one emit is one delivery.",
  ],
  measures: HOSTS_MEASURES,
  chart: "cluster",
  cases: () => [
    hostsCase(
      {
        title: "1000 rooms",
        contestants: ["holdfast", "redis-streams-only", "redis-sharded"],
        comparisons: [
          { of: "holdfast", to: "redis-sharded", measure: "cluster", atMost: 1 / 8 },
          { of: "holdfast", to: "redis-streams-only", measure: "cluster" },
          { of: "holdfast", to: "redis-sharded", measure: "redis" },
          { of: "holdfast", to: "redis-sharded", measure: "rate" },
        ],
      },
      { payload: { kind: "text", bytes: 100 }, rooms: 1000 },
      QUICK,
    ),
  ],
};
