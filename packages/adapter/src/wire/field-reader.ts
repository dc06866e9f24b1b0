/** Reads the fields of a frame in order, as `Outbox` wrote them. Runs in: primary and workers. */
import { NameKind, nameBytes, nameKind, nameValue } from "./names.js";

export class FieldReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  /** Whether all fields have been read. */
  get done(): boolean {
    return this.#at >= this.#end;
  }

  u8(): number {
    return this.#buffer[this.#at++] as number;
  }

  u32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32LE(this.#at - 4);
  }

  u64(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }

  bytes(length: number): Buffer {
    this.#at += length;
    return this.#buffer.subarray(this.#at - length, this.#at);
  }

  /** Everything that is left. */
  rest(): Buffer {
    return this.bytes(this.#end - this.#at);
  }

  /** `length` bytes that begin `fromEnd` bytes before the frame's end, wherever the reader is. */
  tail(fromEnd: number, length: number): Buffer {
    return this.#buffer.subarray(this.#end - fromEnd, this.#end - fromEnd + length);
  }

  text(): string {
    const length = this.u32();
    this.#at += length;
    return this.#buffer.toString("utf8", this.#at - length, this.#at);
  }

  skip(bytes: number): this {
    this.#at += bytes;
    return this;
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

  /** Names of rooms; each is what it was at the sender, as its type need not say. */
  names(): Set<string> {
    const names = new Set<string>();
    for (let count = this.u32(); count > 0; count--) names.add(this.#name());
    return names;
  }

  #name(): string {
    const head = this.u32();
    const start = this.#at;
    this.#at += nameBytes(head);
    const kind = nameKind(head);
    if (kind === NameKind.text) return this.#buffer.toString("utf8", start, this.#at);
    if (kind === NameKind.utf16) return this.#buffer.toString("utf16le", start, this.#at);
    return nameValue(kind, this.#buffer.toString("latin1", start, this.#at)) as string;
  }
}
