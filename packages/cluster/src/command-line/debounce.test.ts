import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Debounce } from "../../dist/command-line/debounce.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const told: string[] = [];
const debounce = new Debounce<string>(150, 1_000, (first) => told.push(first));
beforeEach(() => {
  debounce.cancel();
  told.length = 0;
});

test("several events are told once, when they have paused, by the first of them", () => {
  debounce.add("a");
  vi.advanceTimersByTime(149);
  debounce.add("b");
  vi.advanceTimersByTime(149);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual(["a"]);
  vi.advanceTimersByTime(10_000);
  expect(told).toEqual(["a"]);
});

test("events that never pause are told as often as the first may wait", () => {
  for (let index = 0; index < 210; index += 1) {
    debounce.add(String(index));
    vi.advanceTimersByTime(10);
  }
  expect(told).toEqual(["0", "100"]);
});

test("what is cancelled is not told, and what comes later is", () => {
  debounce.add("a");
  debounce.cancel();
  vi.advanceTimersByTime(10_000);
  debounce.add("b");
  vi.advanceTimersByTime(150);
  expect(told).toEqual(["b"]);
});
