/** Where requests go from a worker whose session is not there. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Successors } from "../../dist/worker/successors.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

const NONE: ReadonlySet<number> = new Set();
const direct = (marked: number, tried = NONE) => ({ marked, isRelayed: false, tried });
const relayed = (marked: number, tried = NONE) => ({ marked, isRelayed: true, tried });

test("a client's request goes to the first that may have its session, and is no circle", () => {
  const successors = new Successors(3, () => {});
  expect([successors.next(direct(1)), successors.next(direct(3))]).toEqual([1, -1]);
  successors.onGiving(1, 2);
  expect([successors.next(direct(1)), successors.next(direct(1, new Set([1])))]).toEqual([1, 2]);
  successors.onGiven(1, 2);
  expect(successors.next(direct(1))).toBe(2);
});

test("what was relayed here goes on to those behind this worker, and nowhere else", () => {
  const giver = new Successors(1, () => {});
  expect([giver.next(relayed(1)), giver.next(relayed(2))]).toEqual([-1, -1]);
  giver.onGiving(1, 2);
  expect([giver.next(relayed(1)), giver.next(direct(1))]).toEqual([2, 2]);
  const heir = new Successors(2, () => {});
  heir.onGiving(1, 2);
  expect([heir.next(relayed(1)), heir.next(direct(1))]).toEqual([-1, 1]);
});

test("connections only go down the list, or to who is in it from who is not", () => {
  const giver = new Successors(1, () => {});
  giver.onGiving(1, 2);
  expect(giver.getsConnections(1, 2)).toBe(true);
  const heir = new Successors(2, () => {});
  heir.onGiving(1, 2);
  expect(heir.getsConnections(1, 1)).toBe(false);
  const other = new Successors(3, () => {});
  expect(other.getsConnections(1, 1)).toBe(true);
  giver.onGiven(1, 2);
  expect(giver.getsConnections(1, 2)).toBe(true);
});

test("a worker that has given all away passes on what others send there yet", () => {
  const successors = new Successors(1, () => {});
  successors.onGiven(1, 2);
  expect(successors.next(relayed(1))).toBe(2);
  successors.onGiving(2, 1);
  expect([successors.next(relayed(1)), successors.next(direct(1))]).toEqual([-1, 2]);
});

test("it asks once however many want to know, and again after a while", async () => {
  const asked: number[] = [];
  const successors = new Successors(3, (worker) => void asked.push(worker));
  const gone = new Set([1]);
  const answers = Promise.all([successors.after(direct(1, gone)), successors.after(direct(1, gone))]);
  successors.onHolders(1, false, [1]);
  expect(await answers).toEqual([-1, -1]);
  expect(await successors.after(direct(1, gone))).toBe(-1);
  vi.advanceTimersByTime(100);
  const later = successors.after(direct(1, gone));
  successors.onHolders(1, false, [2]);
  expect(await later).toBe(2);
  expect(await successors.after(direct(1, gone))).toBe(2);
  expect(asked).toEqual([1, 1]);
});

test("that a worker lives is what the primary says", async () => {
  const asked: number[] = [];
  const successors = new Successors(3, (worker) => void asked.push(worker));
  for (const lives of [true, false]) {
    const answer = successors.lives(1);
    successors.onHolders(1, lives, [1]);
    expect(await answer).toBe(lives);
  }
  const unanswered = successors.lives(1);
  vi.advanceTimersByTime(2_000);
  expect(await unanswered).toBeUndefined();
  expect(asked).toEqual([1, 1, 1]);
});

test("without a primary nobody waits", async () => {
  const successors = new Successors(3, () => {});
  const answers = Promise.all([successors.after(direct(1, new Set([1]))), successors.lives(2)]);
  successors.close();
  expect(await answers).toEqual([-1, undefined]);
});
