/**
 * Question: what does a new WebSocket connection cost where the workers listen themselves?
 * As `sticky-connect`, steady, but nobody calls the router's `setupPrimary()`: the workers share the port by
 * node:cluster's shared handle, by its round robin, or by `reusePort`, where Node.js has that.
 */
import type { Bench } from "../lib/bench.js";
import { RouterSession } from "./router-session.js";
import { sampleArrivals, stickyConnect } from "./sticky-connect.js";

const CONNECTIONS = 1500;
const AT_ONCE = 32;
/** What asking the primary for its CPU time costs it, shared out among the connections of a window: no more than that. */
const READING_MICROS = 4;
const LISTENING = ["holdfast-shared-handle", "holdfast-round-robin"];
/** Before Node.js 23.1 the option is ignored, and the second worker finds the port taken. */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const HAS_REUSE_PORT = process.platform === "linux" && (major > 23 || (major === 23 && minor >= 1));
const CONTESTANTS = [
  ...LISTENING,
  ...(HAS_REUSE_PORT ? ["holdfast-reuse-port"] : []),
  "holdfast",
  "native-shared-handle",
  "single",
];

export const stickyListen: Bench = {
  name: "sticky-listen",
  title: "New WebSocket connections to workers that listen themselves",
  question: "What does a new connection cost where there is no router?",
  method: [
    "3 workers; 1500 connections a window from a process that is not counted, 32 at a time, each closed when it is answered. Closing is part of the cost.",
    "The primary takes no part but in round robin; what it uses otherwise is the bench's own question, twice a window.",
    "A loss fails the row.",
  ],
  measures: stickyConnect.measures,
  chart: "cluster",
  cases: () => [
    {
      title: "steady, 32 at a time",
      contestants: CONTESTANTS,
      comparisons: [
        { of: "holdfast-shared-handle", to: "single", measure: "cluster", atMost: 1.25 },
        { of: "holdfast-shared-handle", to: "native-shared-handle", measure: "cluster" },
        { of: "native-shared-handle", to: "single", measure: "cluster" },
        { of: "holdfast-round-robin", to: "single", measure: "cluster" },
        { of: "holdfast-reuse-port", to: "single", measure: "cluster", atMost: 1.25 },
        { of: "holdfast", to: "single", measure: "cluster" },
        { of: "holdfast-shared-handle", measure: "primary", atMost: READING_MICROS },
        { of: "holdfast-reuse-port", measure: "primary", atMost: READING_MICROS },
      ],
      open: async (lab, contestant) => {
        const session = await RouterSession.open(lab, contestant);
        // Each worker sees a part of the connections; its code is to be as hot as that of the process alone.
        for (const _ of session.program.workers) await sampleArrivals(session, CONNECTIONS, AT_ONCE);
        return {
          sample: () => sampleArrivals(session, CONNECTIONS, AT_ONCE),
          close: () => session.close(),
        };
      },
    },
  ],
};
