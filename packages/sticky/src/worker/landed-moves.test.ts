/** The primary is told of several sessions that have landed at once, and waits for none. */
import { expect, test } from "vitest";
import { LandedMoves } from "../../dist/worker/landed-moves.js";

const up = (move: number) => ({ move, isUp: true });
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function landedMoves() {
  const told: number[][] = [];
  const landed = new LandedMoves((ends) => told.push(ends.map(({ move }) => move)));
  return { landed, told };
}

test("one that no other follows is told of after a turn of the event loop", async () => {
  const { landed, told } = landedMoves();
  landed.add(up(1));
  expect(told).toEqual([]);
  while (told.length === 0) await nextTurn();
  landed.add(up(2));
  while (told.length === 1) await nextTurn();
  expect(told).toEqual([[1], [2]]);
});

test("those that follow one another go together, four at most", async () => {
  const { landed, told } = landedMoves();
  for (let move = 1; move <= 6; move++) {
    landed.add(up(move));
    await nextTurn();
  }
  while (told.length < 2) await nextTurn();
  expect(told).toEqual([
    [1, 2, 3, 4],
    [5, 6],
  ]);
});

test("one that is not up is told of at once, with those that are", () => {
  const { landed, told } = landedMoves();
  landed.add(up(1));
  landed.add({ move: 2, isUp: false });
  expect(told).toEqual([[1, 2]]);
});
