import fc from "fast-check";
import { expect, test } from "vitest";
import { ObjectNumbers } from "../../dist/wire/value-numbers.js";

test("agrees with a list, however many objects come, come again and are forgotten", () => {
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ object: fc.nat({ max: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ length: fc.nat({ max: 40 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const objects = Array.from({ length: 41 }, () => ({}));
      const numbers = new ObjectNumbers();
      const expected: object[] = [];
      for (const each of steps) {
        if ("length" in each) {
          const length = Math.min(each.length, expected.length);
          numbers.truncate(length);
          expected.length = length;
        } else {
          const object = objects[each.object] as object;
          const known = expected.indexOf(object);
          expect(numbers.numberOf(object)).toBe(known === -1 ? undefined : known);
          if (known === -1) expected.push(object);
        }
        expect(numbers.length).toBe(expected.length);
      }
    }),
    { numRuns: 2_000 },
  );
});
