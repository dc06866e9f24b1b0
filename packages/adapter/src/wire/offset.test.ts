import { expect, test } from "vitest";
import { OFFSET_BYTES, Offsets, PLACEHOLDER, sameOrder } from "../../dist/wire/offset.js";

test("offsets have one width and lead back to their sequence, in their own order only", () => {
  const [offsets, others] = [new Offsets("abcd"), new Offsets("abce")];
  for (const sequence of [0, 1, 35, 36, 36 ** 5 - 1, 36 ** 5, 1_000_000_000, 2 ** 50, 36 ** 10 - 1]) {
    const text = offsets.text(sequence);
    expect(text).toHaveLength(OFFSET_BYTES);
    expect(offsets.parse(text)).toBe(sequence);
    const buffer = Buffer.alloc(OFFSET_BYTES + 2);
    offsets.write(sequence, buffer, 1);
    expect(buffer.toString("latin1")).toBe(`\0${text}\0`);
    expect(others.parse(text)).toBeUndefined();
    expect(sameOrder(text, offsets.text(7))).toBe(true);
    expect(sameOrder(text, others.text(7))).toBe(false);
  }
});

test("the placeholder is as wide and no offset", () => {
  expect(PLACEHOLDER).toHaveLength(OFFSET_BYTES);
  expect(new Offsets(PLACEHOLDER.slice(0, 4)).parse(PLACEHOLDER)).toBeUndefined();
});
