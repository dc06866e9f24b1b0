/**
 * Question: how does the cost of a broadcast grow with what it carries?
 * 2 KB of JSON, a 2 KB Buffer, 64 KB of JSON to a room with one member on each of 4 workers, as fast as the
 * loop allows (64 emits a turn and 2048 on their way; for 64 KB 4 and 64). Windows of 600 ms, the first dropped, after 1.5 s of the same.
 */
import type { Bench, Case, Comparison } from "../lib/bench.js";
import type { Payload } from "../scenarios/payload.js";
import { BROADCAST_MEASURES, openBroadcast, WARM_UP_MS, type Work } from "./broadcast-session.js";

const SMALL = { burst: 64, window: 2048 };
const LARGE = { burst: 4, window: 64 };

function carrying(
  title: string,
  payload: Payload,
  pace: { burst: number; window: number },
  comparisons: readonly Comparison[],
): Case {
  const quick = { rate: 0, ...pace };
  const work: Work = {
    workers: 4,
    options: { payload, rooms: 1 },
    pace: { ms: 600, ...quick },
    warmUp: { ms: WARM_UP_MS, ...quick },
  };
  // JSON turns a Buffer into something else, so the peer's default takes no part there.
  const peers = payload.kind === "buffer" ? ["peer-advanced"] : ["peer", "peer-advanced"];
  return {
    title,
    contestants: ["holdfast", ...peers, "raw"],
    comparisons: [...comparisons, { of: "holdfast", to: "raw", measure: "primary" }],
    open: (lab, contestant) => openBroadcast(lab, contestant, work),
  };
}

const peer = { of: "holdfast", to: "peer" };
const advanced = { of: "holdfast", to: "peer-advanced" };

export const adapterPayload: Bench = {
  name: "adapter-payload",
  title: "Larger and binary payloads, W = 4",
  question: "How does the cost of a broadcast grow with what it carries?",
  method: [
    "As the first bench with W = 4, for 2 KB of JSON, a 2 KB `Buffer` and 64 KB of JSON; the latter with 4 emits a turn and at most 64 on their way.",
    "With a `Buffer`, only the peer's `advanced` mode takes part: its default turns it into JSON.",
  ],
  measures: BROADCAST_MEASURES,
  chart: "cluster",
  cases: () => [
    carrying("2 KB JSON", { kind: "json", bytes: 2048 }, SMALL, [
      { ...peer, measure: "primary", atMost: 1 / 15 },
      { ...peer, measure: "cluster" },
    ]),
    carrying("2 KB Buffer", { kind: "buffer", bytes: 2048 }, SMALL, [
      { ...advanced, measure: "primary", atMost: 1 / 15 },
      { ...advanced, measure: "cluster" },
    ]),
    carrying("64 KB JSON", { kind: "json", bytes: 65_536 }, LARGE, [
      { ...peer, measure: "primary" },
      { ...peer, measure: "cluster", atMost: 1 / 8 },
    ]),
  ],
};
