/** When what goes on makes way for a change. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Overtaking } from "../../dist/command-line/overtaking.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function overtaking() {
  const givenUp: string[] = [];
  const subject = new Overtaking<{ readonly name: string }>(({ name }) => void givenUp.push(name));
  return { subject, givenUp };
}

test("each attempt behind one that has made way has twice as long, until one ends by itself", () => {
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
    subject.end(true);
  }
  subject.arm({ name: "d" });
  vi.advanceTimersByTime(15_999);
  subject.end(false);
  subject.arm({ name: "e" });
  vi.advanceTimersByTime(2_000);
  expect(givenUp).toEqual(["a", "b", "c", "e"]);
});

test("what only went before an attempt gives that no more time, however often", () => {
  const { subject, givenUp } = overtaking();
  for (const name of ["a", "b", "c"]) {
    subject.arm({ name: `before ${name}` });
    vi.advanceTimersByTime(2_000);
    subject.arm({ name });
    vi.advanceTimersByTime(1_999);
    subject.end(false);
  }
  expect(givenUp).toEqual(["before a", "before b", "before c"]);
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
  vi.advanceTimersByTime(1_999);
  expect(givenUp).toEqual(["first"]);
  vi.advanceTimersByTime(1);
  expect(givenUp).toEqual(["first", "second"]);
});
