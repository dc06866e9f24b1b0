import fc from "fast-check";
import { expect, test } from "vitest";
import { KeyTable } from "../../dist/wire/key-table.js";

test("agrees with a Map, whatever collides and however it grows and shrinks", () => {
  // Few different low bits, so that probing runs are long and wrap around.
  const key = fc.tuple(fc.nat(7), fc.nat(40)).map(([low, high]) => high * 1024 + low * 127);
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ key, value: fc.constantFrom(0, 1, 2, 3, -5, 2 ** 29) }) },
    { weight: 5, arbitrary: fc.record({ key, change: fc.constantFrom(1, -1, 5) }) },
    { weight: 5, arbitrary: fc.record({ key, set: fc.constantFrom(1, 2, 6) }) },
    { weight: 5, arbitrary: fc.record({ key, unset: fc.constantFrom(1, 2, 7) }) },
    { weight: 1, arbitrary: fc.record({ bits: fc.constantFrom(1, 2) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new KeyTable();
      const model = new Map<number, number>();
      const put = (k: number, value: number) => (value === 0 ? model.delete(k) : model.set(k, value));
      for (const action of steps) {
        if ("bits" in action) {
          table.clearBits(action.bits);
          for (const [k, value] of [...model]) put(k, value & ~action.bits);
          continue;
        }
        const before = model.get(action.key) ?? 0;
        if ("change" in action) {
          put(action.key, before + action.change);
          expect(table.add(action.key, action.change)).toBe(before + action.change);
        } else if ("set" in action) {
          put(action.key, before | action.set);
          expect(table.setBits(action.key, action.set)).toBe((before | action.set) !== before);
        } else if ("unset" in action) {
          put(action.key, before & ~action.unset);
          expect(table.unsetBits(action.key, action.unset)).toBe((before & ~action.unset) !== before);
        } else {
          put(action.key, action.value);
          table.add(action.key, action.value - before);
        }
        expect(table.get(action.key)).toBe(model.get(action.key) ?? 0);
        expect(table.size).toBe(model.size);
      }
      expect(table.keys().sort(ascending)).toEqual([...model.keys()].sort(ascending));
      for (const { key: k } of steps.filter((action) => "key" in action)) {
        expect(table.get(k)).toBe(model.get(k) ?? 0);
      }
    }),
    { numRuns: 300 },
  );
});

function ascending(one: number, other: number): number {
  return one - other;
}

test("the largest and the smallest key are keys like others", () => {
  const table = new KeyTable();
  table.add(2 ** 31 - 1, 7);
  table.add(0, 8);
  expect([table.get(2 ** 31 - 1), table.get(0), table.get(1), table.size]).toEqual([7, 8, 0, 2]);
});
