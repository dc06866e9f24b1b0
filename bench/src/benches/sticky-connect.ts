/**
 * Question: what does a new WebSocket connection cost up to Socket.IO's CONNECT answer, and is any lost?
 * 3 workers; 1500 connections a window, 32 at a time ("steady") or all at once ("storm"), each closed when it
 * is answered. The first window is dropped. With --full, 20,000 a window: 100,000 in 5 runs.
 */
import type { Bench, Case, Sample } from "../lib/bench.js";
import type { Arrivals } from "../load/arrivals.js";
import { settled } from "./judge.js";
import { RouterSession } from "./router-session.js";

/** As many as a load generator may open at once without running out of files. */
const STORM_AT_ONCE = 5000;

/** One window of so many connections, and the CPU time that they cost. */
export async function sampleArrivals(session: RouterSession, count: number, atOnce: number): Promise<Sample> {
  let arrivals: Arrivals | undefined;
  let left: string[] = [];
  const cpu = await session.measure(async () => {
    arrivals = await session.load.call<Arrivals>("arrive", session.port, count, atOnce, false);
    left = await settled(session.program, 0);
  });
  if (!arrivals) throw new Error("unreachable: the window has ended");
  const { lost, connected, seconds, p50, p99, reasons } = arrivals;
  return {
    failures: [...left, ...(lost > 0 ? [`${lost} of ${count} connections lost: ${reasons.join(", ")}`] : [])],
    values: {
      primary: cpu.primary / connected,
      cluster: cpu.cluster / connected,
      lost: (lost / count) * 1e4,
      rate: connected / seconds,
      p50,
      p99,
    },
  };
}

function connecting(title: string, count: number, atOnce: number): Case {
  return {
    title,
    contestants: ["holdfast", "holdfast-hash", "peer", "native", "single"],
    comparisons: [
      { of: "holdfast", to: "peer", measure: "primary", atMost: 0.7 },
      { of: "holdfast-hash", to: "native", measure: "primary", atMost: 1.15 },
      { of: "holdfast", to: "peer", measure: "cluster", atMost: 0.95 },
      { of: "holdfast", to: "peer", measure: "rate" },
      { of: "holdfast", to: "native", measure: "cluster" },
    ],
    open: async (lab, contestant) => {
      const session = await RouterSession.open(lab, contestant);
      return { sample: () => sampleArrivals(session, count, atOnce), close: () => session.close() };
    },
  };
}

export const stickyConnect: Bench = {
  name: "sticky-connect",
  title: "New WebSocket connections up to Socket.IO's CONNECT answer",
  question: "What does a new connection cost the primary and the cluster, and is any lost?",
  method: [
    "3 workers; 1500 connections a window from a process that is not counted, 32 at a time or all at once, each closed when it is answered; clients come from 64 addresses (on Linux), so that `hash` spreads them.",
    "The window ends when the workers know of no client any more, so closing is part of the cost.",
    "Lost is what ends or stays unanswered for 5 s before the CONNECT answer; a loss fails the row, except for the peer and the controls.",
  ],
  measures: [
    { key: "primary", title: "CPU of the primary per connection", unit: "µs", better: "lower" },
    { key: "cluster", title: "CPU of the whole cluster per connection", unit: "µs", better: "lower" },
    { key: "lost", title: "lost of 10,000", unit: "", better: "lower" },
    { key: "rate", title: "connections per second", unit: "/s", better: "higher" },
    { key: "p50", title: "time to the answer, p50", unit: "ms", better: "lower" },
    { key: "p99", title: "time to the answer, p99", unit: "ms", better: "lower" },
  ],
  chart: "primary",
  mayFail: ["peer", "native", "single"],
  cases: ({ full }) => {
    const count = full ? 20_000 : 1500;
    return [
      connecting("steady, 32 at a time", count, 32),
      connecting("storm, all at once", count, Math.min(count, STORM_AT_ONCE)),
    ];
  },
};
