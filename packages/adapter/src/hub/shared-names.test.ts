import { expect, test } from "vitest";
import { SharedNames } from "../../dist/hub/shared-names.js";

test("a name stays what it is, however many there are and whatever it is", () => {
  const names = new SharedNames();
  const rooms: unknown[] = [1, "1", 1n, true, null, undefined, "x".repeat(100), ""];
  for (let i = 0; i < 25_000; i++) rooms.push(`room ${i % 12_000}`);
  expect(rooms.map((room) => names.share(room as string))).toEqual(rooms);
});
