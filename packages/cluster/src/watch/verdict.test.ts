import { expect, test } from "vitest";
import { judgeCluster, type Parts } from "../../dist/watch/verdict.js";

type Worker = Parts["workers"][number];
const worker = (slot: number, more: Partial<Worker> = {}): Worker => ({
  slot,
  state: "ready",
  health: "good",
  summary: "Nothing is wrong.",
  advice: null,
  ...more,
});
const still = (slot: number) =>
  worker(slot, { state: "stalled", health: "bad", summary: "Its event loop stands still.", advice: "Look." });
const slow = (slot: number) => worker(slot, { health: "warning", summary: "5 MB wait for it in the hub." });
const away = { kind: "Redis", health: "bad", summary: "no answer; this host goes on by itself" } as const;
const silent = { id: "web-2.x", name: "web-2", presence: "silent" } as const;

function judge(workers: Worker[], more: Partial<Parts> = {}) {
  return judgeCluster({ state: "running", workers, backplane: null, others: [], ...more });
}

test("the cluster is as its worst worker, and says which one that is, and what to do", () => {
  expect(judge([worker(0), worker(1)])).toMatchObject({
    health: "good",
    summary: "Everything is well.",
    advice: null,
  });
  expect(judge([worker(0), slow(1), still(2)])).toEqual({
    about: "worker 2",
    health: "bad",
    summary: "Worker 2: its event loop stands still.",
    advice: "Look.",
    slot: 2,
  });
  expect(judge([worker(0), slow(1)])).toMatchObject({
    health: "warning",
    summary: "Worker 1: 5 MB wait for it in the hub.",
  });
  expect(judge([slow(0), slow(1)]).summary).toMatch(/^2 of 2 workers are not well\. Worker 0: /);
  expect(judge([worker(0), still(1), still(2)])).toMatchObject({
    health: "bad",
    summary: "2 of 3 workers are in trouble. Worker 1: its event loop stands still.",
  });
  expect(judge([still(0)]).summary).toBe(
    "No worker takes connections. Worker 0: its event loop stands still.",
  );
  expect(judge([worker(0)], { state: "starting" })).toMatchObject({ health: "unknown" });
  expect(judge([worker(0)], { state: "stopping" })).toMatchObject({ health: "warning" });
});

test("Redis away is worse than a slow worker, and does not hide one that is blocked", () => {
  const redis = "Redis: no answer; this host goes on by itself.";
  expect(judge([slow(0), worker(1)], { backplane: away })).toMatchObject({
    about: "backplane",
    health: "bad",
    summary: redis,
    advice: expect.stringMatching(/^Clients of this host reach each other as before, .* Start Redis/),
  });
  expect(judge([worker(0), still(1)], { backplane: away }).summary).toBe(
    `Worker 1: its event loop stands still. ${redis}`,
  );
});

test("a host that has fallen silent is named", () => {
  const others = [{ id: "web-3.x", name: "web-3", presence: "there" } as const, silent];
  expect(judge([worker(0)], { others })).toMatchObject({
    about: "host web-2.x",
    health: "warning",
    summary: "Host web-2 has fallen silent.",
  });
});
