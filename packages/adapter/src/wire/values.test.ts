import fc from "fast-check";
import { expect, test } from "vitest";
import { packValue, unpackValue } from "../../dist/wire/values.js";

test("plain data of any shape comes back", () => {
  const value = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: false,
  });
  fc.assert(
    fc.property(value, (before) => {
      fc.pre(!hasException(before));
      expect(unpackValue(packValue(before))).toEqual(before);
    }),
    { numRuns: 500 },
  );
});

/** -0 becomes 0, an invalid Date stays one but is never equal, and the key "__proto__" is renamed. */
function hasException(value: unknown): boolean {
  if (Object.is(value, -0) || (value instanceof Date && Number.isNaN(value.getTime()))) return true;
  if (typeof value === "string") return !value.isWellFormed();
  if (value instanceof Map) return [...value].flat().some(hasException);
  if (value instanceof Set || Array.isArray(value)) return [...value].some(hasException);
  if (ArrayBuffer.isView(value)) return [...(value as Float64Array)].some(hasException);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(
    ([key, item]) => key === "__proto__" || !key.isWellFormed() || hasException(item),
  );
}

test("a Buffer stays a Buffer, a Uint8Array a Uint8Array; cycles and errors survive", () => {
  const cycle: { self?: unknown; bytes: unknown[] } = { bytes: [Buffer.from([1]), new Uint8Array([2])] };
  cycle.self = cycle;
  const back = unpackValue(packValue(cycle)) as typeof cycle;
  expect(back.self).toBe(back);
  expect(Buffer.isBuffer(back.bytes[0])).toBe(true);
  expect(Buffer.isBuffer(back.bytes[1])).toBe(false);
  expect(unpackValue(packValue(new TypeError("bad")))).toMatchObject({ name: "TypeError", message: "bad" });
});

test("what cannot be sent is refused, and the next value is not harmed", () => {
  expect(() => packValue({ a: [Symbol("s")] })).toThrow(
    expect.objectContaining({ code: "HOLDFAST_ERR_UNSERIALIZABLE" }),
  );
  expect(unpackValue(packValue({ a: 1 }))).toEqual({ a: 1 });
});
