import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromTable, type SocketDetails, toTable } from "../../dist/wire/sockets-table.js";
import { packValue, unpackValue } from "../../dist/wire/values.js";

/** As an asker gets them. */
function sent(sockets: readonly SocketDetails[]): SocketDetails[] {
  return fromTable(unpackValue(packValue(toTable(sockets))) as ReturnType<typeof toTable>);
}

function socket(handshake: object, rest: Partial<SocketDetails> = {}): SocketDetails {
  return { id: "id", handshake, rooms: ["id"], data: {}, ...rest };
}

// Few texts, so that they repeat from socket to socket and move from place to place.
const text = fc.constantFrom("", "a", "b", "host", "headers", "query", "constructor", "ü", "0");
const fields = fc.dictionary(text, fc.oneof(text, fc.array(text), fc.integer(), fc.constant(undefined)));
const handshake = fc.record(
  { headers: fields, query: fields, time: text, issued: fc.integer(), secure: fc.boolean(), auth: fields },
  { requiredKeys: [] },
);
const details = fc.record({
  id: text,
  handshake,
  rooms: fc.array(fc.oneof(text, fc.integer() as unknown as typeof text)),
  data: fc.oneof(fields, text, fc.array(fields), fc.constant(undefined)),
});

describe("a table of sockets", () => {
  test("has what the sockets have", () => {
    fc.assert(
      fc.property(fc.array(details, { maxLength: 12 }), (sockets) => {
        expect(sent(sockets)).toEqual(sockets);
      }),
      { numRuns: 500 },
    );
  });

  test("keeps the order of fields and rooms", () => {
    const [back] = sent([socket({ url: "/", headers: { b: "1", a: "2" } }, { rooms: ["r", "id", "q"] })]);
    expect(back?.rooms).toEqual(["r", "id", "q"]);
    expect(JSON.stringify(back?.handshake)).toBe('{"url":"/","headers":{"b":"1","a":"2"}}');
  });

  test("sends a text that all sockets have once", () => {
    const agent = "a user agent of some length ".repeat(4);
    const sockets = Array.from({ length: 100 }, (_, i) =>
      socket({ headers: { agent } }, { id: `socket ${i}` }),
    );
    expect(packValue(toTable(sockets)).length).toBeLessThan(100 * agent.length);
    expect(sent(sockets)).toEqual(sockets);
  });

  test("names that clients choose change no prototype", () => {
    const query = Object.create(null, { ["__proto__"]: { value: ["x"], enumerable: true } });
    const [back] = sent([socket({ query })]) as [SocketDetails];
    const { query: received } = back.handshake as { query: object };
    expect(Object.getPrototypeOf(received)).toBe(Object.prototype);
    expect(Object.entries(received)).toEqual([["__proto__", ["x"]]]);
  });

  test("leaves what is no plain object as a value, and keeps one that several sockets share one", () => {
    const shared = { since: new Date(5) };
    const headers = new Map([["a", "1"]]);
    const [a, b] = sent([socket({ headers }, { data: shared }), socket({ query: null }, { data: shared })]);
    expect(a?.handshake).toEqual({ headers });
    expect(b?.handshake).toEqual({ query: null });
    expect(b?.data).toEqual(shared);
    expect(b?.data).toBe(a?.data);
  });
});
