/**
 * Question: what does one broadcast cost where everybody is to get it, and nothing but the adapter counts?
 * 100 B of text to a room with one member on each of W workers, as fast as the emitter's loop allows
 * (64 emits a turn, at most 2048 on their way). W = 2, 4, 8, 16. Windows of 600 ms, the first dropped, after
 * 1.5 s of the same.
 */
import type { Bench, Case } from "../lib/bench.js";
import { BROADCAST_MEASURES, openBroadcast, WARM_UP_MS, type Work } from "./broadcast-session.js";

const WORKERS = [2, 4, 8, 16];
/** Targets for the primary's CPU per emit, relative to the peer. */
const PRIMARY_AT_MOST: Record<number, number> = { 4: 1 / 12, 8: 1 / 15, 16: 1 / 15 };

/** Of the primary's CPU per emit with pipes. */
const UNIX_AT_MOST = 1.3;

function fanout(workers: number): Case {
  const pace = { ms: 600, burst: 64, window: 2048, rate: 0 };
  const work: Work = {
    workers,
    options: { payload: { kind: "text", bytes: 100 }, rooms: 1 },
    pace,
    warmUp: { ...pace, ms: WARM_UP_MS },
  };
  const primary = PRIMARY_AT_MOST[workers];
  const peer = { of: "holdfast", to: "peer" };
  return {
    title: `W = ${workers}`,
    contestants: [
      "holdfast",
      "holdfast-unix",
      "peer",
      "peer-advanced",
      "raw",
      ...(workers === 4 ? ["in-memory"] : []),
    ],
    comparisons: [
      { ...peer, measure: "primary", ...(primary ? { atMost: primary } : {}) },
      { ...peer, measure: "rate", atLeast: 6 },
      { ...peer, measure: "receiver", atMost: 1 / 4 },
      { ...peer, measure: "emitter", atMost: 1 / 3 },
      { ...peer, measure: "cluster" },
      { of: "holdfast-unix", to: "holdfast", measure: "primary", atMost: UNIX_AT_MOST },
      { of: "holdfast", to: "peer-advanced", measure: "primary" },
      { of: "holdfast", to: "raw", measure: "primary" },
    ],
    open: (lab, contestant) => openBroadcast(lab, contestant, work),
  };
}

export const adapterFanout: Bench = {
  name: "adapter-fanout",
  title: "Broadcast to a room on all workers, as fast as the loop allows",
  question: "What does one broadcast cost where every worker has a member of the room?",
  method: [
    "One worker emits 100 B of text to a room with one member on each of W workers.",
    "It emits 64 events a turn, with at most 2048 on their way to the slowest receiver; receivers acknowledge out of band.",
    "Members are real Socket.IO sockets on real Engine.IO sockets whose transport only counts: no network.",
    "After 1.5 s of the same, so that code is as hot as in a server that has run for a while, each window lasts 600 ms and ends when everything has arrived; every receiver checks that each number comes once and in order.",
  ],
  measures: BROADCAST_MEASURES,
  chart: "primary",
  cases: () => WORKERS.map(fanout),
};
