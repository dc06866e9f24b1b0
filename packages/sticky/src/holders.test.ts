/** Where sessions are whose ids name a worker. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Holders } from "../dist/holders.js";

test("a worker that gives its sessions away is asked first, until it has none", () => {
  const holders = new Holders();
  expect(holders.of(1)).toEqual([1]);
  holders.onGiving(1, 2);
  expect(holders.of(1)).toEqual([1, 2]);
  expect(holders.hasGiven(1)).toBe(false);
  holders.onGiven(1, 2);
  expect(holders.of(1)).toEqual([2]);
  expect(holders.hasGiven(1)).toBe(true);
});

test("sessions that move back are where they were", () => {
  const holders = new Holders();
  holders.onGiven(1, 2);
  holders.onGiving(2, 1);
  expect([holders.of(1), holders.of(2)]).toEqual([
    [2, 1],
    [2, 1],
  ]);
  holders.onGiven(2, 1);
  expect([holders.of(1), holders.of(2)]).toEqual([[1], [1]]);
});

test("what a worker has got before it kept the rest is found behind the next one that gets sessions", () => {
  const holders = new Holders();
  holders.onGiving(1, 2);
  holders.onGiving(1, 3);
  expect(holders.of(1)).toEqual([1, 3, 2]);
  holders.onGiven(1, 3);
  expect(holders.of(1)).toEqual([3, 2]);
  // The other direction, with some sessions left where they were.
  holders.onGiving(2, 3);
  expect(holders.of(1)).toEqual([2, 3]);
});

test("who is gone is asked no more, where there is somebody else", () => {
  const holders = new Holders();
  holders.onGiving(1, 2);
  holders.onGone(2);
  expect([holders.of(1), holders.of(2)]).toEqual([[1], [2]]);
  holders.onGiving(1, 3);
  holders.onGone(1);
  expect(holders.of(1)).toEqual([3]);
  holders.onGone(3);
  expect(holders.of(1)).toEqual([3]);
});

test("who has not heard of an earlier move takes the worker for itself", () => {
  const late = new Holders();
  late.onGiven(2, 3);
  expect([late.of(1), late.of(2)]).toEqual([[1], [3]]);
  late.set(1, [3]);
  expect(late.with(3)).toEqual([
    [3, [3]],
    [2, [3]],
    [1, [3]],
  ]);
});

test("wherever sessions go, each is in its list, and a giver before the one that gets", () => {
  const workers = fc.integer({ min: 1, max: 5 });
  const step = fc.record({ giver: workers, heir: workers, moves: fc.nat(3), isWhole: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const holders = new Holders();
      // Two sessions of each worker: by the worker that made them, where they are.
      const places = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5];
      const madeBy = [...places];
      for (const { giver, heir, moves, isWhole } of steps) {
        if (giver === heir) continue;
        holders.onGiving(giver, heir);
        let left = isWhole ? places.length : moves;
        for (const [session, place] of places.entries()) {
          if (place === giver && left-- > 0) places[session] = heir;
          const list = holders.of(madeBy[session] as number);
          expect(list).toContain(places[session]);
          expect(new Set(list).size).toBe(list.length);
          if (list.includes(giver)) expect(list.indexOf(giver)).toBeLessThan(list.indexOf(heir));
        }
        if (isWhole) holders.onGiven(giver, heir);
        for (const [session, place] of places.entries()) {
          expect(holders.of(madeBy[session] as number)).toContain(place);
        }
      }
    }),
  );
});
