import { expect, test } from "vitest";
import { RequestTally } from "../../dist/request-stats.js";
import { type Evidence, judgeWorker } from "../../dist/watch/judgement.js";

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

const CRASHED = {
  slot: 0,
  workerId: 1,
  pid: 100,
  reason: "crash",
  code: 1,
  signal: null,
  lastWords: "/app/db.js:3\nError: connect ECONNREFUSED 10.0.3.12:5432\n    at x\n\nNode.js v24.1.0\n",
  uptimeMs: 0,
} as const;

test("whoever looks at a crash loop reads how often, why, and what to do", () => {
  const { summary, advice } = judgeWorker(evidence({ state: "waiting", crashes: 4, lastExit: CRASHED }));
  expect(summary).toBe(
    'It has crashed 4 times in a row, at last with "Error: connect ECONNREFUSED 10.0.3.12:5432", and is started again soon.',
  );
  expect(advice).toMatch(/mend what fails, then reload\.$/);
});

test("between two crashes it is not well, whatever it is doing", () => {
  for (const state of ["waiting", "starting", "ready"] as const) {
    const once = judgeWorker(evidence({ state, crashes: 1, uptimeMs: 900, lastExit: CRASHED }));
    expect(once.health).toBe("warning");
    const again = judgeWorker(evidence({ state, crashes: 2, uptimeMs: 900, lastExit: CRASHED }));
    expect(again).toMatchObject({ health: "bad", advice: expect.stringContaining("reload") });
  }
});

test("a crash without a word is told by how the process has ended", () => {
  const lastExit = { ...CRASHED, lastWords: "", signal: "SIGSEGV", code: null } as const;
  expect(judgeWorker(evidence({ state: "given-up", crashes: 10, lastExit })).summary).toBe(
    "It has crashed 10 times in a row, at last with SIGSEGV, and is not started again until a reload.",
  );
});

test("a worker that the system gives no process has not crashed", () => {
  const lastExit = {
    ...CRASHED,
    reason: "no-process",
    code: null,
    pid: undefined,
    lastWords: "spawn /usr/bin/node EAGAIN (this user or this container may have no more processes)",
  } as const;
  expect(judgeWorker(evidence({ state: "waiting", crashes: 1, lastExit })).summary).toBe(
    'It got no process because of "spawn /usr/bin/node EAGAIN (this user or this container may have no more processes)", ' +
      "and is started again soon.",
  );
});

test("whoever looks at a blocked worker reads for how long, which process, and what to do", () => {
  const { summary, advice } = judgeWorker(evidence({ silentMs: 14_200 }));
  expect(summary).toBe("Its event loop has stood still for 14 s.");
  expect(advice).toMatch(/Restart it, .* process 100 busy: kill -USR1 100,/);
});
