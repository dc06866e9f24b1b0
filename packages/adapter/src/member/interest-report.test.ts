import fc from "fast-check";
import { expect, test } from "vitest";
import { InterestReport } from "../../dist/member/interest-report.js";
import { RoomMembers } from "../../dist/member/room-members.js";
import { roomKey, roomKeys } from "../../dist/wire/room-key.js";

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

test("many keys at once are what they are one by one", () => {
  const name = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "room", "räume", "部屋"));
  fc.assert(
    fc.property(fc.array(name), fc.nat(), (names, namespace) => {
      expect([...roomKeys(namespace, names)]).toEqual(names.map((each) => roomKey(namespace, each)));
    }),
  );
  // Longer than what is hashed at once: alone, in the middle, all together.
  const long = ["a", "x".repeat(20_000), "b", "ü".repeat(16_384), "y".repeat(16_385), "c"];
  const many = Array.from({ length: 5_000 }, (_, i) => `room ${i}`);
  for (const names of [long, many, [...many, ...long]]) {
    expect([...roomKeys(1, names)]).toEqual(names.map((each) => roomKey(1, each)));
  }
});

test("what was joined and left, or left and joined, since the last report is no news in the end", () => {
  const report = new InterestReport(1);
  const key = roomKey(1, "room");
  const first = new RoomMembers();
  report.add("room", first);
  report.remove("room", first);
  expect([...report.take()]).toEqual([key * 2 + 1, key * 2]);
  const [second, third] = [new RoomMembers(), new RoomMembers()];
  report.add("room", second);
  report.take();
  report.remove("room", second);
  report.add("room", third);
  expect([...report.take()]).toEqual([]);
  report.remove("room", third);
  expect([...report.take()]).toEqual([key * 2]);
  expect(report.isEmpty).toBe(true);
});

test("rooms that share a key are reported once, and dropped with the last of them", () => {
  const [one, two] = collision();
  const key = roomKey(1, one);
  const [inOne, inTwo] = [new RoomMembers(), new RoomMembers()];
  const report = new InterestReport(1);
  report.add(one, inOne);
  report.add(two, inTwo);
  expect([...report.take()]).toEqual([key * 2 + 1]);
  report.remove(one, inOne);
  expect([...report.take()]).toEqual([]);
  report.remove(two, inTwo);
  expect([...report.take()]).toEqual([key * 2]);
  expect([...report.take()]).toEqual([]);
});

test("a hub that knows the namespace by another id gets other keys", () => {
  const members = new RoomMembers();
  const before = new InterestReport(1);
  before.add("room", members);
  before.take();
  const report = new InterestReport(2);
  report.add("room", members);
  report.remove("room", members);
  const key = roomKey(2, "room");
  expect([...report.take()]).toEqual([key * 2 + 1, key * 2]);
});
