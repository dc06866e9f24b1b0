/**
 * Question: what do polls cost that arrive at another worker than that of their session?
 * 3 workers, 800 clients, each with a poll waiting over a connection that is at another worker, so that 800 are
 * relayed at any time, and one message on its way. Checked: every answer is a 200 with the message that is due.
 */
import type { Bench, Case, Sample } from "../lib/bench.js";
import type { PollReport } from "../load/pollers.js";
import { RouterSession } from "./router-session.js";

const CLIENTS = 800;
const WINDOW_MS = 2000;

async function sample(session: RouterSession): Promise<Sample> {
  let report: PollReport | undefined;
  const cpu = await session.measure(async () => {
    report = await session.load.call<PollReport>("exchange", WINDOW_MS);
  });
  if (!report) throw new Error("unreachable: the window has ended");
  const { requests, seconds, failures } = report;
  return {
    failures,
    values: { rate: requests / seconds, cluster: cpu.cluster / requests, wrong: failures.length },
  };
}

function polls(title: string, gather: (session: RouterSession) => Promise<unknown>): Case {
  return {
    title,
    contestants: ["holdfast"],
    comparisons: [],
    open: async (lab, contestant) => {
      const session = await RouterSession.open(lab, contestant);
      await gather(session);
      return { sample: () => sample(session), close: () => session.close() };
    },
  };
}

export const stickyRelay: Bench = {
  name: "sticky-relay",
  title: "Relayed polls",
  question: "What do polls cost that arrive at another worker than that of their session?",
  method: [
    "3 workers; 800 clients in a process that is not counted, each with a poll waiting and a message on its way, which the server echoes; the next follows when it is back. GET and POST count alike.",
    "Relayed: each client polls over a connection that is at another worker than its session, and sends over one that is not. So 800 polls are relayed at any time. Direct: it polls and sends over connections of its own.",
    "Every answer must be a 200 with the message that is due; any other fails the bench.",
  ],
  measures: [
    { key: "rate", title: "requests per second", unit: "/s", better: "higher" },
    { key: "cluster", title: "CPU of the whole cluster per request", unit: "µs", better: "lower" },
    { key: "wrong", title: "wrong answers", unit: "", better: "lower" },
  ],
  cases: () => [
    polls("relayed", async (session) => {
      const largest = await session.load.call<number>("gatherStrays", session.port, CLIENTS);
      if (largest > CLIENTS / 2) throw new Error(`${largest} of ${CLIENTS} sessions are at one worker`);
    }),
    polls("direct", (session) => session.load.call("gatherPollers", session.port, CLIENTS, false)),
  ],
};
