import { expect, test } from "vitest";
import { RequestTally } from "../../dist/request-stats.js";
import { type Evidence, judgeCluster, judgeWorker } from "../../dist/watch/judgement.js";

const SAMPLE = {
  rssBytes: 80e6,
  heapBytes: 20e6,
  heapLimitBytes: 4e9,
  loopP50Ms: 0.4,
  loopP99Ms: 4,
  utilization: 0.1,
};

function evidence(slot: Partial<Evidence["slot"]> = {}, more: Partial<Evidence> = {}): Evidence {
  const whole: Evidence["slot"] = {
    slot: 0,
    state: "ready",
    workerId: 1,
    pid: 100,
    uptimeMs: 60_000,
    connections: 0,
    memoryBytes: 80e6,
    load: 0.1,
    sample: SAMPLE,
    requests: new RequestTally().stats(),
    silentMs: 0,
    restarts: 0,
    crashes: 0,
    lastExit: undefined,
    ...slot,
  };
  return { slot: whole, isStalled: false, hasJoined: true, backlogBytes: 0, lateMs: 4, ...more };
}

test.each([
  ["all is well", evidence(), "good", "ready"],
  ["it starts", evidence({ state: "starting" }), "unknown", "starting"],
  ["it stands still", evidence({ silentMs: 4_000 }), "bad", "stalled"],
  ["a late beat is not yet a stall", evidence({ silentMs: 900 }), "good", "ready"],
  ["it takes no connections", evidence({}, { isStalled: true }), "bad", "stalled"],
  ["it crashes again and again", evidence({ state: "waiting", crashes: 3 }), "bad", "waiting"],
  [
    "it is up again for a moment between two crashes",
    evidence({ crashes: 3, uptimeMs: 900 }),
    "bad",
    "ready",
  ],
  ["it has crashed once, long ago", evidence({ crashes: 1, uptimeMs: 90_000 }), "good", "ready"],
  ["it is given up", evidence({ state: "given-up", crashes: 10 }), "bad", "given-up"],
  ["it has not joined the hub", evidence({}, { hasJoined: false }), "bad", "ready"],
  ["it is about to join the hub", evidence({ uptimeMs: 100 }, { hasJoined: false }), "good", "ready"],
  ["its event loop is late", evidence({}, { lateMs: 340 }), "warning", "ready"],
  ["much waits for it", evidence({}, { backlogBytes: 5e6 }), "warning", "ready"],
  ["its heap is nearly full", evidence({ sample: { ...SAMPLE, heapBytes: 3.9e9 } }), "warning", "ready"],
] as const)("%s", (_, given, health, state) => {
  expect(judgeWorker(given)).toMatchObject({ health, state });
  expect(judgeWorker(given).summary).toMatch(/^[A-Z\d].*\.$/);
});

test("the cluster is as its worst worker, and says which one that is", () => {
  const well = { slot: 0, ...judgeWorker(evidence()) };
  const still = { slot: 2, ...judgeWorker(evidence({ silentMs: 14_000 })) };
  const slow = { slot: 1, ...judgeWorker(evidence({}, { backlogBytes: 5e6 })) };
  expect(judgeCluster("running", [well, well])).toEqual({ health: "good", summary: "Everything is well." });
  expect(judgeCluster("running", [well, slow, still])).toEqual({
    health: "bad",
    summary: "Worker 2: its event loop has stood still for 14 s.",
  });
  expect(judgeCluster("running", [well, slow])).toMatchObject({
    health: "warning",
    summary: "Worker 1: 5 MB wait for it in the hub.",
  });
  expect(judgeCluster("running", [well, still, still])).toEqual({
    health: "bad",
    summary: "2 of 3 workers are in trouble.",
  });
  expect(judgeCluster("running", [still])).toEqual({
    health: "bad",
    summary: "No worker takes connections.",
  });
  expect(judgeCluster("starting", [well])).toMatchObject({ health: "unknown" });
  expect(judgeCluster("stopping", [well])).toMatchObject({ health: "warning" });
});
