import fc from "fast-check";
import { expect, test } from "vitest";
import { FieldReader } from "../../dist/wire/field-reader.js";

const length = fc.oneof(fc.nat({ max: 30 }), fc.constantFrom(0xffffffff, 0x7fffffff, 2 ** 31));
const step = fc.oneof(
  fc
    .constantFrom("u8", "u32", "i32", "f64", "i64", "count", "text", "names", "rest", "done", "left")
    .map((method) => ({
      method,
      args: [] as number[],
    })),
  fc
    .tuple(fc.constantFrom("bytes", "skip", "latin1", "utf16", "part", "hash"), length)
    .map(([method, bytes]) => ({ method, args: [bytes] })),
  fc.tuple(length, length).map((args) => ({ method: "tail", args })),
);

test("whatever is asked of it, it reads nothing beyond the frame, or says that there is no more", () => {
  // What is around the frame must never show.
  const around = 0xee;
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat({ max: 20 }),
      fc.array(step, { maxLength: 12 }),
      (bytes, before, steps) => {
        const frame = bytes.map((byte) => byte & 0x3f);
        const buffer = Buffer.concat([Buffer.alloc(before, around), frame, Buffer.alloc(100, around)]);
        const fields = new FieldReader(buffer, before, before + frame.length);
        try {
          for (const { method, args } of steps) {
            const member = (fields as unknown as Record<string, unknown>)[method];
            const read = typeof member === "function" ? member.apply(fields, args) : member;
            if (Buffer.isBuffer(read)) expect(read.includes(around)).toBe(false);
            if (typeof read === "string") expect(read).not.toMatch(/[\u00ee\ueeee\ufffd]/);
            if (read instanceof FieldReader) expect(read.rest().includes(around)).toBe(false);
            expect(fields.position).toBeLessThanOrEqual(before + frame.length);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "HOLDFAST_ERR_BROKEN_MESSAGE" });
        }
      },
    ),
    { numRuns: 20_000 },
  );
});

test("a frame that ends within its keys has no fields", () => {
  expect(() => new FieldReader(Buffer.alloc(20), 16, 12)).toThrow(
    expect.objectContaining({ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }),
  );
});
