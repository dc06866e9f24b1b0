/**
 * Question: what do the figures cost while nobody reads them, and while somebody does once a second?
 * Broadcasts as in "adapter-fanout" with W = 4, and connections as in "sticky-connect", each without metrics (twice: how
 * far these two are apart is noise), with metrics that nobody reads, and with metrics that are read. Windows of
 * broadcasts last 3 s, so that each has three readings.
 */
import type { Bench, Case, Comparison } from "../lib/bench.js";
import { openBroadcast, WARM_UP_MS, type Work } from "./broadcast-session.js";
import { RouterSession } from "./router-session.js";
import { sampleArrivals } from "./sticky-connect.js";

const CONTESTANTS = ["holdfast", "holdfast-twin", "holdfast-collected", "holdfast-scraped"];
/** More than that is no longer unmeasurable. */
const AT_MOST = 1.03;

const PACE = { ms: 3_000, burst: 64, window: 2048, rate: 0 };
const BROADCASTS: Work = {
  workers: 4,
  options: { payload: { kind: "text", bytes: 100 }, rooms: 1 },
  pace: PACE,
  warmUp: { ...PACE, ms: WARM_UP_MS },
};
const CONNECTIONS = 3_000;
const AT_ONCE = 32;

const COMPARISONS: readonly Comparison[] = ["primary", "cluster"].flatMap((measure) => [
  { of: "holdfast-twin", to: "holdfast", measure },
  { of: "holdfast-collected", to: "holdfast", measure, atMost: AT_MOST },
  { of: "holdfast-scraped", to: "holdfast", measure, atMost: AT_MOST },
]);

const broadcasts: Case = {
  title: "broadcasts, W = 4",
  contestants: CONTESTANTS,
  comparisons: COMPARISONS,
  open: (lab, contestant) => openBroadcast(lab, contestant, BROADCASTS),
};

const connections: Case = {
  title: "connections, 32 at a time",
  contestants: CONTESTANTS,
  comparisons: COMPARISONS,
  open: async (lab, contestant) => {
    const session = await RouterSession.open(lab, contestant);
    return {
      sample: () => sampleArrivals(session, CONNECTIONS, AT_ONCE),
      close: () => session.close(),
    };
  },
};

export const metricsCost: Bench = {
  name: "metrics-cost",
  title: "Metrics that nobody reads, and metrics that are read once a second",
  question: "What do the figures cost while nobody reads them, and while somebody does?",
  method: [
    "Broadcasts of 100 B to a room with one member on each of 4 workers, as fast as the loop allows, windows of 3 s; and 3,000 connections a window, 32 at a time, on 3 workers.",
    "`collectMetrics()` of `@holdfast/cluster/metrics` puts the figures of hub or router into a registry of prom-client in the primary; a reading is `register.metrics()`.",
    "`holdfast-twin` is a second cluster without metrics: its ratio is the noise that the others are to be seen against.",
  ],
  measures: [
    { key: "primary", title: "CPU of the primary per emit, or per connection", unit: "µs", better: "lower" },
    {
      key: "cluster",
      title: "CPU of the whole cluster per emit, or per connection",
      unit: "µs",
      better: "lower",
    },
  ],
  chart: "primary",
  cases: () => [broadcasts, connections],
};
