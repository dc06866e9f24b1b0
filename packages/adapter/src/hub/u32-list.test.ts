import fc from "fast-check";
import { expect, test } from "vitest";
import { U32List } from "../../dist/hub/u32-list.js";

test("a list gives back what was put in, before and after it was trimmed, for four bytes each", () => {
  const list = new U32List();
  const numbers = Array.from({ length: 1_000 }, (_, i) => (i * 2 ** 22 + 7) >>> 0);
  for (const number of numbers) list.push(number);
  expect(numbers.map((_, i) => list.at(i))).toEqual(numbers);
  list.trim();
  expect([list.length, list.bytes]).toEqual([1_000, 4_000]);
  expect(numbers.map((_, i) => list.at(i))).toEqual(numbers);
});

test("the last number up to a value is found as by looking at all", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 30 })),
      fc.integer({ min: -1, max: 31 }),
      (numbers, value) => {
        const rising = numbers.sort((a, b) => a - b);
        const list = new U32List();
        for (const number of rising) list.push(number);
        expect(list.lastUpTo(value)).toBe(rising.findLastIndex((number) => number <= value));
      },
    ),
  );
});
