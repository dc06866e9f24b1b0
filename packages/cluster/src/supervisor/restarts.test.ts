import { describe, expect, test } from "vitest";
import { LoopClock } from "../../dist/supervisor/loop-clock.js";
import { Restarts } from "../../dist/supervisor/restarts.js";

const LIMITS = { restartDelayMs: 100, maxRestartDelayMs: 500, minUptimeMs: 1_000, maxCrashes: 6 };

describe("restarts", () => {
  test("wait twice as long each time, up to the longest wait, and end", () => {
    const restarts = new Restarts(LIMITS);
    const waits = Array.from({ length: 6 }, () => restarts.onCrash(0));
    expect(waits).toEqual([100, 200, 400, 500, 500, undefined]);
    expect(restarts.crashes).toBe(6);
  });

  test("a worker that was ready for long enough starts again at once, and the row is broken", () => {
    const restarts = new Restarts(LIMITS);
    restarts.onCrash(0);
    restarts.onCrash(999);
    expect(restarts.onCrash(1_000)).toBe(0);
    expect(restarts.crashes).toBe(0);
    expect(restarts.onCrash(0)).toBe(100);
  });

  test("who leaves soon, and again, waits as long as who crashes, and is never given up", () => {
    const restarts = new Restarts(LIMITS);
    expect(Array.from({ length: 8 }, () => restarts.onLeft(5))).toEqual([
      0, 100, 200, 400, 500, 500, 500, 500,
    ]);
    expect(restarts.crashes).toBe(0);
    expect(restarts.onLeft(1_000)).toBe(0);
    expect(restarts.onLeft(5)).toBe(0);
    expect(restarts.onLeft(5)).toBe(100);
  });

  test("with minUptime 0, one that was never ready still counts", () => {
    const restarts = new Restarts({ ...LIMITS, minUptimeMs: 0, maxCrashes: 1 });
    expect(restarts.onCrash(0)).toBeUndefined();
  });
});

test("a clock of the event loop does not run while that stands still", async () => {
  const clock: LoopClock = await new Promise((resolve) => {
    const made = new LoopClock(200, () => resolve(made));
  });
  const before = clock.now;
  const end = performance.now() + 1_000;
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(clock.now - before).toBeLessThan(500);
  clock.close();
});
