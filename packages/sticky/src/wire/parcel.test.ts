import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeParcel, encodeParcel } from "../../dist/wire/parcel.js";

const bytes = fc.uint8Array().map((array) => Buffer.from(array));

test("a literal parcel, without a ticket and with one", () => {
  const [state, unread, unsent] = ["s", "re", "uns"].map((text) => Buffer.from(text)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const plain = "01000000" + "73" + "02000000" + "7265" + "756e73";
  expect(encodeParcel({ state, unread, unsent }).toString("hex")).toBe(plain);
  const ticket = Buffer.from("t");
  const whole = `ffffffff${"01000000"}74${plain}`;
  expect(encodeParcel({ state, unread, unsent, ticket }).toString("hex")).toBe(whole);
});

test("what is packed comes out; what was cut is no parcel, or a shorter one", () => {
  const parcel = fc.record({
    state: bytes,
    unread: bytes,
    unsent: bytes,
    ticket: fc.option(bytes, { nil: undefined }),
  });
  fc.assert(
    fc.property(parcel, fc.nat(200), (each, cut) => {
      const packed = encodeParcel(each);
      const { ticket, ...rest } = each;
      expect(decodeParcel(packed)).toEqual(ticket ? { ...rest, ticket } : rest);
      const short = decodeParcel(packed.subarray(0, Math.max(0, packed.length - 1 - cut)));
      if (short) expect(short.unsent.length).toBeLessThan(each.unsent.length);
    }),
  );
});
