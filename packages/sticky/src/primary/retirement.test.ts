/** Which sessions go where when workers are balanced. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { planOf } from "../../dist/primary/retirement.js";

const workersOf = (connections: readonly number[]) =>
  connections.map((each) => ({ connections: each, takesNew: () => true }));

test.each([
  [[10, 10, 10], []],
  [
    [30, 0, 0],
    [10, 10],
  ],
  [[11, 10, 10], []],
  [[5, 0], [2]],
  [[2, 0], [1]],
  [
    [3, 3, 0],
    [1, 1],
  ],
  [[1, 0, 0], []],
  [[], []],
])("of %j go %j", (connections, sessions) => {
  expect(planOf(workersOf(connections)).map((each) => each.sessions)).toEqual(sessions);
});

test("no worker gets more than its share, and none is left with a tenth more and one", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 16 }), (connections) => {
      const workers = workersOf(connections);
      const after = new Map(workers.map((worker) => [worker, worker.connections]));
      const add = (worker: (typeof workers)[number], by: number) =>
        after.set(worker, (after.get(worker) ?? 0) + by);
      for (const { from, to, sessions } of planOf(workers)) {
        add(from, -sessions);
        add(to, sessions);
      }
      const share = connections.reduce((sum, each) => sum + each, 0) / connections.length;
      for (const each of after.values()) expect(each).toBeLessThanOrEqual(share * 1.1 + workers.length);
    }),
  );
});

test("workers that retire neither give nor get", () => {
  const retiring = { connections: 50, takesNew: () => false };
  expect(planOf([retiring, ...workersOf([10, 10])])).toEqual([]);
});
