import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Claims } from "../../dist/hub/claims.js";
import { Interest, Slots, slotOf } from "../../dist/hub/interest.js";

/** The slots that a key leads to, over all banks. */
function slotsOf(interest: Interest, key: number): number[] {
  const slots: number[] = [];
  for (let bank = 0; bank < interest.bankCount; bank++) {
    let mask = interest.mask(bank, key);
    for (; mask !== 0; mask &= mask - 1) slots.push(slotOf(bank, mask & -mask));
  }
  return slots.sort((x, y) => x - y);
}

describe("Interest", () => {
  test("agrees with a model, over namespaces that open and close, with more members than one bank has", () => {
    const MEMBERS = 70;
    const NAMESPACES = 3;
    const action = fc.record({
      what: fc.constantFrom("add", "add", "remove", "hold", "release", "close", "replace"),
      member: fc.nat(MEMBERS - 1),
      namespace: fc.nat(NAMESPACES - 1),
      key: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const slots = new Slots();
        const slotOfMember = Array.from({ length: MEMBERS }, () => slots.allot());
        expect(new Set(slotOfMember).size).toBe(MEMBERS);
        const interests = Array.from({ length: NAMESPACES }, () => new Interest());
        const claims = new Map<string, Claims>();
        const reported = new Set<string>();
        const held = new Map<string, number>();

        const claimsOf = (member: number, namespace: number) => {
          const known = claims.get(`${member}:${namespace}`);
          if (known) return known;
          const fresh = new Claims(interests[namespace] as Interest, slotOfMember[member] as number);
          claims.set(`${member}:${namespace}`, fresh);
          return fresh;
        };
        const close = (member: number, namespace: number) => {
          (interests[namespace] as Interest).removeAll(slotOfMember[member] as number);
          const gone = claims.get(`${member}:${namespace}`);
          gone?.drop();
          // What settles later changes nothing.
          gone?.release([0, 1, 2, 3, 4, 5]);
          claims.delete(`${member}:${namespace}`);
          for (const model of [reported, held]) {
            for (const entry of [...model.keys()]) {
              if (entry.startsWith(`${member}:${namespace}:`)) model.delete(entry);
            }
          }
        };

        for (const { what, member, namespace, key } of actions) {
          const interest = interests[namespace] as Interest;
          const slot = slotOfMember[member] as number;
          const entry = `${member}:${namespace}:${key}`;
          const holds = held.get(entry) ?? 0;
          switch (what) {
            case "add":
              expect(interest.reportsOf(slot).add(key)).toBe(!reported.has(entry));
              reported.add(entry);
              break;
            case "remove":
              interest.reportsOf(slot).remove(key);
              reported.delete(entry);
              break;
            case "hold":
              claimsOf(member, namespace).hold([key]);
              held.set(entry, holds + 1);
              break;
            case "release":
              if (holds === 0) break;
              claimsOf(member, namespace).release([key]);
              held.set(entry, holds - 1);
              break;
            case "close":
              close(member, namespace);
              break;
            case "replace":
              for (let each = 0; each < NAMESPACES; each++) close(member, each);
              slots.release(slot);
              slotOfMember[member] = slots.allot();
          }
          for (let each = 0; each < NAMESPACES; each++) {
            const expected = slotOfMember.filter((_, at) => {
              const place = `${at}:${each}:${key}`;
              return reported.has(place) || (held.get(place) ?? 0) > 0;
            });
            expect(slotsOf(interests[each] as Interest, key)).toEqual(expected.sort((x, y) => x - y));
          }
        }
        const rooms = interests.map((_, each) => {
          const ofNamespace = [...reported].map((entry) => entry.split(":").map(Number));
          return new Set(
            ofNamespace
              .filter(([, namespace]) => namespace === each)
              .map(([member = 0, , key]) => `${Math.floor((slotOfMember[member] as number) / 30)}:${key}`),
          ).size;
        });
        expect(interests.map(({ size }) => size)).toEqual(rooms);
      }),
      { numRuns: 100 },
    );
  });

  test("a slot can be given out again at once, without its predecessor's keys", () => {
    const slots = new Slots();
    const interest = new Interest();
    const [slot, other] = [slots.allot(), slots.allot()];
    for (let key = 0; key < 50_000; key++) interest.reportsOf(slot).add(key);
    interest.reportsOf(other).add(7);
    interest.removeAll(slot);
    slots.release(slot);
    expect(slots.allot()).toBe(slot);
    expect(slotsOf(interest, 7)).toEqual([other]);
    expect(interest.size).toBe(1);
  });
});
