import fc from "fast-check";
import { expect, test } from "vitest";
import { InterestReport } from "../dist/interest-report.js";
import { roomKey } from "../dist/room-key.js";

/** Two names that the hub cannot tell apart, found by search. */
function collision(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0; ; i++) {
    const name = `room-${i.toString(36)}`;
    const key = roomKey(1, name);
    const twin = seen.get(key);
    if (twin !== undefined) return [twin, name];
    seen.set(key, name);
  }
}

test("keys are 31-bit and differ between namespaces", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), (name, namespace) => {
      const key = roomKey(namespace, name);
      expect(key).toBeGreaterThanOrEqual(0);
      expect(key).toBeLessThan(2 ** 31);
    }),
  );
  expect(roomKey(1, "room")).not.toBe(roomKey(2, "room"));
});

test("rooms that share a key are reported once, and dropped with the last of them", () => {
  const [one, two] = collision();
  const key = roomKey(1, one);
  const report = new InterestReport(1);
  report.add(one);
  report.add(two);
  expect([...report.take()]).toEqual([key * 2 + 1]);
  report.remove(one);
  expect([...report.take()]).toEqual([]);
  report.remove(two);
  expect([...report.take()]).toEqual([key * 2]);
  expect([...report.take()]).toEqual([]);
});
