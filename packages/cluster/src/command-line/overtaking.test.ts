/** When what goes on makes way for a change. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Overtaking } from "../../dist/command-line/overtaking.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Tells what was given up so far; what is `done` cannot be. */
function overtaking() {
  const givenUp: string[] = [];
  const done = new Set<string>();
  const subject = new Overtaking<{ readonly name: string }>(({ name }) => {
    if (done.has(name)) return false;
    givenUp.push(name);
    return true;
  });
  return { subject, givenUp, done };
}

test("each attempt behind one that was given up has twice as long, until one ends by itself", () => {
  const { subject, givenUp } = overtaking();
  for (const [name, graceMs] of [
    ["a", 2_000],
    ["b", 4_000],
    ["c", 8_000],
  ] as const) {
    subject.arm({ name });
    vi.advanceTimersByTime(graceMs - 1);
    expect(givenUp).not.toContain(name);
    vi.advanceTimersByTime(1);
    expect(givenUp).toContain(name);
    subject.end();
  }
  subject.arm({ name: "d" });
  vi.advanceTimersByTime(15_999);
  subject.end();
  subject.arm({ name: "e" });
  vi.advanceTimersByTime(2_000);
  expect(givenUp).toEqual(["a", "b", "c", "e"]);
});

test("further changes put nothing off, and what goes on behind something else has its own time", () => {
  const { subject, givenUp } = overtaking();
  const [first, second] = [{ name: "first" }, { name: "second" }];
  subject.arm(first);
  vi.advanceTimersByTime(1_000);
  subject.arm(first);
  vi.advanceTimersByTime(1_000);
  expect(givenUp).toEqual(["first"]);
  subject.arm(second);
  vi.advanceTimersByTime(4_000);
  expect(givenUp).toEqual(["first", "second"]);
});

test("what is done is not given up, and changes nothing for what comes behind it", () => {
  const { subject, givenUp, done } = overtaking();
  subject.arm({ name: "a" });
  done.add("a");
  vi.advanceTimersByTime(2_000);
  subject.arm({ name: "b" });
  vi.advanceTimersByTime(2_000);
  expect(givenUp).toEqual(["b"]);
});
