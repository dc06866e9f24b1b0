import { expect, test } from "vitest";
import { slotOf } from "../../../dist/backplane/redis-streams/key-slot.js";

test("slots are those of Redis Cluster", () => {
  const slots = { "": 0, "123456789": 0x31c3, foo: 12_182, bar: 5_061 };
  for (const [tag, slot] of Object.entries(slots)) expect([tag, slotOf(tag)]).toEqual([tag, slot]);
});
