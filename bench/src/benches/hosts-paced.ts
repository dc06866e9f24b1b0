/**
 * Question: what does a broadcast cost, and how long does it take to the other host, where there is little to batch?
 * 100 B of text to a room with one member on each of 2 × 4 workers, 500 or 2,000 emits/s, each alone in its turn.
 * Windows of 1.5 s, the first dropped, after 1.5 s of emits as fast as the loop allows.
 */
import type { Bench, Case, Comparison } from "../lib/bench.js";
import { HOSTS_MEASURES, HOSTS_METHOD, hostsCase } from "./hosts-session.js";

const STREAMS = { of: "holdfast", to: "redis-streams-only" };
const SHARDED = { of: "holdfast", to: "redis-sharded" };

function paced(rate: number, comparisons: readonly Comparison[]): Case {
  return hostsCase(
    {
      title: `${rate.toLocaleString("en-US")} broadcasts/s`,
      contestants: ["holdfast", "redis-streams-only", "redis-sharded"],
      comparisons: [
        ...comparisons,
        { ...SHARDED, measure: "cluster" },
        { ...SHARDED, measure: "p50", atMost: 1.2 },
        { ...SHARDED, measure: "p99", atMost: 1 },
        { ...STREAMS, measure: "p50" },
        { ...STREAMS, measure: "p99" },
      ],
    },
    { payload: { kind: "text", bytes: 100 }, rooms: 1, timed: true },
    { ms: 1500, burst: 1, window: 2048, rate },
  );
}

export const hostsPaced: Bench = {
  name: "hosts-paced",
  title: "Two hosts: 500 and 2,000 broadcasts a second",
  question:
    "What does a broadcast cost, and how long does it take to the other host, where little can be batched?",
  method: [
    ...HOSTS_METHOD,
    "As above, but with 500 or 2,000 emits of 100 B a second, each in a turn of its own, for 1.5 s.",
    "Latency is from just before the emit to the arrival at the members on the other host, by the clock that all processes share.",
  ],
  measures: [
    ...HOSTS_MEASURES.filter(({ key }) => key !== "rate"),
    { key: "p50", title: "latency to the other host, p50", unit: "ms", better: "lower" },
    { key: "p99", title: "latency to the other host, p99", unit: "ms", better: "lower" },
  ],
  chart: "p50",
  cases: () => [
    paced(500, [{ ...STREAMS, measure: "cluster", atMost: 0.6 }]),
    paced(2000, [{ ...STREAMS, measure: "cluster" }]),
  ],
};
