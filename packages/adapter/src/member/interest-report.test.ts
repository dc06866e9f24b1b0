import { expect, test } from "vitest";
import { InterestReport } from "../../dist/member/interest-report.js";
import { RoomMembers } from "../../dist/member/room-members.js";
import { NamespaceKeys } from "../../dist/wire/room-key.js";

const keys = new NamespaceKeys("seed", "namespace");

/** Two names that the hub cannot tell apart, found by search. */
function collision(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0; ; i++) {
    const name = `room-${i.toString(36)}`;
    const key = keys.of(name);
    const twin = seen.get(key);
    if (twin !== undefined) return [twin, name];
    seen.set(key, name);
  }
}

test("what was joined and left, or left and joined, since the last report is no news in the end", () => {
  const report = new InterestReport(keys);
  const key = keys.of("room");
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
  const key = keys.of(one);
  const [inOne, inTwo] = [new RoomMembers(), new RoomMembers()];
  const report = new InterestReport(keys);
  report.add(one, inOne);
  report.add(two, inTwo);
  expect([...report.take()]).toEqual([key * 2 + 1]);
  report.remove(one, inOne);
  expect([...report.take()]).toEqual([]);
  report.remove(two, inTwo);
  expect([...report.take()]).toEqual([key * 2]);
  expect([...report.take()]).toEqual([]);
});

test("a hub with another seed gets other keys", () => {
  const members = new RoomMembers();
  const before = new InterestReport(keys);
  before.add("room", members);
  before.take();
  const otherKeys = new NamespaceKeys("another seed", "namespace");
  const report = new InterestReport(otherKeys);
  report.add("room", members);
  report.remove("room", members);
  const key = otherKeys.of("room");
  expect([...report.take()]).toEqual([key * 2 + 1, key * 2]);
});

test("rooms that no other process can have are not reported, and what they are does no harm", () => {
  const report = new InterestReport(keys);
  for (const room of [{ toString: 1 }, Object.create(null), Symbol("room"), () => {}]) {
    const members = new RoomMembers();
    report.add(room, members);
    report.remove(room, members);
  }
  expect(report.isEmpty).toBe(true);
});

test("what was reported is taken back, each key once, and nothing of what was not", () => {
  const report = new InterestReport(keys);
  const [one, two] = collision();
  report.add(one, new RoomMembers());
  report.add(two, new RoomMembers());
  report.add("room", new RoomMembers());
  const reported = [...report.take()];
  const left = new RoomMembers();
  report.add("left", left);
  report.take();
  report.remove("left", left);
  report.take();
  report.add("not told", new RoomMembers());
  report.withdraw();
  expect([...report.take()].sort()).toEqual(reported.map((entry) => entry - 1).sort());
  report.withdraw();
  expect(report.isEmpty).toBe(true);
});
