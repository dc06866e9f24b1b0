import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FieldReader } from "../../dist/wire/field-reader.js";
import { readSocketList, type SocketDetails, SocketListWriter } from "../../dist/wire/socket-list.js";

const MAX_BYTES = 1_000_000;

function encode(sockets: readonly SocketDetails[]): Buffer {
  const list = new SocketListWriter(MAX_BYTES);
  for (const socket of sockets) list.add(socket);
  return list.end();
}

function decode(bytes: Buffer): SocketDetails[] {
  return readSocketList(new FieldReader(bytes, 0, bytes.length));
}

/** As an asker gets them. */
function sent(sockets: readonly SocketDetails[]): SocketDetails[] {
  return decode(encode(sockets));
}

function socket(handshake: object, rest: Partial<SocketDetails> = {}): SocketDetails {
  return { id: "id", handshake, rooms: ["id"], data: {}, ...rest };
}

// Few texts, so that they repeat from socket to socket and move from place to place.
const text = fc.constantFrom(
  "",
  "a",
  "b",
  "host",
  "headers",
  "query",
  "constructor",
  "ü",
  "0",
  "\ud83d",
  "__proto__",
);
const fields = fc
  .array(fc.tuple(text, fc.oneof(text, fc.array(text), fc.integer(), fc.constant(undefined))))
  .map((entries) => {
    const object = {};
    for (const [key, value] of entries) {
      Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
    }
    return object;
  });
const handshake = fc.record(
  { headers: fields, query: fields, time: text, issued: fc.integer(), secure: fc.boolean(), auth: fields },
  { requiredKeys: [], noNullPrototype: true },
);
const details = fc.record(
  {
    id: text,
    handshake,
    rooms: fc.array(fc.oneof(text, fc.integer() as unknown as typeof text)),
    data: fc.oneof(fields, text, fc.array(fields), fc.constantFrom(undefined, null, 0)),
  },
  { noNullPrototype: true },
);

describe("a list of sockets", () => {
  test("has what the sockets have", () => {
    fc.assert(
      fc.property(fc.array(details, { maxLength: 20 }), (sockets) => {
        expect(
          isDeepStrictEqual(
            sent(sockets),
            sockets.map(({ rooms, id, ...rest }) => ({ rooms, id, ...rest })),
          ),
        ).toBe(true);
      }),
      { numRuns: 1_000 },
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
      socket({ headers: { agent } }, { id: `socket ${i}`, data: { agent, rooms: [agent] } }),
    );
    expect(encode(sockets).length).toBeLessThan(60 * agent.length);
    expect(sent(sockets)).toEqual(sockets);
  });

  test("names that clients choose change no prototype", () => {
    const query = Object.create(null, { ["__proto__"]: { value: ["x"], enumerable: true } });
    const [back] = sent([socket({ query })]) as [SocketDetails];
    const { query: received } = back.handshake as { query: object };
    expect(Object.getPrototypeOf(received)).toBe(Object.prototype);
    expect(Object.entries(received)).toEqual([["__proto__", ["x"]]]);
  });

  test("keeps what several sockets share one, in data and deep in handshakes", () => {
    const shared = { since: new Date(5) };
    const headers = new Map([["a", "1"]]);
    const [a, b] = sent([
      socket({ headers, user: shared }, { data: shared }),
      socket({ query: null }, { data: { shared } }),
    ]);
    expect(a?.handshake).toEqual({ headers, user: shared });
    expect(b?.handshake).toEqual({ query: null });
    expect(a?.handshake).toHaveProperty("user", a?.data);
    expect((b as { data: { shared: unknown } }).data.shared).toBe(a?.data);
    expect((a as { handshake: { user?: unknown } }).handshake.user).toBe(a?.data);
  });

  test("has no trace of a socket that could not be added", () => {
    const bad = { deep: { text: "bad", list: [Symbol("s")] } };
    fc.assert(
      fc.property(fc.array(fc.oneof(details, fc.constant(undefined)), { maxLength: 30 }), (each) => {
        const list = new SocketListWriter(MAX_BYTES);
        for (const one of each) {
          const add = () =>
            list.add(one ?? socket({ auth: "new text", headers: { a: "b" }, bad }, { id: "bad" }));
          if (one) add();
          else expect(add).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_UNSERIALIZABLE" }));
        }
        const good = each.filter((one) => one !== undefined);
        expect(decode(list.end())).toEqual(good);
      }),
      { numRuns: 1_000 },
    );
  });

  test("never becomes longer than it may, and refuses nothing before", () => {
    fc.assert(
      fc.property(fc.array(details, { maxLength: 20 }), fc.nat({ max: 1_500 }), (sockets, maxBytes) => {
        const list = new SocketListWriter(maxBytes);
        const added: SocketDetails[] = [];
        for (const one of sockets) {
          try {
            list.add(one);
            added.push(one);
          } catch (error) {
            expect(error).toMatchObject({ code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE" });
            expect(encode([...added, one]).length).toBeGreaterThan(maxBytes);
          }
        }
        const bytes = list.end();
        if (added.length > 0) expect(bytes.length).toBeLessThanOrEqual(maxBytes);
        expect(decode(bytes)).toEqual(added);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("bytes that are no list of sockets", () => {
  const orBroken = (bytes: Buffer) => {
    try {
      for (const one of decode(bytes)) {
        expect([typeof one.id, typeof one.handshake, Array.isArray(one.rooms)]).toEqual([
          "string",
          "object",
          true,
        ]);
      }
    } catch (error) {
      expect(error).toMatchObject({ code: "HOLDFAST_ERR_BROKEN_MESSAGE" });
    }
  };

  test("are refused, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => orBroken(Buffer.from(bytes))),
      { numRuns: 5_000 },
    );
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.array(details, { maxLength: 4 }),
        fc.array(change, { minLength: 1 }),
        (sockets, changes) => {
          const bytes = encode(sockets);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          orBroken(bytes);
        },
      ),
      { numRuns: 10_000 },
    );
  });
});
