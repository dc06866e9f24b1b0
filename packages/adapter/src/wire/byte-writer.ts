/**
 * Writes the parts of values that have no parts: bytes, counts, and texts and numbers with their tags.
 * Owns: the memory that is written to; one piece of it is kept for the next writer. Runs in: primary and workers.
 */
// Imported, because the global is a getter, and this is a hot path.
import { Buffer } from "node:buffer";
import { HoldfastError } from "../errors.js";
import { charCode } from "./char-code.js";
import { MAX_SHORT_TEXT, Tag } from "./value-format.js";
import { magnitudeOf } from "./value-instances.js";

const FIRST_BYTES = 64 * 1024;
/** Larger memory is not kept. */
const SPARE_BYTES = 1024 * 1024;
/** Tags, counts and numbers of a value fit in here; only texts and bytes are longer. */
const HEAD_BYTES = 32;
/** Up to here, a loop costs less than a call out of JavaScript. */
const SHORT_CHARS = 24;
const BEYOND_LATIN1 = /[^\0-\xff]/;

let spare: Buffer | undefined;

export class ByteWriter {
  readonly #maxBytes: number;
  #bytes: Buffer;
  #at = 0;

  /** @param maxBytes how many may be written */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#bytes = spare ?? Buffer.allocUnsafeSlow(FIRST_BYTES);
    // Code of the application may run while a value is written, and write another one.
    spare = undefined;
  }

  /** How many bytes have been written. */
  get length(): number {
    return this.#at;
  }

  /** Ends the writer. @returns what has been written, in memory of its own */
  end(): Buffer {
    const all = this.#bytes;
    const written = all.subarray(0, this.#at);
    if (all.length > SPARE_BYTES) return written;
    spare = all;
    return Buffer.from(written);
  }

  /** Forgets what was written since there were `length` bytes. */
  truncate(length: number): void {
    this.#at = length;
  }

  /** Makes room for the next value's tags, counts and numbers, and for `bytes` of text or raw bytes. */
  room(bytes = 0): void {
    if (this.#at + bytes + HEAD_BYTES > this.#bytes.length) this.#grow(bytes + HEAD_BYTES);
  }

  u8(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  i32(value: number): void {
    this.#put32(this.#at, value);
    this.#at += 4;
  }

  /** Writes over what was written at `at`. */
  put32(at: number, value: number): void {
    this.#put32(at, value);
  }

  number(value: number): void {
    if ((value | 0) !== value || Object.is(value, -0)) {
      this.u8(Tag.number);
      this.f64(value);
    } else if (value >= 0 && value < Tag.shortText) {
      this.u8(value);
    } else {
      this.u8(Tag.integer);
      this.i32(value);
    }
  }

  bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) {
      this.u8(Tag.bigint);
      this.#at = this.#bytes.writeBigInt64LE(value, this.#at);
    } else {
      this.u8(Tag.longBigint);
      this.u8(value < 0n ? 1 : 0);
      this.raw(magnitudeOf(value));
    }
  }

  f64(value: number): void {
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  count(count: number): void {
    let rest = count;
    for (; rest > 0x7f; rest >>>= 7) this.#bytes[this.#at++] = rest | 0x80;
    this.#bytes[this.#at++] = rest;
  }

  /** A count, and the bytes. */
  raw(bytes: Uint8Array): void {
    const { length } = bytes;
    this.count(length);
    this.room(length);
    this.#bytes.set(bytes, this.#at);
    this.#at += length;
  }

  /** A text with its tag, exactly as it is. */
  text(text: string): void {
    const { length } = text;
    if (length <= SHORT_CHARS ? this.#short(text) : this.#latin1(text)) return;
    this.room(2 * length);
    this.u8(Tag.utf16);
    this.count(length);
    this.#at += this.#bytes.write(text, this.#at, "utf16le");
  }

  /** @returns false for characters that need more than a byte; then nothing is written */
  #short(text: string): boolean {
    const { length } = text;
    this.room(length);
    const bytes = this.#bytes;
    const at = this.#at + 1;
    for (let i = 0; i < length; i++) {
      const code = charCode(text, i);
      if (code > 0xff) return false;
      bytes[at + i] = code;
    }
    bytes[at - 1] = Tag.shortText + length;
    this.#at = at + length;
    return true;
  }

  /** The same for longer texts. */
  #latin1(text: string): boolean {
    const { length } = text;
    if (Buffer.byteLength(text) !== length && BEYOND_LATIN1.test(text)) return false;
    this.room(length);
    if (length <= MAX_SHORT_TEXT) {
      this.u8(Tag.shortText + length);
    } else {
      this.u8(Tag.latin1);
      this.count(length);
    }
    this.#at += this.#bytes.write(text, this.#at, "latin1");
    return true;
  }

  #put32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  tooLarge(): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
      `The value is larger than ${this.#maxBytes} bytes. Send less, or raise maxMessageBytes where the hub is.`,
    );
  }

  #grow(bytes: number): void {
    if (this.#at > this.#maxBytes) throw this.tooLarge();
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#at + bytes, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
