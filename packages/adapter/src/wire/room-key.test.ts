import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawSeed, NamespaceKeys } from "../../dist/wire/room-key.js";

/** Any sequence of code units. */
const name = fc.oneof(
  fc.string({
    unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
    maxLength: 80,
  }),
  fc.string({ unit: "binary" }),
  fc.string({ maxLength: 80 }),
  fc.constantFrom("", "room", "räume", "部屋", "\ud83d"),
);

describe("room keys", () => {
  test("are HalfSipHash-1-3 of the name, in ASCII or UTF-16, without the lowest bit", () => {
    // Of the 2-4 kind, the authors of the hash publish values: those of 0, 4 and 7 bytes that count up.
    const published = [0x5b9f35a9, 0x89466e2a, 0xc563cf8b];
    const key = Uint8Array.from({ length: 8 }, (_, i) => i);
    for (const [i, length] of [0, 4, 7].entries()) {
      const bytes = Uint8Array.from({ length }, (_, at) => at);
      expect(halfSipHash(key, bytes, 2, 4)).toBe(published[i]);
    }
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), name, name, (seed, namespace, room) => {
        const ofNamespace = createHmac("sha256", seed).update(Buffer.from(namespace, "utf16le")).digest();
        const isAscii = /^[\0-\x7f]*$/.test(room);
        const key = isAscii ? ofNamespace.subarray(0, 8) : ofNamespace.subarray(8, 16);
        const bytes = Buffer.from(room, isAscii ? "latin1" : "utf16le");
        expect(new NamespaceKeys(seed, namespace).of(room)).toBe(halfSipHash(key, bytes, 1, 3) >>> 1);
      }),
    );
  });

  test("many at once are what they are one by one", () => {
    const keys = new NamespaceKeys(drawSeed(), "/");
    const same = (names: readonly string[]) =>
      expect([...keys.ofAll(names)]).toEqual(names.map((each) => keys.of(each)));
    fc.assert(fc.property(fc.array(name), (names) => void same(names)));
    // Longer than what is hashed at once: alone, in the middle, all together.
    const long = [
      "a",
      "x".repeat(20_000),
      "b",
      "ü",
      "x".repeat(20_001).concat("ü"),
      "ü".repeat(16_384),
      "y".repeat(16_385),
      "c",
    ];
    const many = Array.from({ length: 5_000 }, (_, i) => `room ${i}`);
    for (const names of [long, many, [...many, ...long]]) same(names);
  });

  test("differ between names of ASCII and what has the same bytes in UTF-16", () => {
    const keys = new NamespaceKeys(drawSeed(), "/");
    const pairs = Array.from({ length: 1_000 }, (_, i) => `room${i}`.padEnd(8, "."));
    for (const name of pairs) {
      const wide = Buffer.from(name, "latin1").toString("utf16le");
      if (keys.of(name) === keys.of(wide)) throw new Error(name);
    }
  });

  test("rooms that are no strings have a key, too", () => {
    const keys = new NamespaceKeys(drawSeed(), "/");
    for (const room of [7, -0, Number.NaN, 7n, true, null, undefined]) {
      expect(keys.of(room)).toBe(keys.of(String(room)));
    }
  });

  test("differ from hub to hub and from namespace to namespace, and fill 31 bits", () => {
    const [seed, otherSeed] = [drawSeed(), drawSeed()];
    const here = new NamespaceKeys(seed, "/socket.io\n/");
    const others = [
      new NamespaceKeys(seed, "/socket.io\n/chat"),
      new NamespaceKeys(otherSeed, "/socket.io\n/"),
    ];
    let union = 0;
    // Of 10,000 pairs of keys, one in 2 ** 31 is equal by chance.
    for (let i = 0; i < 10_000; i++) {
      const key = here.of(`room ${i}`);
      union |= key;
      expect(key).toBeGreaterThanOrEqual(0);
      for (const other of others) if (other.of(`room ${i}`) === key) throw new Error(`room ${i}`);
    }
    expect(union).toBe(2 ** 31 - 1);
  });
});

/** As its authors describe it, word by word, with so many rounds for each and at the end. */
function halfSipHash(key: Uint8Array, bytes: Uint8Array, rounds: number, finalRounds: number): number {
  const keyView = Buffer.from(key);
  const [k0, k1] = [keyView.readUInt32LE(0), keyView.readUInt32LE(4)];
  const v = Uint32Array.of(k0, k1, 0x6c796765 ^ k0, 0x74656462 ^ k1) as Uint32Array & Record<number, number>;
  const rotate = (word: number, by: number) => ((word << by) | (word >>> (32 - by))) >>> 0;
  const mix = (a: number, b: number, by: number) => {
    v[a] = (v[a] as number) + (v[b] as number);
    v[b] = rotate(v[b] as number, by) ^ (v[a] as number);
  };
  const round = () => {
    mix(0, 1, 5);
    v[0] = rotate(v[0] as number, 16);
    mix(2, 3, 8);
    mix(0, 3, 7);
    mix(2, 1, 13);
    v[2] = rotate(v[2] as number, 16);
  };
  const padded = Buffer.alloc(Math.floor(bytes.length / 4) * 4 + 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 4) {
    const word = padded.readUInt32LE(at);
    v[3] = (v[3] as number) ^ word;
    for (let i = 0; i < rounds; i++) round();
    v[0] = (v[0] as number) ^ word;
  }
  v[2] = (v[2] as number) ^ 0xff;
  for (let i = 0; i < finalRounds; i++) round();
  return ((v[1] as number) ^ (v[3] as number)) >>> 0;
}
