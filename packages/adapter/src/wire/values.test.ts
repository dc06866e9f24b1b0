import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HoldfastError } from "../../dist/errors.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import { MAX_DEPTH } from "../../dist/wire/value-format.js";
import { ValueReader } from "../../dist/wire/value-reader.js";
import { ValueWriter } from "../../dist/wire/value-writer.js";
import { packValue, unpackValue } from "../../dist/wire/values.js";

function sent(value: unknown): unknown {
  return unpackValue(packValue(value));
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as HoldfastError).code ?? String(error);
  }
}

/** Any sequence of code units, half surrogate pairs among them. */
const text = fc.string({
  unit: fc
    .oneof(
      fc.integer({ min: 0x20, max: 0x7e }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0xd800, 0xdc00, 0xff, 0x100),
    )
    .map((code) => String.fromCharCode(code)),
  size: "medium",
});

/** What JavaScript knows, or people think that it knows, of every object. */
const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toJSON",
  "toString",
  "valueOf",
  "then",
  "length",
  "name",
  "message",
  "hasOwnProperty",
  "__defineGetter__",
  "_placeholder",
  "0",
  "",
];
const name = fc.oneof(fc.constantFrom(...NAMES), text);

const value = fc.anything({
  key: name,
  values: [
    text,
    fc.integer(),
    fc.double(),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
    fc.constantFrom(-0, 2 ** 31, -(2 ** 31), 127, 128, 2 ** 53, null, undefined, true, false),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array().map((bytes) => new Uint8Array(bytes).buffer),
    fc.constantFrom(/a[/]b/giu, /^$/),
  ],
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: false,
  maxDepth: 4,
});

/** Any JSON, by its text, as a client can send it: no name is too odd, no list too long. */
const json = fc
  .letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      text,
      fc.double(),
      fc.boolean(),
      tie("list"),
      tie("object"),
    ),
    list: fc.array(tie("any"), { size: "small" }),
    object: fc.array(fc.tuple(name, tie("any")), { size: "small" }).map(fromEntries),
  }))
  .any.map((any) => JSON.parse(JSON.stringify(any ?? null)) as unknown);

function fromEntries(entries: [string, unknown][]): object {
  const object = {};
  for (const [key, item] of entries) {
    Object.defineProperty(object, key, { value: item, configurable: true, enumerable: true, writable: true });
  }
  return object;
}

describe("a value", () => {
  test("comes back as it was, of whatever it is made", () => {
    fc.assert(
      fc.property(value, (before) => {
        expect(isDeepStrictEqual(sent(before), before)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  test("that a client can write in JSON comes back as it was", () => {
    fc.assert(
      fc.property(json, (before) => {
        const after = sent(before);
        expect(isDeepStrictEqual(after, before)).toBe(true);
        expect(JSON.stringify(after)).toBe(JSON.stringify(before));
      }),
      { numRuns: 3_000 },
    );
  });

  test.each(NAMES)("has a field of the name %j, whatever is in it", (field) => {
    for (const item of [1, "x", null, {}, { [field]: 1 }, [], true]) {
      const before = fromEntries([[field, item]]);
      const after = sent(before) as object;
      expect(Object.getPrototypeOf(after)).toBe(Object.prototype);
      expect(Object.entries(after)).toEqual([[field, item]]);
    }
  });

  test("has its fields also where Object.prototype has setters of their names", () => {
    const seen: unknown[] = [];
    Object.defineProperty(Object.prototype, "trapped", {
      set: (item) => void seen.push(item),
      configurable: true,
    });
    try {
      expect(Object.entries(sent(fromEntries([["trapped", 1]])) as object)).toEqual([["trapped", 1]]);
      expect(seen).toEqual([]);
    } finally {
      Reflect.deleteProperty(Object.prototype, "trapped");
    }
  });

  test("is one object where it was one, and may go round in circles", () => {
    const shared = { since: new Date(5) };
    const cycle: Record<string, unknown> = { list: [shared, shared], map: new Map(), set: new Set() };
    cycle.self = cycle;
    (cycle.map as Map<unknown, unknown>).set(cycle, cycle.map);
    (cycle.set as Set<unknown>).add(cycle.set).add(cycle);
    const after = sent(cycle) as typeof cycle;
    const list = after.list as unknown[];
    expect(list[0]).toBe(list[1]);
    expect(after.self).toBe(after);
    expect([...(after.map as Map<unknown, unknown>)]).toEqual([[after, after.map]]);
    expect([...(after.set as Set<unknown>)]).toEqual([after.set, after]);
  });

  test("with many objects still knows which of them are the same", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 200 }), (picks) => {
        const objects = Array.from({ length: 61 }, (_, i) => ({ i }));
        const after = sent(picks.map((pick) => objects[pick])) as { i: number }[];
        expect(after.map(({ i }) => i)).toEqual(picks);
        expect(new Set(after).size).toBe(new Set(picks).size);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["an invalid date", new Date(Number.NaN)],
    ["the last date", new Date(8.64e15)],
    ["a text of any length", "é".repeat(70_000)],
    ["half an emoji", "a\ud83d"],
    ["text beyond latin1", "Съешь ещё".repeat(9)],
    ["a long list", Array.from({ length: 100_000 }, (_, i) => i)],
    ["many names", Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`name ${i}`, i]))],
    [
      "objects with many kinds of names",
      Array.from({ length: 100 }, (_, i) => ({ [`a${i % 20}`]: i, b: {} })),
    ],
    ["a large bigint", -(2n ** 100_000n)],
    ["the smallest bigint of 64 bits", -(2n ** 63n)],
    ["nothing", undefined],
    ["an empty buffer", Buffer.alloc(0)],
    ["a large buffer", Buffer.alloc(300_000, "x")],
    ["a large buffer among others", [Buffer.alloc(80_000, "a"), Buffer.alloc(90_000, "b")]],
  ])("may be %s", (_, before) => {
    const after = sent(before);
    if (before instanceof Date) expect((after as Date).getTime()).toEqual(before.getTime());
    else expect(isDeepStrictEqual(after, before)).toBe(true);
  });

  test("keeps classes of binary data apart, and copies only what a view shows", () => {
    const { buffer } = new Uint8Array(10_000);
    expect(packValue(new Uint16Array(buffer, 2, 3)).length).toBeLessThan(20);
    const views = [
      Buffer.from([1]),
      new Uint8Array([1]),
      new DataView(buffer, 3, 2),
      new BigInt64Array([-1n]),
    ];
    expect((sent(views) as object[]).map((view) => view.constructor.name)).toEqual([
      "Buffer",
      "Uint8Array",
      "DataView",
      "BigInt64Array",
    ]);
    expect((sent(views[2]) as DataView).byteLength).toBe(2);
    expect(sent(new SharedArrayBuffer(2))).toEqual(new ArrayBuffer(2));
  });

  test("may be an error: class, name, message, stack, cause and what the application has set", () => {
    const error = Object.assign(new TypeError("bad", { cause: new RangeError("why") }), {
      code: "E",
      detail: { a: 1 },
    });
    const after = sent(error) as typeof error;
    expect(after).toBeInstanceOf(TypeError);
    expect(after).toMatchObject({ name: "TypeError", message: "bad", code: "E", detail: { a: 1 } });
    expect(after.stack).toBe(error.stack);
    expect(after.cause).toBeInstanceOf(RangeError);
    expect(Object.keys(after)).toEqual(["code", "detail"]);
    const named = sent(Object.assign(new Error("m"), { name: "Custom" })) as Error;
    expect([named.name, String(named)]).toEqual(["Custom", "Custom: m"]);
    const several = sent(new AggregateError([new Error("one")], "all")) as AggregateError;
    expect(several).toBeInstanceOf(AggregateError);
    expect(several.errors[0]).toMatchObject({ message: "one" });
    expect(sent(new DOMException("gone", "AbortError"))).toMatchObject({
      name: "AbortError",
      message: "gone",
    });
  });

  test("changes where it has to: functions, classes, boxes, holes, symbols as names", () => {
    class Point {
      x = 1;
      get double() {
        return 2 * this.x;
      }
    }
    class Id {
      readonly #hex = "ff";
      toJSON() {
        return { id: this.#hex };
      }
    }
    class Table extends Map<unknown, unknown> {}
    expect(sent([new Point(), new Id(), new URL("http://a/b"), new Table([[1, 2]])])).toEqual([
      { x: 1 },
      { id: "ff" },
      "http://a/b",
      new Map([[1, 2]]),
    ]);
    expect(sent([Object(1), Object("s"), Object(true), Object(1n)])).toEqual([1, "s", true, 1n]);
    // biome-ignore lint/suspicious/noSparseArray: that is the case
    expect(sent([1, , () => {}, { f() {}, [Symbol("s")]: 1 }])).toEqual([
      1,
      undefined,
      undefined,
      { f: undefined },
    ]);
    expect(sent(Object.create(null, { a: { value: 1, enumerable: true } }))).toEqual({ a: 1 });
    expect(sent(new Proxy({ a: [1] }, {}))).toEqual({ a: [1] });
  });

  test("with toJSON() is what that returns, once, and shared objects stay shared around it", () => {
    class Again {
      readonly shared: object;
      constructor(shared: object) {
        this.shared = shared;
      }
      toJSON(): unknown {
        return this;
      }
    }
    const shared = { a: 1 };
    const after = sent([new Again(shared), shared, new Again(shared)]) as [Again, object, Again];
    expect(after[0]).toEqual({ shared: { a: 1 } });
    expect([after[0].shared === after[1], after[2].shared === after[1]]).toEqual([true, true]);
  });
});

describe("what cannot be sent", () => {
  const throwing = (thrown: unknown) => ({
    get bad() {
      throw thrown;
    },
  });
  const endless = (): object =>
    new Proxy(
      {},
      {
        ownKeys: () => ["a"],
        getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
        get: () => endless(),
      },
    );

  test.each([
    ["a symbol", Symbol("s")],
    ["a boxed symbol", Object(Symbol("s"))],
    ["a getter that throws", throwing(new Error("boom"))],
    ["a getter that throws null", throwing(null)],
    ["a getter that throws what cannot be shown", throwing(Object.create(null))],
    [
      "a proxy that throws",
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error("no");
          },
        },
      ),
    ],
    ["a proxy that was revoked", revoked()],
    ["a list without a length", new Proxy([], { get: () => -1 })],
    ["an object without an end", endless()],
    ["a view of memory that has gone", detached()],
    [
      "toJSON() that throws",
      new (class {
        toJSON() {
          throw new Error("no");
        }
      })(),
    ],
  ])("%s is refused with a code, and leaves no trace", (_, bad) => {
    for (const each of [bad, { deep: [1, { bad }] }, new Map([[bad, 1]]), new Set([bad])]) {
      expect(codeOf(() => packValue(each))).toBe("HOLDFAST_ERR_UNSERIALIZABLE");
    }
    expect(sent({ a: 1 })).toEqual({ a: 1 });
  });

  function revoked(): object {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  }

  function detached(): object {
    const view = new Uint8Array(4);
    structuredClone(view.buffer, { transfer: [view.buffer] });
    return view.buffer;
  }

  test("is what is nested deeper than the limit; what is not comes back, whoever calls", () => {
    const kinds: ((inner: unknown) => unknown)[] = [
      (inner) => [inner],
      (inner) => ({ a: inner }),
      (inner) => new Map([[inner, 1]]),
      (inner) => new Set([inner]),
      (inner) => new Map([["k", inner]]),
    ];
    for (const wrap of kinds) {
      let deep: unknown = 1;
      for (let i = 0; i < MAX_DEPTH; i++) deep = wrap(deep);
      let depth = 0;
      for (let at = sent(deep); at !== 1; depth++) at = unwrap(at);
      expect(depth).toBe(MAX_DEPTH);
      expect(codeOf(() => packValue(wrap(deep)))).toBe("HOLDFAST_ERR_UNSERIALIZABLE");
    }
  });

  function unwrap(outer: unknown): unknown {
    if (Array.isArray(outer)) return outer[0];
    if (outer instanceof Set) return [...outer][0];
    if (outer instanceof Map) return outer.has("k") ? outer.get("k") : [...outer.keys()][0];
    return (outer as { a: unknown }).a;
  }

  test("is what is larger than it may be, found before memory is filled", () => {
    expect(codeOf(() => packValue("x".repeat(1_000), 999))).toBe("HOLDFAST_ERR_MESSAGE_TOO_LARGE");
    expect(codeOf(() => packValue(Buffer.alloc(1_000), 999))).toBe("HOLDFAST_ERR_MESSAGE_TOO_LARGE");
    const sparse: unknown[] = [];
    sparse[4_000_000_000] = 1;
    expect(codeOf(() => packValue(sparse, 1_000_000))).toBe("HOLDFAST_ERR_MESSAGE_TOO_LARGE");
    let looks = 0;
    const get = (_: unknown, key: string | symbol) => (key === "length" ? 1_000_001 : ++looks);
    const long = new Proxy([], { get });
    expect(codeOf(() => packValue(long, 1_000_000))).toBe("HOLDFAST_ERR_MESSAGE_TOO_LARGE");
    expect(looks).toBe(0);
    expect(sent("next")).toBe("next");
  });

  test("leaves what has been written with it as it is", () => {
    const good = { a: { b: 1 }, t: "text" };
    fc.assert(
      fc.property(fc.array(fc.oneof(value, fc.constant("bad")), { maxLength: 30 }), (values) => {
        const writer = new ValueWriter(1_000_000);
        const kept: unknown[] = [];
        for (const each of values) {
          if (each !== "bad") {
            writer.write(each);
            kept.push(each);
          } else {
            const bad = { good, more: [{ other: 1 }, good, Symbol("s")] };
            expect(codeOf(() => writer.write(bad))).toBe("HOLDFAST_ERR_UNSERIALIZABLE");
            writer.write([good, good]);
            kept.push([good, good]);
          }
        }
        const bytes = writer.end();
        const fields = new FieldReader(bytes, 0, bytes.length);
        const reader = new ValueReader(fields);
        const back: unknown[] = [];
        while (!fields.done) back.push(reader.read());
        expect(isDeepStrictEqual(back, kept)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("may write values itself while it is asked", () => {
    const nested = {
      get inner() {
        return unpackValue(packValue({ deep: [1, 2] }));
      },
    };
    expect(sent([nested, { after: 1 }])).toEqual([{ inner: { deep: [1, 2] } }, { after: 1 }]);
  });
});

describe("bytes that are no value", () => {
  /** Decodes, and holds that nothing but the one error is thrown. */
  function decode(bytes: Buffer): unknown {
    try {
      return unpackValue(bytes);
    } catch (error) {
      expect(error).toMatchObject({ name: "HoldfastError", code: "HOLDFAST_ERR_BROKEN_MESSAGE" });
      return undefined;
    }
  }

  test("of any kind are refused or read as some value", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decode(Buffer.from(bytes))),
      { numRuns: 20_000 },
    );
  });

  test("that were a value until they were cut are refused", () => {
    fc.assert(
      fc.property(value, (before) => {
        const bytes = packValue(before);
        for (let end = 0; end < bytes.length; end += 1 + Math.floor(bytes.length / 50)) {
          expect(codeOf(() => unpackValue(bytes.subarray(0, end)))).toBe("HOLDFAST_ERR_BROKEN_MESSAGE");
        }
      }),
      { numRuns: 500 },
    );
  });

  test("that were a value until some were changed are refused or read as another", () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(value, fc.array(change, { minLength: 1, maxLength: 4 }), (before, changes) => {
        const bytes = Buffer.from(packValue(before));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        decode(bytes);
      }),
      { numRuns: 20_000 },
    );
  });

  test.each([
    ["a list longer than memory", [0xcd, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a map longer than memory", [0xcf, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1]],
    ["a set longer than memory", [0xd0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]],
    ["a text longer than memory", [0xc8, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]],
    ["wide text longer than memory", [0xc9, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]],
    ["a buffer longer than memory", [0xd5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]],
    ["names longer than memory", [0xce, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["more names than bytes", [0xce, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a count without an end", [0xcd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ["an object that is not there", [0xcb, 0]],
    ["names that are not there", [0xe0]],
    ["a shared text where none is shared", [0xca, 0]],
    ["an error of no class", [0xd3, 99, 0xe0]],
    ["an error without fields", [0xd3, 0, 0xf0]],
    ["a typed array of no class", [0xd6, 99, 0]],
    ["a typed array that is cut", [0xd6, 6, 3, 1, 2, 3]],
    ["an expression that does not parse", [0xd2, 0x81, 0x28, 0x80]],
    ["a bigint of nothing", [0xc7, 0, 0]],
    ["a tag that there is not", [0xdf]],
    ["something behind the value", [1, 1]],
    ["nothing", []],
  ])("%s", (_, bytes) => {
    expect(codeOf(() => unpackValue(Buffer.from(bytes)))).toBe("HOLDFAST_ERR_BROKEN_MESSAGE");
  });

  test("nested without an end are refused, and cost no stack", () => {
    for (const opening of [[0xf1], [0xcd, 1], [0xcc, 0xf1], [0xd0, 1], [0xcf, 1]]) {
      const bytes = Buffer.from(Array.from({ length: 2 * MAX_DEPTH }, () => opening).flat());
      expect(codeOf(() => unpackValue(bytes))).toBe("HOLDFAST_ERR_BROKEN_MESSAGE");
    }
  });
});

test.each(
  [
    [0, "00"],
    [127, "7f"],
    [128, "c480000000"],
    [-1, "c4ffffffff"],
    [1.5, "c5000000000000f83f"],
    [-0, "c50000000000000080"],
    [null, "c0"],
    [undefined, "c1"],
    [false, "c2"],
    [true, "c3"],
    [-2n, "c6feffffffffffffff"],
    [-(2n ** 64n), "c70109010000000000000000"],
    ["", "80"],
    ["aé", "8261e9"],
    ["\ud83d", "c9013dd8"],
    ["x".repeat(64), `c840${"78".repeat(64)}`],
    [[], "f0"],
    [["a", ["a"]], "f28161f18161"],
    [Array(16).fill(1), `cd10${"01".repeat(16)}`],
    [{ a: 1 }, "ce0300000001816101"],
    [[{ a: 1 }, { a: 2 }], "f2ce0300000001816101e002"],
    [new Map([["k", 1]]), "cf01816b01"],
    [new Set([1]), "d00101"],
    [new Date(0), "d10000000000000000"],
    [/a/g, "d281618167"],
    [new ArrayBuffer(1), "d40100"],
    [Buffer.from([7]), "d50107"],
    [new Uint16Array([7]), "d605020700"],
  ].map(([each, hex]) => ({ each, hex: hex as string })),
)("$hex is what is written", ({ each, hex }) => {
  expect(packValue(each).toString("hex")).toBe(hex);
});
