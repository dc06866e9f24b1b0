import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeMark,
  encodeMark,
  encodeTag,
  MARK_LENGTH,
  MAX_WORKER_ID,
  NO_OWNER,
} from "../../dist/wire/owner-mark.js";

test("marks are fixed in width, safe in URLs, and read back", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 2, maxLength: 2 }),
      fc.integer({ min: 0, max: MAX_WORKER_ID }),
      fc.string(),
      (random, workerId, id) => {
        const tag = encodeTag(random);
        const mark = encodeMark(tag, workerId) ?? "";
        expect(mark).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(mark).toHaveLength(MARK_LENGTH);
        expect(decodeMark(tag, mark + id)).toBe(workerId);
      },
    ),
  );
});

test("literal marks", () => {
  expect(encodeMark("xy", 1)).toBe("xyAAAB");
  expect(encodeMark("xy", 64)).toBe("xyAABA");
  expect(encodeMark("xy", MAX_WORKER_ID)).toBe("xy____");
});

test("an id that does not fit gets no mark", () => {
  for (const id of [MAX_WORKER_ID + 1, -1, 1.5, Number.NaN]) expect(encodeMark("xy", id)).toBeUndefined();
});

test("what is no mark of this cluster has no owner", () => {
  for (const id of ["", "xy", "xyAAA", "xzAAAB1234", "xyAA B1234", "xyAAA\xff123", "lv_VI95HAXpY6yYWAAAC"]) {
    expect(decodeMark("xy", id)).toBe(NO_OWNER);
  }
});

test("decoding never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (id) => {
      const owner = decodeMark("xy", `xy${id}`);
      expect(owner).toBeGreaterThanOrEqual(NO_OWNER);
      expect(owner).toBeLessThanOrEqual(MAX_WORKER_ID);
    }),
  );
});
