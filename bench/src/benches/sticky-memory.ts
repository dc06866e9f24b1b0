/**
 * Question: what does an established connection cost the primary in memory?
 * 3 workers; WebSocket connections are opened and held, the primary's memory is read after a garbage
 * collection before, while and after. 10,000 connections, or 3/4 of the files that a process may open.
 */
import type { Bench, Sample } from "../lib/bench.js";
import { usageOf } from "../lib/usage.js";
import type { Arrivals } from "../load/arrivals.js";
import { differs, jsBytes, settled } from "./judge.js";
import { RouterSession } from "./router-session.js";

const CONNECTIONS = 10_000;
const AT_ONCE = 64;

async function sample(session: RouterSession): Promise<Sample> {
  const { primary } = session.program;
  if (!primary) throw new Error("a process alone has no primary");
  const before = { js: await jsBytes(primary), rss: (await usageOf(primary)).rss };
  const arrivals = await session.load.call<Arrivals>("arrive", session.port, CONNECTIONS, AT_ONCE, true);
  const during = { js: await jsBytes(primary), rss: (await usageOf(primary)).rss };
  await session.load.call("release");
  const left = await settled(session.program, 0);
  const after = await jsBytes(primary);
  return {
    failures: [...left, ...differs("connections lost", arrivals.lost, 0)],
    values: {
      js: (during.js - before.js) / arrivals.connected,
      rss: (during.rss - before.rss) / arrivals.connected,
      kept: (after - before.js) / arrivals.connected,
    },
  };
}

export const stickyMemory: Bench = {
  name: "sticky-memory",
  title: "Memory of the primary per established connection",
  question: "What does an established connection cost the primary in memory?",
  method: [
    "3 workers; 10,000 WebSocket connections are opened, held and closed again, twice; the first time is dropped.",
    "The primary's memory is read before, while and after, each time after a full garbage collection. Heap and buffers are exact; resident memory also shows what the allocator keeps.",
  ],
  measures: [
    { key: "js", title: "heap and buffers of the primary per connection", unit: "B", better: "lower" },
    { key: "rss", title: "resident memory of the primary per connection", unit: "B", better: "lower" },
    { key: "kept", title: "heap and buffers kept after closing, per connection", unit: "B", better: "lower" },
  ],
  chart: "js",
  mayFail: ["peer", "native"],
  runsAtMost: 2,
  cases: () => [
    {
      title: "10,000 connections",
      contestants: ["holdfast", "peer", "native"],
      comparisons: [{ of: "holdfast", to: "peer", measure: "js" }],
      open: async (lab, contestant) => {
        const session = await RouterSession.open(lab, contestant);
        return { sample: () => sample(session), close: () => session.close() };
      },
    },
  ],
};
