import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeMark,
  encodeMark,
  encodeTag,
  isTag,
  MARK_LENGTH,
  MAX_WORKER_ID,
  NO_OWNER,
  TAG_LENGTH,
  tagOf,
} from "../../dist/wire/owner-mark.js";

test("marks are fixed in width, safe in URLs, and read back", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: TAG_LENGTH, maxLength: TAG_LENGTH }),
      fc.integer({ min: 0, max: MAX_WORKER_ID }),
      fc.string(),
      (random, workerId, id) => {
        const tag = encodeTag(random);
        const mark = encodeMark(tag, workerId) ?? "";
        expect(mark).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(mark).toHaveLength(MARK_LENGTH);
        expect(decodeMark(tag, mark + id)).toBe(workerId);
        expect(isTag(tag)).toBe(true);
        expect(tagOf(mark + id)).toBe(tag);
      },
    ),
  );
});

test("literal marks", () => {
  expect(encodeMark("uvwxyz", 1)).toBe("uvwxyzAAAB");
  expect(encodeMark("uvwxyz", 64)).toBe("uvwxyzAABA");
  expect(encodeMark("uvwxyz", MAX_WORKER_ID)).toBe("uvwxyz____");
});

test("an id that does not fit gets no mark", () => {
  for (const id of [MAX_WORKER_ID + 1, -1, 1.5, Number.NaN]) expect(encodeMark("uvwxyz", id)).toBeUndefined();
});

test("what is no mark of this cluster has no owner", () => {
  for (const id of [
    "",
    "uvwxyz",
    "uvwxyzAAA",
    "uvwxyyAAAB1234",
    "uvwxyzAA B1234",
    "uvwxyzAAA\xff123",
    "lv_VI95HAXpY6yYWAAAC",
  ]) {
    expect(decodeMark("uvwxyz", id)).toBe(NO_OWNER);
  }
});

test("decoding never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (id) => {
      const owner = decodeMark("uvwxyz", `uvwxyz${id}`);
      expect(owner).toBeGreaterThanOrEqual(NO_OWNER);
      expect(owner).toBeLessThanOrEqual(MAX_WORKER_ID);
    }),
  );
});

test("what is no tag is told from one", () => {
  for (const text of ["", "uvwxy", "uvwxyz0", "uvwxy ", "uvwxy\xff", "uvwxy/"])
    expect(isTag(text)).toBe(false);
  expect(tagOf("uvwxyzAAA")).toBeUndefined();
});
