/**
 * Reads the fields of a frame in order, as `Outbox` and `ByteWriter` wrote them, and never beyond its end.
 * Runs in: primary and workers.
 */
import { HoldfastError } from "../errors.js";
import { NameKind, nameBytes, nameKind, nameValue } from "./names.js";

/** Up to here, characters cost less than a call out of JavaScript. */
const SHORT_CHARS = 12;

/** What a frame is refused with that does not hold what its kind says. */
export function brokenMessage(why: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_BROKEN_MESSAGE",
    `A message of another process cannot be read, and is dropped: ${why}.`,
  );
}

export function isBrokenMessage(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && error.code === "HOLDFAST_ERR_BROKEN_MESSAGE";
}

export class FieldReader {
  readonly #buffer: Buffer;
  readonly #start: number;
  readonly #end: number;
  #at: number;

  /** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE`, as every method, for what is beyond the end */
  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#start = start;
    this.#end = end;
    this.#at = start;
    if (start > end) throw brokenMessage("it ends within its keys");
  }

  /** Whether all fields have been read. */
  get done(): boolean {
    return this.#at === this.#end;
  }

  /** How many bytes have not been read. */
  get left(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#buffer[this.#take(1)] as number;
  }

  u32(): number {
    return this.i32() >>> 0;
  }

  i32(): number {
    const at = this.#take(4);
    const buffer = this.#buffer;
    return (
      (buffer[at] as number) |
      ((buffer[at + 1] as number) << 8) |
      ((buffer[at + 2] as number) << 16) |
      ((buffer[at + 3] as number) << 24)
    );
  }

  f64(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  i64(): bigint {
    return this.#buffer.readBigInt64LE(this.#take(8));
  }

  /** Unsigned LEB128 of at most 32 bits. */
  count(): number {
    let count = 0;
    for (let factor = 1; factor <= 2 ** 28; factor *= 2 ** 7) {
      const byte = this.u8();
      count += (byte & 0x7f) * factor;
      if (byte < 0x80) return count;
    }
    throw brokenMessage("a count has no end");
  }

  u64(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }

  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** A reader of the next `length` bytes, which this one skips. */
  part(length: number): FieldReader {
    const at = this.#take(length);
    return new FieldReader(this.#buffer, at, at + length);
  }

  /** Everything that is left. */
  rest(): Buffer {
    return this.bytes(this.left);
  }

  /** `length` bytes that begin `fromEnd` bytes before the frame's end, wherever the reader is. */
  tail(fromEnd: number, length: number): Buffer {
    const at = this.#end - fromEnd;
    if (at < this.#start || length > fromEnd) throw brokenMessage("a place is outside of it");
    return this.#buffer.subarray(at, at + length);
  }

  text(): string {
    const length = this.u32();
    const at = this.#take(length);
    return this.#buffer.toString("utf8", at, at + length);
  }

  /** Characters of a byte each. */
  latin1(length: number): string {
    const at = this.#take(length);
    const end = at + length;
    if (length > SHORT_CHARS) return this.#buffer.toString("latin1", at, end);
    const buffer = this.#buffer;
    let text = "";
    let i = at;
    for (; i + 4 <= end; i += 4) {
      text += fromCharCode(
        buffer[i] as number,
        buffer[i + 1] as number,
        buffer[i + 2] as number,
        buffer[i + 3] as number,
      );
    }
    for (; i < end; i++) text += fromCharCode(buffer[i] as number);
    return text;
  }

  /** Code units of two bytes each. */
  utf16(length: number): string {
    const at = this.#take(2 * length);
    return this.#buffer.toString("utf16le", at, at + 2 * length);
  }

  skip(bytes: number): this {
    this.#take(bytes);
    return this;
  }

  /** A number of 32 bits that stands for the next `length` bytes, few of which it looks at. */
  hash(length: number): number {
    if (length > this.left || length === 0) return 0;
    const [buffer, at] = [this.#buffer, this.#at];
    const [first, middle, last] = [
      buffer[at + 1] as number,
      buffer[at + (length >>> 1)] as number,
      buffer[at + length - 1] as number,
    ];
    return (length * 31) ^ ((buffer[at + 2] as number) * 17) ^ (first * 7) ^ (middle * 5) ^ last;
  }

  /** Where the reader is. */
  get position(): number {
    return this.#at;
  }

  /** What has been read since the reader was at `position`. */
  since(position: number): Buffer {
    return this.#buffer.subarray(position, this.#at);
  }

  /** Skips `bytes` if they come next. @returns whether they did */
  skipIfSame(bytes: Uint8Array): boolean {
    const { length } = bytes;
    if (length > this.#end - this.#at) return false;
    for (let i = 0; i < length; i++) if (this.#buffer[this.#at + i] !== bytes[i]) return false;
    this.#at += length;
    return true;
  }

  /**
   * Names of rooms; each is what it was at the sender, as its type need not say.
   * @param share gives the string to keep for one that was read
   */
  names(share?: (name: string) => string): Set<string> {
    const names = new Set<string>();
    for (let count = this.u32(); count > 0; count--) {
      const name = this.#name();
      names.add(share ? share(name) : name);
    }
    return names;
  }

  #name(): string {
    const head = this.u32();
    const length = nameBytes(head);
    const start = this.#take(length);
    const kind = nameKind(head);
    if (kind === NameKind.text) return this.#buffer.toString("utf8", start, this.#at);
    if (kind === NameKind.utf16) return this.#buffer.toString("utf16le", start, this.#at);
    return this.#literal(kind, this.#buffer.toString("latin1", start, this.#at)) as string;
  }

  #literal(kind: number, text: string): unknown {
    try {
      return nameValue(kind, text);
    } catch {
      throw brokenMessage("a name is none");
    }
  }

  /** Goes on by `bytes`. @returns where they begin */
  #take(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#end - at) throw brokenMessage("it ends too early");
    this.#at = at + bytes;
    return at;
  }
}

const { fromCharCode } = String;
