import fc from "fast-check";
import { expect, test } from "vitest";
import { readTexts, TextList } from "../../dist/wire/text-list.js";

/** Few texts, so that they come again, and any code units. */
const text = fc.oneof(
  fc.constantFrom("", "a", "b", '"', "\\", "\u0000", "\ud83d", "\udc00", "é", "\u2028"),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
);

test("texts come back exactly, each once, also after some were forgotten", () => {
  const add = fc.record({ text, forget: fc.nat({ max: 20 }) });
  fc.assert(
    fc.property(fc.array(add, { maxLength: 40 }), (steps) => {
      const list = new TextList();
      const expected: string[] = [];
      for (const { text: each, forget } of steps) {
        const number = list.numberOf(each);
        if (number === expected.length) expected.push(each);
        expect(expected[number]).toBe(each);
        if (forget < expected.length && forget > 15) {
          list.truncate(forget);
          expected.length = forget;
        }
      }
      expect(new Set(expected).size).toBe(expected.length);
      expect(readTexts(list.encode())).toEqual(expected);
    }),
    { numRuns: 1_000 },
  );
});

test("texts in a field are told by what was there before, and where they never repeat not looked up", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.nat({ max: 2 })), { maxLength: 60 }), (entries) => {
      const list = new TextList();
      const last: Parameters<TextList["numberInField"]>[1] = [];
      const numbers = entries.map(([each, field]) => list.numberInField(each, last, field));
      const texts = readTexts(list.encode());
      expect(numbers.map((number) => texts[number])).toEqual(entries.map(([each]) => each));
    }),
    { numRuns: 1_000 },
  );
});

test("it knows whether it fits, to the byte", () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
      const list = new TextList();
      for (const each of texts) list.numberOf(each);
      const { length } = list.encode();
      expect([list.fitsIn(length), list.fitsIn(length - 1)]).toEqual([true, false]);
    }),
  );
});

test.each([["{}"], ["[1]"], ['["a"'], ["null"], ["[[]]"], [""]])("%s is no list of texts", (json) => {
  expect(() => readTexts(Buffer.from(json))).toThrow(
    expect.objectContaining({ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }),
  );
});
