/**
 * Question: what does a long-polling request cost?
 * 3 workers, 48 clients, each with a poll waiting and one message on its way at any time. Either each client
 * has keep-alive connections of its own (a browser) or all share one pool (a reverse proxy). Windows of 1 s,
 * the first dropped. Checked: every message comes back, in order, and every answer is a 200.
 */
import type { Bench, Case, Comparison, Sample } from "../lib/bench.js";
import type { PollReport } from "../load/pollers.js";
import { RouterSession } from "./router-session.js";

const CLIENTS = 48;
const WINDOW_MS = 1000;
/** Of each worker, until its code is as hot as in a server that has run for a while. */
const WARM_UP_REQUESTS = 8_000;
/** The most that it may take, where the machine is busy. */
const WARM_UP_MS = 10_000;

async function sample(session: RouterSession): Promise<Sample> {
  let report: PollReport | undefined;
  const cpu = await session.measure(async () => {
    report = await session.load.call<PollReport>("exchange", WINDOW_MS);
  });
  if (!report) throw new Error("unreachable: the window has ended");
  const { requests, connections, seconds, failures } = report;
  return {
    failures,
    values: {
      rate: requests / seconds,
      cluster: cpu.cluster / requests,
      primary: cpu.primary / requests,
      connections: connections / requests,
    },
  };
}

/** Where requests are spread over several processes, or the machine is busy, a window's worth is not enough. */
async function warmUp(session: RouterSession): Promise<void> {
  const { workers } = session.program;
  const end = performance.now() + WARM_UP_MS;
  let requests = 0;
  while (requests < WARM_UP_REQUESTS * workers.length && performance.now() < end) {
    requests += (await session.load.call<PollReport>("exchange", WINDOW_MS / 2)).requests;
  }
}

function polling(title: string, shared: boolean, comparisons: readonly Comparison[]): Case {
  return {
    title,
    contestants: ["holdfast", "peer", "single"],
    comparisons,
    open: async (lab, contestant) => {
      const session = await RouterSession.open(lab, contestant);
      await session.load.call("gatherPollers", session.port, CLIENTS, shared);
      await warmUp(session);
      return { sample: () => sample(session), close: () => session.close() };
    },
  };
}

export const stickyPolling: Bench = {
  name: "sticky-polling",
  title: "Long polling",
  question: "What does a long-polling request cost?",
  method: [
    "3 workers; 48 clients in a process that is not counted, each with a poll waiting and a message on its way, which the server echoes; the next follows when it is back. GET and POST count alike.",
    "Own connections: each client keeps its connections, as a browser does. Shared pool: a request of any client takes the connection that became idle last, as a reverse proxy does.",
    "Before the first window each worker has answered 8,000 requests, so that code is as hot as in a server that has run for a while.",
    "Every echo is checked against the message, every answer must be a 200.",
  ],
  measures: [
    { key: "rate", title: "requests per second", unit: "/s", better: "higher" },
    { key: "cluster", title: "CPU of the whole cluster per request", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per request", unit: "µs", better: "lower" },
    { key: "connections", title: "new connections per request", unit: "", better: "lower" },
  ],
  chart: "cluster",
  mayFail: ["peer"],
  cases: () => [
    polling("own connections", false, [
      { of: "holdfast", to: "peer", measure: "rate", atLeast: 6 },
      { of: "holdfast", to: "single", measure: "cluster", atMost: 1.2 },
      { of: "holdfast", to: "peer", measure: "cluster" },
    ]),
    polling("shared pool", true, [
      { of: "holdfast", to: "peer", measure: "rate", atLeast: 2.5 },
      { of: "holdfast", to: "single", measure: "cluster", atMost: 1.7 },
      { of: "holdfast", to: "peer", measure: "cluster" },
    ]),
  ],
};
