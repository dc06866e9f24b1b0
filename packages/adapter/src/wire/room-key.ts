/**
 * Rooms as the hub knows them: 31-bit keys instead of names.
 * Two rooms may share a key; the hub then relays to a worker too many, never to one too few, and the
 * worker compares names. 31 bits because V8 keeps such integers unboxed. Runs in: primary and workers.
 *
 * Clients choose names, and a table is as slow as the keys in it are alike. So the hash is one that is made against
 * that, HalfSipHash-1-3 (https://github.com/veorq/SipHash; the Linux kernel has it for its tables), with a key of its
 * own for each namespace: from the namespace's name and a seed that the hub draws and tells its members, and nobody
 * else. It costs what an ordinary hash costs.
 */
import { createHmac, randomBytes } from "node:crypto";
import { charCode } from "./char-code.js";

const SEED_BYTES = 16;
const BATCH_CHARS = 16 * 1024;
const CHAR_BYTES = 2;
/** Names of up to this length are copied here; a call out of JavaScript does more of them in less. */
const SHORT_CHARS = 32;
const FINAL_ROUNDS = 3;

/** Where names are read from, as UTF-16, little-endian. */
const chars = Buffer.allocUnsafeSlow(BATCH_CHARS * CHAR_BYTES);

/** What makes the keys of one hub unlike those of any other. */
export function drawSeed(): string {
  return randomBytes(SEED_BYTES).toString("hex");
}

/** The keys of the rooms of one namespace. */
export class NamespaceKeys {
  readonly #low: number;
  readonly #high: number;

  /** @param namespace its name on the wire */
  constructor(seed: string, namespace: string) {
    const key = createHmac("sha256", seed).update(namespace, "utf16le").digest();
    this.#low = key.readInt32LE(0);
    this.#high = key.readInt32LE(4);
  }

  /** The key of one room. Names of any type have the key of their text. */
  of(room: unknown): number {
    const name = typeof room === "string" ? room : String(room);
    const { length } = name;
    if (length > BATCH_CHARS) {
      const bytes = Buffer.from(name, "utf16le");
      return hash(this.#low, this.#high, bytes, 0, bytes.length);
    }
    if (length > SHORT_CHARS) chars.write(name, "utf16le");
    else copy(name);
    return hash(this.#low, this.#high, chars, 0, length * CHAR_BYTES);
  }

  /**
   * The keys of many rooms, in order. Names that code has put together are not flat in memory: to copy all of
   * them costs half of what it costs to go through each.
   */
  ofAll(rooms: readonly string[]): Int32Array {
    const keys = new Int32Array(rooms.length);
    for (let from = 0; from < rooms.length; ) {
      const to = endOfBatch(rooms, from);
      if (to > from) this.#batch(rooms, from, to, keys);
      else keys[from] = this.of(rooms[from]);
      from = Math.max(to, from + 1);
    }
    return keys;
  }

  #batch(rooms: readonly string[], from: number, to: number, keys: Int32Array): void {
    chars.write(rooms.slice(from, to).join(""), "utf16le");
    const [low, high] = [this.#low, this.#high];
    let at = 0;
    for (let i = from; i < to; i++) {
      const end = at + (rooms[i] as string).length * CHAR_BYTES;
      keys[i] = hash(low, high, chars, at, end);
      at = end;
    }
  }
}

/** The end of the rooms, from this one on, whose names fit into a batch together. */
function endOfBatch(rooms: readonly string[], from: number): number {
  let to = from;
  for (let length = 0; to < rooms.length; to++) {
    length += (rooms[to] as string).length;
    if (length > BATCH_CHARS) break;
  }
  return to;
}

function copy(name: string): void {
  for (let i = 0; i < name.length; i++) {
    const code = charCode(name, i);
    chars[i * CHAR_BYTES] = code;
    chars[i * CHAR_BYTES + 1] = code >>> 8;
  }
}

/** HalfSipHash-1-3 of `[at, end)`, an even number of bytes, without its lowest bit. */
function hash(low: number, high: number, bytes: Buffer, at: number, end: number): number {
  let v0 = low;
  let v1 = high;
  let v2 = low ^ 0x6c796765;
  let v3 = high ^ 0x74656462;
  const words = end - ((end - at) & 3);
  // The last word has the rest, and the length above it. The end is rounds like those of words, but without one.
  let last = (end - at) << 24;
  if (words < end) last |= (bytes[words] as number) | ((bytes[words + 1] as number) << 8);
  for (let i = at, rounds = (words - at) / 4 + 1 + FINAL_ROUNDS; rounds > 0; rounds--) {
    let word = 0;
    if (i < words) {
      word =
        (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24);
      i += 4;
    } else if (rounds > FINAL_ROUNDS) {
      word = last;
    } else if (rounds === FINAL_ROUNDS) {
      v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 1;
}
