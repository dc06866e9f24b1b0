import { afterEach, beforeEach, expect, test } from "vitest";
import { Slices } from "../../dist/hub/slices.js";

let now: number;
let slices: Slices;
let log: string[];

beforeEach(() => {
  now = 0;
  slices = new Slices(() => now);
  log = [];
});

afterEach(() => slices.close());

/** Work whose steps take so long each. */
function* work(name: string, steps: number, ms: number): Generator<void> {
  for (let i = 1; i <= steps; i++) {
    now += ms;
    log.push(`${name}${i}`);
    yield;
  }
}

/** What is done in the next turn of the event loop. */
async function nextTurn(): Promise<string[]> {
  await new Promise(setImmediate);
  return log.splice(0);
}

test("work begins in the next turn and is done in slices of some milliseconds", async () => {
  slices.add(work("a", 6, 4));
  expect(log).toEqual([]);
  expect(await nextTurn()).toEqual(["a1", "a2", "a3"]);
  expect(await nextTurn()).toEqual(["a4", "a5", "a6"]);
  expect(await nextTurn()).toEqual([]);
});

test("several works take turns, and one that comes later does not wait for the end of the others", async () => {
  slices.add(work("a", 5, 6));
  slices.add(work("b", 2, 6));
  expect(await nextTurn()).toEqual(["a1", "b1"]);
  slices.add(work("c", 1, 6));
  expect(await nextTurn()).toEqual(["a2", "b2"]);
  expect(await nextTurn()).toEqual(["c1", "a3"]);
  expect(await nextTurn()).toEqual(["a4", "a5"]);
});

test("a step that takes longer than a slice ends it, and nothing is done after close()", async () => {
  slices.add(work("a", 3, 100));
  expect(await nextTurn()).toEqual(["a1"]);
  expect(await nextTurn()).toEqual(["a2"]);
  slices.close();
  expect(await nextTurn()).toEqual([]);
});
