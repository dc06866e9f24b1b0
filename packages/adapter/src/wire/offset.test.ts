import { expect, test } from "vitest";
import { OFFSET_BYTES, Offsets, PLACEHOLDER, sameHub } from "../../dist/wire/offset.js";

test("offsets have one width and lead back to their sequence, in their own hub only", () => {
  const [offsets, others] = [new Offsets("abcd"), new Offsets("abce")];
  for (const sequence of [0, 1, 35, 36, 1_000_000, 2 ** 50]) {
    const text = offsets.text(sequence);
    expect(text).toHaveLength(OFFSET_BYTES);
    expect(offsets.parse(text)).toBe(sequence);
    expect(others.parse(text)).toBeUndefined();
    expect(sameHub(text, offsets.text(7))).toBe(true);
    expect(sameHub(text, others.text(7))).toBe(false);
  }
});

test("the placeholder is as wide and no offset", () => {
  expect(PLACEHOLDER).toHaveLength(OFFSET_BYTES);
  expect(new Offsets(PLACEHOLDER.slice(0, 4)).parse(PLACEHOLDER)).toBeUndefined();
});
