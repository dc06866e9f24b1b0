import fc from "fast-check";
import { expect, test } from "vitest";
import { EVERYBODY, RING, RoomChains } from "../../dist/hub/room-chains.js";

const room = fc.record({
  namespaceId: fc.constantFrom(1, 2),
  key: fc.constantFrom(EVERYBODY, 0, 1, 2 ** 31 - 1),
});

test("each entry leads to the one before it in its room, also where places begin anew", () => {
  fc.assert(
    fc.property(fc.array(room), fc.constantFrom(0, RING - 5, RING - 1, RING), (entries, lastPlace) => {
      const chains = new RoomChains(lastPlace);
      const newest = new Map<string, number>();
      entries.forEach(({ namespaceId, key }, i) => {
        const name = `${namespaceId} ${key}`;
        const before = newest.get(name);
        expect(chains.newest(namespaceId, key)).toBe(before ?? 0);
        expect(chains.add(namespaceId, key)).toBe(before === undefined ? 0 : i + 1 - before);
        newest.set(name, i + 1);
        expect(chains.newest(namespaceId, key)).toBe(i + 1);
      });
      expect([chains.lastEntry, chains.size]).toEqual([entries.length, newest.size]);
    }),
  );
});

test("a room has no entry when its newest is dropped, and a namespace without entries takes no memory", () => {
  const chains = new RoomChains();
  chains.add(1, 7);
  chains.add(1, 7);
  chains.add(1, EVERYBODY);
  chains.drop(1, 7, 1);
  expect(chains.newest(1, 7)).toBe(2);
  expect(chains.drop(1, 7, 2)).toBe(true);
  expect(chains.newest(1, 7)).toBe(0);
  expect(chains.drop(1, EVERYBODY, 3)).toBe(true);
  expect(chains.size).toBe(0);
  expect(chains.drop(1, 7, 2)).toBe(false);
  expect(chains.add(1, 7)).toBe(0);
  chains.forgetNamespace(1);
  expect(chains.newest(1, 7)).toBe(0);
  expect(chains.add(1, 8)).toBe(0);
  expect(chains.newest(1, 8)).toBe(5);
});
