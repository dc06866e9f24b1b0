import { expect, test } from "vitest";
import { Forgotten } from "../../dist/hub/forgotten.js";

test("answers by namespace and room, for the last packet that was dropped from it", () => {
  const forgotten = new Forgotten();
  forgotten.note(1, 1, 10);
  forgotten.note(1, 2, 20);
  forgotten.note(2, 3, 25);
  forgotten.note(1, 1, 30);
  expect(forgotten.hasSince(30, 1, [1, 2])).toBe(false);
  expect(forgotten.hasSince(29, 1, [1])).toBe(true);
  expect(forgotten.hasSince(20, 1, [2, 3])).toBe(false);
  expect(forgotten.hasSince(19, 1, [2])).toBe(true);
  expect(forgotten.hasSince(0, 1, [3])).toBe(false);
  expect(forgotten.hasSince(24, 2, [3])).toBe(true);
  forgotten.forgetNamespace(2);
  expect(forgotten.hasSince(24, 2, [3])).toBe(false);
});

test("holds a bounded number of rooms, and does not know what it has let go", () => {
  const forgotten = new Forgotten(4);
  for (let key = 1; key <= 5; key++) forgotten.note(1, key, key * 10);
  // 1 and 2 were the older generation when 5 began a new one.
  expect(forgotten.hasSince(20, 1, [9])).toBe(false);
  expect(forgotten.hasSince(19, 1, [9])).toBe(true);
  expect(forgotten.hasSince(39, 1, [4])).toBe(true);
  expect(forgotten.hasSince(50, 1, [3, 4, 5])).toBe(false);
});

test("a room that is dropped from all the time is known however many others there are", () => {
  const forgotten = new Forgotten(4);
  for (let sequence = 1; sequence <= 1_000; sequence += 2) {
    forgotten.note(1, 0, sequence);
    forgotten.note(1, sequence, sequence + 1);
  }
  expect(forgotten.hasSince(998, 1, [0])).toBe(true);
  expect(forgotten.hasSince(999, 1, [0])).toBe(false);
});
