import { expect, test } from "vitest";
import { type Candidate, createBalancer } from "../../dist/primary/balancer.js";

const candidates = (...loads: number[]): Candidate[] =>
  loads.map((connections, i) => ({ workerId: i + 1, slot: i, connections, handedOver: connections }));

test("least-connection takes the least loaded, of equals the one that got least so far", () => {
  const balance = createBalancer("least-connection");
  expect(balance(candidates(3, 1, 2), undefined).workerId).toBe(2);
  const equals = candidates(1, 1, 1).map((c, i) => ({ ...c, handedOver: [9, 8, 5][i] ?? 0 }));
  expect(balance(equals, undefined).workerId).toBe(3);
});

test("round-robin goes on in order when workers come and go", () => {
  const balance = createBalancer("round-robin");
  const [one, two, three] = candidates(0, 0, 0) as [Candidate, Candidate, Candidate];
  const turn = (...list: Candidate[]) => balance(list, undefined).workerId;
  expect([turn(one, two), turn(one, two), turn(one, two)]).toEqual([1, 2, 1]);
  expect([turn(two, three), turn(two, three), turn(two, three)]).toEqual([2, 3, 2]);
});

test("random reaches all", () => {
  const balance = createBalancer("random");
  const seen = new Set(Array.from({ length: 200 }, () => balance(candidates(0, 9, 99), undefined).workerId));
  expect(seen.size).toBe(3);
});

const ADDRESSES = Array.from({ length: 200 }, (_, i) => `10.${i % 7}.${i % 13}.${i}`);

test("hash spreads 200 addresses over 4 workers within 1.5 × the mean", () => {
  const balance = createBalancer("hash");
  const counts = new Map<number, number>();
  for (const address of ADDRESSES) {
    const { workerId } = balance(candidates(0, 0, 0, 0), address);
    counts.set(workerId, (counts.get(workerId) ?? 0) + 1);
  }
  expect(counts.size).toBe(4);
  for (const count of counts.values()) expect(count).toBeLessThanOrEqual(75);
});

test("hash moves only the addresses of a worker that goes, and back when its slot is filled again", () => {
  const balance = createBalancer("hash");
  const all = candidates(0, 0, 0, 0);
  const without = all.filter(({ slot }) => slot !== 2);
  const refilled = [...without, { workerId: 99, slot: 2, connections: 0, handedOver: 0 }];
  for (const address of ADDRESSES) {
    const before = balance(all, address).slot;
    if (before !== 2) expect(balance(without, address).slot).toBe(before);
    expect(balance(refilled, address).slot).toBe(before);
  }
});
