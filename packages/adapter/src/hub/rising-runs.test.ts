import fc from "fast-check";
import { expect, test } from "vitest";
import { RisingRuns } from "../../dist/hub/rising-runs.js";

test("runs come out as one rising sequence, whenever they are added", () => {
  const run = fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { maxLength: 50 });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 30 }), fc.array(run, { maxLength: 10 }), (early, late) => {
      const falling = (numbers: readonly number[]) => [...numbers].sort((a, b) => b - a);
      const runs = new RisingRuns();
      for (const numbers of early) runs.add(falling(numbers));
      const taken: number[] = [];
      const half = early.flat().length / 2;
      while (taken.length < half) taken.push(runs.take());
      const rest = [...early.flat()].sort((a, b) => a - b);
      expect(taken).toEqual(rest.splice(0, taken.length));
      for (const numbers of late) runs.add(falling(numbers));
      rest.push(...late.flat());
      const takenLate: number[] = [];
      while (!runs.isEmpty) takenLate.push(runs.take());
      expect(takenLate).toEqual(rest.sort((a, b) => a - b));
      expect(runs.take()).toBe(0);
    }),
  );
});
