import fc from "fast-check";
import { expect, test } from "vitest";
import { Orders } from "../../dist/socketio/orders.js";

test("a place comes after all of its order that are less, and after all of earlier orders", () => {
  const epoch = fc.string({ unit: "grapheme-ascii", minLength: 4, maxLength: 4 });
  const place = fc.record({ order: fc.nat({ max: 9 }), sequence: fc.nat({ max: 99 }) });
  fc.assert(
    fc.property(
      fc.uniqueArray(epoch, { minLength: 10, maxLength: 10 }),
      place,
      place,
      (epochs, one, other) => {
        const orders = new Orders();
        const textOf = ({ order, sequence }: typeof one) =>
          epochs[order] + String(sequence).padStart(10, "0");
        for (const name of epochs) for (let i = 0; i < 3; i++) orders.begin(`${name}${i}`);
        const isAfter = one.order === other.order ? one.sequence > other.sequence : one.order > other.order;
        expect(orders.isAfter(textOf(one), textOf(other))).toBe(isAfter);
      },
    ),
  );
});

test("places of an order that is not known come before all others", () => {
  const orders = new Orders();
  orders.begin("here01");
  expect([orders.isAfter("here00", "gone99"), orders.isAfter("gone99", "here00")]).toEqual([true, false]);
  for (let i = 0; i < 1_000; i++) orders.begin(`${1_000 + i}00`);
  expect(orders.isAfter("here99", "100000")).toBe(false);
  expect(orders.isAfter("199900", "199899")).toBe(true);
});
