/** Workers that give sessions away hear what has come of several at once, and never wait long. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SettledMoves } from "../../dist/primary/settled-moves.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const up = (move: number) => ({ move, isUp: true });

function settledMoves(underway: number) {
  const told: number[][] = [];
  const settled = new SettledMoves((_, ends) => told.push(ends.map(({ move }) => move)));
  for (let i = 0; i < underway; i++) settled.begin(1);
  return { settled, told };
}

test("a worker hears of them when half of its window is free", () => {
  const { settled, told } = settledMoves(4);
  settled.end(1, up(1));
  expect(told).toEqual([]);
  settled.end(1, up(2));
  expect(told).toEqual([[1, 2]]);
  settled.end(1, up(3));
  settled.end(1, up(4));
  expect(told).toEqual([[1, 2], [3], [4]]);
});

test("the only one on its way is told of at once", () => {
  const { settled, told } = settledMoves(1);
  settled.end(1, up(1));
  expect(told).toEqual([[1]]);
});

test("where others take long, it hears of those that do not within some milliseconds", () => {
  const { settled, told } = settledMoves(8);
  settled.end(1, up(1));
  settled.end(1, up(2));
  vi.advanceTimersByTime(10);
  expect(told).toEqual([[1, 2]]);
});

test("one that is lost is told of at once, with those that are not", () => {
  const { settled, told } = settledMoves(8);
  settled.end(1, up(1));
  settled.end(1, { move: 2, isUp: false });
  expect(told).toEqual([[1, 2]]);
});

test("a worker that is gone is told nothing, and no timer is left", () => {
  const { settled, told } = settledMoves(8);
  settled.end(1, up(1));
  settled.forget(1);
  settled.end(1, up(2));
  expect(vi.getTimerCount()).toBe(0);
  expect(told).toEqual([]);
});
