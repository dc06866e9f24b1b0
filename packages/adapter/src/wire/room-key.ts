/**
 * Rooms as the hub knows them: 31-bit keys instead of names.
 * Two rooms may share a key; the hub then relays to a worker too many, never to one too few, and the
 * worker compares names. 31 bits because V8 keeps such integers unboxed. Runs in: primary and workers.
 *
 * Clients choose names, and a table is as slow as the keys in it are alike. So the hash is one that is made against
 * that, HalfSipHash-1-3 (https://github.com/veorq/SipHash; the Linux kernel has it for its tables), with keys of its
 * own for each namespace: from the namespace's name and a seed that the hub draws and tells its members, and nobody
 * else. It costs what an ordinary hash costs.
 *
 * Most names are ASCII, and are hashed as that, which takes half of the rounds. All others are hashed in UTF-16, with
 * another key: their bytes may be those of some name in ASCII.
 */
import { createHmac, randomBytes } from "node:crypto";
import { charCode } from "./char-code.js";

const SEED_BYTES = 16;
const BATCH_CHARS = 16 * 1024;
const CHAR_BYTES = 2;
const WORD_BYTES = 4;
/** Names of up to this length are copied here; a call out of JavaScript does more of them in less. */
const SHORT_CHARS = 32;
const FINAL_ROUNDS = 3;
const ASCII_END = 0x80;

/** Where names are read from, word by word: behind the last one there may be three bytes that do not count. */
class Text {
  readonly bytes: Buffer;
  readonly words: DataView;

  /** @param chars what it has room for */
  constructor(chars: number) {
    this.bytes = Buffer.allocUnsafeSlow(chars * CHAR_BYTES + WORD_BYTES);
    this.words = new DataView(this.bytes.buffer);
  }

  /** @returns whether the text is ASCII, and is here; what is not takes more bytes in UTF-8 than it has characters */
  writeAscii(text: string): boolean {
    return this.bytes.write(text) === text.length;
  }

  /** In little-endian UTF-16. @returns how many bytes it takes */
  writeWide(text: string): number {
    return this.bytes.write(text, "utf16le");
  }

  /** @returns whether the UTF-16 of `[at, end)` is ASCII, and is there as that now, in half of the bytes */
  squeeze(at: number, end: number): boolean {
    const { bytes } = this;
    let all = 0;
    for (let i = at; i < end; i += CHAR_BYTES) all |= (bytes[i] as number) | ((bytes[i + 1] as number) << 8);
    if (all >= ASCII_END) return false;
    for (let from = at, to = at; from < end; from += CHAR_BYTES) bytes[to++] = bytes[from] as number;
    return true;
  }
}

const shared = new Text(BATCH_CHARS);

/** What makes the keys of one hub unlike those of any other. */
export function drawSeed(): string {
  return randomBytes(SEED_BYTES).toString("hex");
}

/** A key of the hash: two words. */
interface HashKey {
  readonly low: number;
  readonly high: number;
}

/** The keys of the rooms of one namespace. */
export class NamespaceKeys {
  readonly #ascii: HashKey;
  readonly #wide: HashKey;

  /** @param namespace its name on the wire */
  constructor(seed: string, namespace: string) {
    const words = createHmac("sha256", seed).update(namespace, "utf16le").digest();
    this.#ascii = { low: words.readInt32LE(0), high: words.readInt32LE(4) };
    this.#wide = { low: words.readInt32LE(8), high: words.readInt32LE(12) };
  }

  /** The key of one room. Names of any type have the key of their text. */
  of(room: unknown): number {
    const name = typeof room === "string" ? room : String(room);
    const { length } = name;
    if (length <= SHORT_CHARS) {
      return copyAscii(name)
        ? hash(this.#ascii, shared.words, 0, length)
        : hash(this.#wide, shared.words, 0, copyWide(name));
    }
    const text = length > BATCH_CHARS ? new Text(length) : shared;
    return text.writeAscii(name)
      ? hash(this.#ascii, text.words, 0, length)
      : hash(this.#wide, text.words, 0, text.writeWide(name));
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
    const { words } = shared;
    const joined = rooms.slice(from, to).join("");
    const isAscii = shared.writeAscii(joined);
    if (!isAscii) shared.writeWide(joined);
    let at = 0;
    for (let i = from; i < to; i++) {
      const { length } = rooms[i] as string;
      const end = at + (isAscii ? length : length * CHAR_BYTES);
      if (isAscii) keys[i] = hash(this.#ascii, words, at, end);
      else if (shared.squeeze(at, end)) keys[i] = hash(this.#ascii, words, at, at + length);
      else keys[i] = hash(this.#wide, words, at, end);
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

/** @returns whether the name is ASCII, and is in the shared text now */
function copyAscii(name: string): boolean {
  const { bytes } = shared;
  for (let i = 0; i < name.length; i++) {
    const code = charCode(name, i);
    if (code >= ASCII_END) return false;
    bytes[i] = code;
  }
  return true;
}

/** The same in UTF-16. @returns how many bytes it takes */
function copyWide(name: string): number {
  const { bytes } = shared;
  for (let i = 0; i < name.length; i++) {
    const code = charCode(name, i);
    bytes[i * CHAR_BYTES] = code;
    bytes[i * CHAR_BYTES + 1] = code >>> 8;
  }
  return name.length * CHAR_BYTES;
}

/** HalfSipHash-1-3 of `[at, end)`, without its lowest bit. */
function hash({ low, high }: HashKey, bytes: DataView, at: number, end: number): number {
  let v0 = low;
  let v1 = high;
  let v2 = low ^ 0x6c796765;
  let v3 = high ^ 0x74656462;
  const left = (end - at) & 3;
  const words = end - left;
  // The last word has the rest, and the length above it. The end is rounds like those of words, but without one.
  let last = (end - at) << 24;
  if (left > 0) last |= bytes.getInt32(words, true) & ((1 << (left * 8)) - 1);
  for (let i = at, rounds = (words - at) / 4 + 1 + FINAL_ROUNDS; rounds > 0; rounds--) {
    let word = 0;
    if (i < words) {
      word = bytes.getInt32(i, true);
      i += WORD_BYTES;
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
