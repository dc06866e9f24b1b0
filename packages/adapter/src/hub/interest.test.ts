import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Interest, slotOf } from "../../dist/hub/interest.js";

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
  test("agrees with a model, with more members than one bank has", () => {
    const MEMBERS = 70;
    const action = fc.record({
      what: fc.constantFrom("add", "remove", "claim", "unclaim", "replace"),
      member: fc.nat(MEMBERS - 1),
      key: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const interest = new Interest();
        const slots = Array.from({ length: MEMBERS }, () => interest.allot());
        expect(new Set(slots).size).toBe(MEMBERS);
        const reported = new Set<string>();
        const claimed = new Set<string>();
        for (const { what, member, key } of actions) {
          const slot = slots[member] as number;
          const entry = `${slot}:${key}`;
          switch (what) {
            case "add":
              interest.add(slot, key);
              reported.add(entry);
              break;
            case "remove":
              interest.remove(slot, key);
              reported.delete(entry);
              break;
            case "claim":
              interest.claim(slot, key);
              claimed.add(entry);
              break;
            case "unclaim":
              interest.unclaim(slot, key);
              claimed.delete(entry);
              break;
            case "replace":
              interest.release(slot);
              slots[member] = interest.allot();
              for (const set of [reported, claimed]) {
                for (const old of set) if (old.startsWith(`${slot}:`)) set.delete(old);
              }
          }
          const expected = slots.filter((s) => reported.has(`${s}:${key}`) || claimed.has(`${s}:${key}`));
          expect(slotsOf(interest, key)).toEqual(expected.sort((x, y) => x - y));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("a slot can be given out again at once, without its predecessor's keys", () => {
    const interest = new Interest();
    const slot = interest.allot();
    const other = interest.allot();
    for (let key = 0; key < 50_000; key++) interest.add(slot, key);
    interest.add(other, 7);
    interest.release(slot);
    expect(interest.allot()).toBe(slot);
    expect(slotsOf(interest, 7)).toEqual([other]);
    expect(interest.size).toBe(1);
  });
});
