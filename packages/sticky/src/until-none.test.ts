/** Waiting for the last of something, with a clock that the test moves. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { untilNone } from "../dist/until-none.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => void vi.useRealTimers());

function waiting(first: number) {
  const state = { left: first, isOver: false, looks: 0 };
  void untilNone(
    () => state.left,
    3_000,
    () => void state.looks++,
  ).then(() => {
    state.isOver = true;
  });
  return state;
}

test("it waits as long as there are fewer and fewer", async () => {
  const state = waiting(3);
  for (const left of [2, 1]) {
    await vi.advanceTimersByTimeAsync(2_900);
    state.left = left;
  }
  await vi.advanceTimersByTimeAsync(2_900);
  expect(state.isOver).toBe(false);
  state.left = 0;
  await vi.advanceTimersByTimeAsync(5);
  expect(state.isOver).toBe(true);
  expect(state.looks).toBeGreaterThan(100);
});

test("it gives up when nothing ends, whatever comes", async () => {
  const state = waiting(2);
  await vi.advanceTimersByTimeAsync(2_000);
  state.left = 5;
  await vi.advanceTimersByTimeAsync(500);
  state.left = 3;
  await vi.advanceTimersByTimeAsync(505);
  expect(state.isOver).toBe(true);
});

test("it does not wait for what there is none of", async () => {
  const state = waiting(0);
  await vi.advanceTimersByTimeAsync(0);
  expect([state.isOver, state.looks]).toEqual([true, 0]);
});
