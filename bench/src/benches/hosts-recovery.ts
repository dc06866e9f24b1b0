/**
 * Question: what does connection state recovery on any of two hosts cost?
 * 100 B of text to a room with one member on each of 2 × 4 workers, as fast as the emitter's loop allows (64 emits a
 * turn, at most 2048 on their way). Windows of 1 s, the first dropped, after 1.5 s of the same.
 */
import type { Bench } from "../lib/bench.js";
import { HOSTS_MEASURES, HOSTS_METHOD, hostsCase, QUICK } from "./hosts-session.js";

const STREAMS = { of: "holdfast-recovery", to: "redis-streams" };

export const hostsRecovery: Bench = {
  name: "hosts-recovery",
  title: "Two hosts: connection state recovery",
  question: "What does it cost that a client can come back to any host and gets what it missed?",
  method: [
    ...HOSTS_METHOD,
    "As the first of them, with `connectionStateRecovery`, 100 B. Redis gives each packet its number, so no host delivers it before it has been there and back.",
  ],
  measures: [
    {
      key: "perCpu",
      title: "broadcasts per CPU second of all processes, Redis among them",
      unit: "/s",
      better: "higher",
    },
    ...HOSTS_MEASURES,
  ],
  chart: "perCpu",
  cases: () => [
    hostsCase(
      {
        title: "as fast as the loop allows",
        contestants: ["holdfast-recovery", "redis-streams", "holdfast"],
        comparisons: [
          { ...STREAMS, measure: "perCpu", atLeast: 5 },
          { of: "holdfast-recovery", to: "holdfast", measure: "perCpu" },
          { ...STREAMS, measure: "redis" },
          { ...STREAMS, measure: "rate" },
        ],
      },
      { payload: { kind: "text", bytes: 100 }, rooms: 1 },
      QUICK,
    ),
  ],
};
