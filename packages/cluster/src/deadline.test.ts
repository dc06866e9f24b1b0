import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadline } from "../dist/deadline.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function hasPassed({ passed }: Deadline): Promise<boolean> {
  return Promise.race([passed.then(() => true), Promise.resolve().then(() => Promise.resolve(false))]);
}

test("it is brought forward, and never put off", async () => {
  const deadline = new Deadline();
  expect(deadline.leftMs).toBe(Number.POSITIVE_INFINITY);
  expect(deadline.bringForward(1_000)).toBe(true);
  expect(deadline.bringForward(2_000)).toBe(false);
  expect(deadline.bringForward(500)).toBe(true);
  vi.advanceTimersByTime(499);
  expect([await hasPassed(deadline), deadline.leftMs]).toEqual([false, 1]);
  vi.advanceTimersByTime(1);
  expect([await hasPassed(deadline), deadline.leftMs, vi.getTimerCount()]).toEqual([true, 0, 0]);
});

test("a time that is longer than Node.js can wait is not over at once", async () => {
  const deadline = new Deadline();
  deadline.bringForward(2 ** 31 + 500);
  vi.advanceTimersByTime(2 ** 31 - 2);
  expect(await hasPassed(deadline)).toBe(false);
  deadline.cancel();
  expect(vi.getTimerCount()).toBe(0);
});
