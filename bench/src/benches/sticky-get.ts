/**
 * Question: what do requests of the application on the same port pay for stickiness?
 * 3 workers, 32 keep-alive connections, a GET of 43 B answered by the application, the next when it is
 * answered. Windows of 800 ms, the first dropped. Checked: every answer is the right one.
 */
import type { Bench, Sample } from "../lib/bench.js";
import type { GetReport } from "../load/getters.js";
import { PLAIN_BODY, PLAIN_PATH } from "../scenarios/network.js";
import { RouterSession } from "./router-session.js";

const CONNECTIONS = 32;
const WINDOW_MS = 800;

async function sample(session: RouterSession): Promise<Sample> {
  let report: GetReport | undefined;
  const cpu = await session.measure(async () => {
    const { load, port } = session;
    report = await load.call<GetReport>("get", port, PLAIN_PATH, PLAIN_BODY, CONNECTIONS, WINDOW_MS);
  });
  if (!report) throw new Error("unreachable: the window has ended");
  const { requests, seconds, failures } = report;
  return {
    failures,
    values: {
      rate: requests / seconds,
      cluster: cpu.cluster / requests,
      primary: cpu.primary / requests,
    },
  };
}

export const stickyGet: Bench = {
  name: "sticky-get",
  title: "Plain GET requests on the same port",
  question: "What do requests of the application pay for stickiness?",
  method: [
    "3 workers; 32 keep-alive connections from a process that is not counted, each with one GET at a time that the application answers with 43 B, for 800 ms.",
    "Every answer must be a 200 with the right body.",
  ],
  measures: [
    { key: "rate", title: "requests per second", unit: "/s", better: "higher" },
    { key: "cluster", title: "CPU of the whole cluster per request", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per request", unit: "µs", better: "lower" },
  ],
  chart: "cluster",
  mayFail: ["peer"],
  cases: () => [
    {
      title: "32 connections",
      contestants: ["holdfast", "peer", "native", "single"],
      comparisons: [
        { of: "holdfast", to: "native", measure: "rate", atLeast: 0.95 },
        { of: "holdfast", to: "native", measure: "cluster" },
        { of: "holdfast", to: "peer", measure: "rate" },
      ],
      open: async (lab, contestant) => {
        const session = await RouterSession.open(lab, contestant);
        return { sample: () => sample(session), close: () => session.close() };
      },
    },
  ],
};
