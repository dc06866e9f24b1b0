import { expect, test } from "vitest";
import { Forgotten } from "../../dist/hub/forgotten.js";

test("answers by room, for the last packet that was dropped from it", () => {
  const forgotten = new Forgotten();
  forgotten.note(1, 10);
  forgotten.note(2, 20);
  forgotten.note(1, 30);
  expect(forgotten.hasSince(30, [1, 2])).toBe(false);
  expect(forgotten.hasSince(29, [1])).toBe(true);
  expect(forgotten.hasSince(20, [2, 3])).toBe(false);
  expect(forgotten.hasSince(19, [2])).toBe(true);
  expect(forgotten.hasSince(0, [3])).toBe(false);
});

test("holds a bounded number of rooms, and does not know what it has let go", () => {
  const forgotten = new Forgotten(3);
  for (let key = 1; key <= 5; key++) forgotten.note(key, key * 10);
  expect(forgotten.hasSince(20, [9])).toBe(false);
  expect(forgotten.hasSince(19, [9])).toBe(true);
  expect(forgotten.hasSince(50, [5])).toBe(false);
});
