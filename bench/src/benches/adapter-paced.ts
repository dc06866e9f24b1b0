/**
 * Question: does batching cost anything where there is nothing to batch?
 * 100 B of text to a room with one member on each of W workers, 1,000 emits/s, each alone in its turn.
 * W = 4, 8; W = 4 also evenly, without making up for what a timer was late for. Windows of 1.2 s, the first dropped, after
 * 1.5 s of emits as fast as the loop allows.
 */
import type { Bench, Case, Comparison } from "../lib/bench.js";
import { BROADCAST_MEASURES, openBroadcast, WARM_UP_MS, type Work } from "./broadcast-session.js";

const ALL = ["holdfast", "peer", "peer-advanced", "raw", "in-memory"];

/** @param even whether emits come evenly; otherwise one that is late is made up for in the next turn */
function paced(workers: number, even: boolean, contestants = ALL): Case {
  const work: Work = {
    workers,
    options: { payload: { kind: "text", bytes: 100 }, rooms: 1 },
    pace: { ms: 1200, burst: 1, window: 2048, rate: 1000, even },
    warmUp: { ms: WARM_UP_MS, burst: 20, window: 2048, rate: 0 },
  };
  const peer = { of: "holdfast", to: "peer" };
  const comparisons: Comparison[] = [
    { ...peer, measure: "primary", atMost: 0.8 },
    { ...peer, measure: "cluster", atMost: workers === 4 ? 0.65 : 0.8 },
    { ...peer, measure: "receiver" },
    { ...peer, measure: "emitter" },
  ];
  if (contestants.includes("raw")) {
    comparisons.push({ of: "holdfast", to: "raw", measure: "primary", atMost: 1.05 });
  }
  return {
    title: even ? `W = ${workers}, evenly` : `W = ${workers}`,
    contestants,
    comparisons,
    open: (lab, contestant) => openBroadcast(lab, contestant, work),
  };
}

export const adapterPaced: Bench = {
  name: "adapter-paced",
  title: "Broadcast to a room on all workers, 1,000 a second",
  question: "What does a broadcast cost that is alone in its turn, so that there is nothing to batch?",
  method: [
    "As above, but with 1,000 emits a second by a timer, each in a turn of its own.",
    "Evenly: one emit each time that the timer fires, so that no two are near each other; otherwise what a timer was late for is made up for in the next turn.",
    "The timer is part of the emitter's CPU; the rows `in-memory` (one worker, nothing sent) and `raw` show its share.",
    "Windows of 1.2 s, after 1.5 s as fast as the loop allows, so that every contestant's code is compiled.",
  ],
  measures: BROADCAST_MEASURES.filter(({ key }) => key !== "rate"),
  chart: "cluster",
  cases: () => [
    paced(4, false),
    paced(4, true, ["holdfast", "peer", "raw"]),
    paced(8, false, ["holdfast", "peer"]),
  ],
};
