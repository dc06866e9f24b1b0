/**
 * What is on its way to one link: frames gathered over a turn of the event loop and written at its end.
 * Owns: the batch buffers in use and the flush that is scheduled. Runs in: primary and workers.
 *
 * Frames are either built here (`begin()` … `end()`) or relayed from a chunk that another link read.
 * Neighbouring frames of one chunk are relayed as one slice. All is copied into buffers that are used again
 * when the system has taken what is in them: a copy costs less than to have V8 mark the heap for new ones.
 * Only large slices are passed on as they are.
 *
 * Longer than other files: the hot path of everything that is sent stays in one place.
 */
import { BATCH_BYTES, batchBuffers } from "../wire/batch-buffers.js";
import { charCode } from "../wire/char-code.js";
import { HEADER_BYTES } from "../wire/frame.js";
import { REUSED_BYTES } from "../wire/frame-reader.js";
import { canTravel, NameKind, nameHead } from "../wire/names.js";
import type { Sink } from "./contract.js";

const LARGE_BYTES = 1024 * 1024;
const MAX_KEYS = 0xffff;
const SHORT_CHARS = 32;

export interface OutboxEvents {
  /** A flush begins: frames that were held back go with it. */
  onFlush?(): void;
  /** Everything has been handed to the sink, and so many bytes are pending there, which is not 0. */
  onFlushed?(pendingBytes: number): void;
}

export class Outbox {
  readonly #sink: Sink;
  readonly #events: OutboxEvents;
  readonly #flush = () => this.flush();
  #scheduled: NodeJS.Immediate | undefined;

  /** The batch: `[#from, #to)` is complete and not handed to the link. */
  #buffer = batchBuffers.take();
  #from = 0;
  #to = 0;
  /** Full buffers, in order, and how many bytes the system must have taken before each is free. */
  readonly #full: { readonly buffer: Buffer; readonly upTo: number }[] = [];
  /** Bytes that the link was ever given. */
  #given = 0;
  /** Slices that go before the batch. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;

  /** The slice of frames that are being relayed: `[#runFrom, #runTo)` of `#runChunk`. */
  #runChunk: Buffer | undefined;
  #runFrom = 0;
  #runTo = 0;

  /** The frame that is being built begins at `#to` and has reached `#at`. */
  #at = 0;
  #keys = 0;

  /** Frames and bytes that went this way, for `stats()`. */
  frames = 0;
  bytes = 0;

  constructor(sink: Sink, events: OutboxEvents = {}) {
    this.#sink = sink;
    this.#events = events;
  }

  /** Bytes that wait here or in the sink. */
  get backlogBytes(): number {
    return this.#gatheredBytes + this.#sink.pendingBytes;
  }

  /** Whether nothing waits for the next flush. */
  get isFlushed(): boolean {
    return this.#gatheredBytes === 0;
  }

  get #gatheredBytes(): number {
    return this.#chunkBytes + (this.#to - this.#from) + (this.#runTo - this.#runFrom);
  }

  /**
   * Passes on `[start, end)` of `chunk`, which holds whole frames. If that is of {@link REUSED_BYTES} or
   * less, it may be overwritten after the next call of {@link endRun}; otherwise it may not.
   */
  relay(chunk: Buffer, start: number, end: number): void {
    this.frames++;
    this.bytes += end - start;
    if (chunk === this.#runChunk && start === this.#runTo) {
      this.#runTo = end;
      return;
    }
    this.endRun();
    this.#runChunk = chunk;
    this.#runFrom = start;
    this.#runTo = end;
    this.#schedule();
  }

  /** Starts a frame; keys come next, then the fields of its kind. */
  begin(kind: number, flags: number, namespaceId: number): void {
    this.endRun();
    this.#at = this.#to;
    this.#keys = 0;
    this.#room(HEADER_BYTES);
    const buffer = this.#buffer;
    const at = this.#at;
    buffer[at + 4] = kind;
    buffer[at + 5] = flags;
    this.#putU32(at + 8, namespaceId);
    this.#at = at + HEADER_BYTES;
  }

  /** @returns false when a frame cannot hold more keys */
  key(key: number): boolean {
    if (this.#keys === MAX_KEYS) return false;
    this.#keys++;
    this.u32(key);
    return true;
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.#at++] = value;
  }

  u32(value: number): void {
    this.#room(4);
    this.#putU32(this.#at, value);
    this.#at += 4;
  }

  /** @param value at most 2 ** 53 */
  u64(value: number): void {
    this.u32(value % 2 ** 32);
    this.u32(Math.floor(value / 2 ** 32));
  }

  u32s(values: Uint32Array): void {
    this.#room(values.length * 4);
    for (let i = 0; i < values.length; i++) {
      this.#putU32(this.#at, values[i] as number);
      this.#at += 4;
    }
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Text of known length, a byte for each character. */
  latin1(text: string): void {
    this.#room(text.length);
    this.#buffer.write(text, this.#at, "latin1");
    this.#at += text.length;
  }

  text(text: string): void {
    this.#room(4 + text.length * 3);
    const length = this.#putShort(text, this.#at + 4) || this.#buffer.write(text, this.#at + 4);
    this.#putU32(this.#at, length);
    this.#at += 4 + length;
  }

  /**
   * Most names are short and ASCII: then this is faster than a call out of JavaScript.
   * @returns 0 where they are not
   */
  #putShort(text: string, at: number): number {
    const { length } = text;
    if (length > SHORT_CHARS) return 0;
    const buffer = this.#buffer;
    for (let i = 0; i < length; i++) {
      const code = charCode(text, i);
      if (code > 0x7f) return 0;
      buffer[at + i] = code;
    }
    return length;
  }

  /** Names of rooms, each as what it is. Rooms that no other process can have are left out. */
  names(names: ReadonlySet<unknown>): void {
    let count = 0;
    for (const name of names) if (canTravel(name)) count++;
    this.u32(count);
    for (const name of names) {
      if (typeof name === "string") this.#name(name);
      else if (canTravel(name)) {
        const kind = typeof name === "number" ? NameKind.number : NameKind.literal;
        const text = String(name);
        this.u32(nameHead(kind, text.length));
        this.latin1(text);
      }
    }
  }

  #name(name: string): void {
    this.#room(4 + name.length * 3);
    const at = this.#at + 4;
    let kind: number = NameKind.text;
    let bytes = this.#putShort(name, at);
    if (bytes === 0 && name.length > 0) {
      if (!name.isWellFormed()) kind = NameKind.utf16;
      bytes = this.#buffer.write(name, at, kind === NameKind.utf16 ? "utf16le" : "utf8");
    }
    this.#putU32(this.#at, nameHead(kind, bytes));
    this.#at = at + bytes;
  }

  /** Size of the frame that is being built. */
  get builtBytes(): number {
    return this.#at - this.#to;
  }

  /** Completes the frame. */
  end(): void {
    const size = this.builtBytes;
    this.#putU32(this.#to, size);
    this.#buffer[this.#to + 6] = this.#keys;
    this.#buffer[this.#to + 7] = this.#keys >>> 8;
    this.#to = this.#at;
    this.frames++;
    this.bytes += size;
    this.#schedule();
  }

  /** Drops the frame that was begun. */
  abort(): void {
    this.#at = this.#to;
  }

  /** Hands everything to the link now. */
  flush(): void {
    this.#events.onFlush?.();
    if (this.#scheduled) {
      clearImmediate(this.#scheduled);
      this.#scheduled = undefined;
    }
    this.endRun();
    this.#write();
    const { pendingBytes } = this.#sink;
    this.#giveBackTaken();
    if (pendingBytes === 0) this.#reuse();
    if (pendingBytes > 0) this.#events.onFlushed?.(pendingBytes);
  }

  /** Takes back what waits for the next flush. @returns a copy */
  take(): Buffer {
    this.endRun();
    this.#endBatch();
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#chunkBytes = 0;
    return bytes;
  }

  /** Copies what is being relayed: its chunk may be overwritten. */
  endRun(): void {
    const chunk = this.#runChunk;
    if (!chunk) return;
    const [from, to] = [this.#runFrom, this.#runTo];
    const size = to - from;
    this.#runChunk = undefined;
    this.#runFrom = this.#runTo = 0;
    if (size <= REUSED_BYTES) {
      this.#at = this.#to;
      this.#room(size);
      chunk.copy(this.#buffer, this.#at, from, to);
      this.#to = this.#at + size;
    } else {
      this.#endBatch();
      this.#chunks.push(chunk.subarray(from, to));
      this.#chunkBytes += size;
    }
  }

  /** Forgets what is waiting. Nothing is written from now on. */
  discard(): void {
    if (this.#scheduled) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#runChunk = undefined;
    this.#runFrom = this.#runTo = 0;
    this.#from = this.#to;
    this.#full.length = 0;
  }

  /** Flushes at the end of this turn of the event loop. */
  schedule(): void {
    this.#scheduled ??= setImmediate(this.#flush);
  }

  /** `writeUInt32LE` without its checks: we know the range, and this is the hot path. */
  #putU32(at: number, value: number): void {
    const buffer = this.#buffer;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  #schedule(): void {
    // More than this does not wait for the end of the turn, so that memory stays small and the receiver can
    // start.
    if (this.#to - this.#from + this.#chunkBytes > BATCH_BYTES) this.flush();
    else this.schedule();
  }

  #endBatch(): void {
    if (this.#to === this.#from) return;
    this.#chunks.push(this.#buffer.subarray(this.#from, this.#to));
    this.#chunkBytes += this.#to - this.#from;
    this.#from = this.#to;
  }

  /** Hands what is complete to the link. */
  #write(): void {
    this.#endBatch();
    if (this.#chunks.length === 0) return;
    const chunks = this.#chunks;
    this.#given += this.#chunkBytes;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#sink.write(chunks);
  }

  /** What the system has taken at once can be overwritten; a large message leaves no large buffer behind. */
  #reuse(): void {
    this.#from = this.#to = 0;
    if (this.#buffer.length > LARGE_BYTES) this.#buffer = batchBuffers.take();
  }

  /** Makes room for `bytes` more of the frame at `#to`, which moves when the buffer is at its end. */
  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const begun = this.#at - this.#to;
    const old = this.#buffer;
    const frameFrom = this.#to;
    this.#write();
    if (this.#sink.pendingBytes > 0 || begun + bytes > old.length) {
      this.#buffer = this.#otherBuffer(begun + bytes);
    }
    old.copy(this.#buffer, 0, frameFrom, frameFrom + begun);
    this.#from = this.#to = 0;
    this.#at = begun;
  }

  /** A buffer to go on with, while what is in this one waits in the link. */
  #otherBuffer(bytes: number): Buffer {
    this.#full.push({ buffer: this.#buffer, upTo: this.#given });
    this.#giveBackTaken();
    return bytes <= BATCH_BYTES ? batchBuffers.take() : Buffer.allocUnsafeSlow(2 * bytes);
  }

  #giveBackTaken(): void {
    const taken = this.#given - this.#sink.pendingBytes;
    while (this.#full[0] && this.#full[0].upTo <= taken) {
      batchBuffers.giveBack((this.#full.shift() as { buffer: Buffer }).buffer);
    }
  }
}
