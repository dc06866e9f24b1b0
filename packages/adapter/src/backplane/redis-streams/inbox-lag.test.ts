import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { InboxLag } from "../../../dist/backplane/redis-streams/inbox-lag.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

const pass = (ms: number) => void vi.advanceTimersByTime(ms);

test("the lag is the time from when entries were known to be there until they are read", () => {
  const lag = new InboxLag();
  expect([lag.ms, lag.bytes]).toEqual([0, 0]);
  lag.onLook(3, 700, performance.now());
  pass(40);
  expect([lag.ms, lag.bytes]).toEqual([40, 700]);
  lag.onRead(2);
  pass(10);
  expect(lag.ms).toBe(50);
  lag.onRead(3);
  pass(1_000);
  expect(lag.ms).toBe(50);
  lag.onLook(3, 0, performance.now());
  expect([lag.ms, lag.bytes]).toEqual([0, 0]);
});

test("looks while something waits do not make it younger", () => {
  const lag = new InboxLag();
  lag.onLook(1, 10, performance.now());
  pass(2_000);
  lag.onLook(9, 90, performance.now());
  pass(2_000);
  expect([lag.ms, lag.bytes]).toEqual([4_000, 90]);
  // What has come since the first look is looked at anew.
  lag.onRead(5);
  expect(lag.ms).toBe(4_000);
  lag.onLook(9, 40, performance.now());
  pass(5_000);
  expect(lag.ms).toBe(5_000);
});

test("what was read before the answer has not waited, and a new inbox counts anew", () => {
  const lag = new InboxLag();
  lag.onRead(7);
  lag.onLook(6, 0, performance.now());
  pass(100);
  expect(lag.ms).toBe(0);
  lag.onLook(8, 5, performance.now());
  pass(100);
  lag.reset();
  expect([lag.ms, lag.bytes]).toEqual([0, 0]);
  lag.onLook(1, 5, performance.now());
  pass(100);
  expect(lag.ms).toBe(100);
});
