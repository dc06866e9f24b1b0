/**
 * Question: what does one broadcast cost where everybody on two hosts is to get it?
 * 100 B or 2 KB of text to a room with one member on each of 2 × 4 workers, as fast as the emitter's loop allows (64
 * emits a turn, at most 2048 on their way). Windows of 1 s, the first dropped, after 1.5 s of the same.
 */
import type { Bench, Case, Comparison } from "../lib/bench.js";
import { HOSTS_MEASURES, HOSTS_METHOD, hostsCase, QUICK } from "./hosts-session.js";

const STREAMS = { of: "holdfast", to: "redis-streams-only" };
const SHARDED = { of: "holdfast", to: "redis-sharded" };

function fanout(title: string, bytes: number, comparisons: readonly Comparison[]): Case {
  return hostsCase(
    {
      title,
      contestants: ["holdfast", "redis-streams-only", "redis-sharded"],
      comparisons: [
        ...comparisons,
        { ...STREAMS, measure: "redis" },
        { ...SHARDED, measure: "redis" },
        { ...STREAMS, measure: "rate" },
        { ...SHARDED, measure: "rate" },
      ],
    },
    { payload: { kind: "text", bytes }, rooms: 1 },
    QUICK,
  );
}

export const hostsFanout: Bench = {
  name: "hosts-fanout",
  title: "Two hosts: broadcast to a room on all workers, as fast as the loop allows",
  question: "What does one broadcast cost where every worker of two hosts has a member of the room?",
  method: [
    ...HOSTS_METHOD,
    "One worker emits 100 B or 2 KB of text to a room with one member on each of the 8 workers, 64 events a turn, with at most 2048 on their way to the slowest receiver. Windows of 1 s, after 1.5 s of the same.",
  ],
  measures: HOSTS_MEASURES,
  chart: "cluster",
  cases: () => [
    fanout("100 B", 100, [
      { ...STREAMS, measure: "cluster", atMost: 1 / 6 },
      { ...SHARDED, measure: "cluster", atMost: 1 / 3 },
      { of: "holdfast", measure: "redis", atMost: 1 },
    ]),
    fanout("2 KB", 2048, [
      { ...STREAMS, measure: "cluster", atMost: 1 / 4 },
      { ...SHARDED, measure: "cluster" },
    ]),
  ],
};
