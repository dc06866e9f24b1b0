import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeTicket, encodeTicket, type StreamTicket } from "../../dist/wire/stream-ticket.js";

test("whatever goes with a stream comes through", () => {
  const endpoint = fc.record({ address: fc.string(), port: fc.nat(65_535), family: fc.string() });
  const optional = fc.option(endpoint, { nil: undefined });
  const origin = fc.record({
    name: fc.string(),
    remote: optional,
    local: optional,
    tls: fc.constant(undefined),
    passes: fc.nat(8),
  });
  const bytes = fc.uint8Array().map((array) => Buffer.from(array));
  const ticket: fc.Arbitrary<StreamTicket> = fc.oneof(
    fc.record({ end: fc.constant("owner" as const), token: fc.string(), origin }),
    fc.record({
      end: fc.constant("relay" as const),
      token: fc.string(),
      way: fc.string(),
      owner: fc.nat(),
      unsent: bytes,
    }),
  );
  fc.assert(fc.property(ticket, (each) => void expect(decodeTicket(encodeTicket(each))).toEqual(each)));
});

test("what is no ticket is none", () => {
  const whole = { end: "relay", token: "a", way: "", owner: 1, unsent: "" };
  expect(decodeTicket(Buffer.from(JSON.stringify(whole)))).toBeDefined();
  const wrong = [
    { token: 1 },
    { way: undefined },
    { owner: -1 },
    { owner: "1" },
    { unsent: 1 },
    { end: "owner" },
    { end: "owner", origin: "{}" },
    { end: "other" },
  ];
  for (const fields of wrong) {
    expect(decodeTicket(Buffer.from(JSON.stringify({ ...whole, ...fields })))).toBeUndefined();
  }
  fc.assert(fc.property(fc.json(), (text) => void decodeTicket(Buffer.from(text))));
  for (const text of ["", "null", "{", "[]"]) expect(decodeTicket(Buffer.from(text))).toBeUndefined();
});
