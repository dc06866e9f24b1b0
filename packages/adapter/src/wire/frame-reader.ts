/**
 * Cuts a stream of bytes into frames.
 * Owns: the bytes of a frame that is not complete yet. Runs in: primary and workers.
 */

import { HoldfastError } from "../errors.js";
import { BATCH_BYTES, batchBuffers } from "./batch-buffers.js";
import { frameLength, HEADER_BYTES } from "./frame.js";

/** Gets a complete frame. */
export type OnFrame = (buffer: Buffer, start: number, end: number) => void;

export interface FrameReaderOptions {
  /**
   * Frames of up to {@link REUSED_BYTES} are passed on in the memory that they were read into, which is
   * overwritten after `push()`: for receivers that copy what they need. Otherwise frames may be kept.
   * @default false
   */
  readonly inPlace?: boolean;
}

/** Memory for more than this is never used twice. */
export const REUSED_BYTES = BATCH_BYTES;
const LENGTH_BYTES = 4;

export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #maxBytes: number;
  readonly #inPlace: boolean;
  /** The first bytes of a length field that was cut. */
  readonly #head = Buffer.alloc(LENGTH_BYTES);
  #headBytes = 0;
  /** The frame that is being put together: it has `#frameBytes` of `#frameSize`. */
  #frame: Buffer | undefined;
  #frameSize = 0;
  #frameBytes = 0;
  /** Where cut frames are put together in turns: one `push()` may complete one and begin the next. */
  #assembly: Buffer | undefined;
  #nextAssembly: Buffer | undefined;

  constructor(onFrame: OnFrame, maxBytes: number, { inPlace = false }: FrameReaderOptions = {}) {
    this.#onFrame = onFrame;
    this.#maxBytes = maxBytes;
    this.#inPlace = inPlace;
  }

  /**
   * @param chunk may be overwritten afterwards
   * @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_FRAME`; the stream is useless from then on
   */
  push(chunk: Buffer): void {
    const from = this.#completeCutFrame(chunk);
    const to = this.#endOfWholeFrames(chunk, from);
    if (this.#inPlace) this.#give(chunk, from, to);
    else if (to > from) this.#give(copyOf(chunk, from, to), 0, to - from);
    if (to < chunk.length) this.#keep(chunk, to);
  }

  #endOfWholeFrames(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    while (length - at >= LENGTH_BYTES) {
      const size = frameLength(chunk, at);
      if (size > length - at || !this.#isPossible(size)) break;
      at += size;
    }
    return at;
  }

  #give(buffer: Buffer, from: number, to: number): void {
    for (let at = from; at < to; ) {
      const end = at + frameLength(buffer, at);
      this.#onFrame(buffer, at, end);
      at = end;
    }
  }

  /** Continues a frame that began in an earlier chunk; returns where the next one begins. */
  #completeCutFrame(chunk: Buffer): number {
    let at = 0;
    if (this.#headBytes > 0) {
      at = chunk.copy(this.#head, this.#headBytes, 0, LENGTH_BYTES - this.#headBytes);
      this.#headBytes += at;
      if (this.#headBytes < LENGTH_BYTES) return at;
      this.#begin(this.#head, 0);
      this.#headBytes = 0;
    }
    const frame = this.#frame;
    if (!frame) return at;
    const end = Math.min(chunk.length, at + this.#frameSize - this.#frameBytes);
    this.#frameBytes += chunk.copy(frame, this.#frameBytes, at, end);
    if (this.#frameBytes < this.#frameSize) return end;
    this.#frame = undefined;
    this.#onFrame(frame, 0, this.#frameSize);
    return end;
  }

  #keep(chunk: Buffer, at: number): void {
    if (chunk.length - at >= LENGTH_BYTES) this.#begin(chunk, at);
    else this.#headBytes = chunk.copy(this.#head, 0, at);
  }

  /** The frame's length is at `at` of `source`, and maybe more of it. */
  #begin(source: Buffer, at: number): void {
    this.#frameSize = this.#check(frameLength(source, at));
    this.#frame = this.#memoryFor(this.#frameSize);
    this.#frameBytes = source.copy(this.#frame, 0, at);
  }

  #memoryFor(size: number): Buffer {
    if (!this.#inPlace || size > REUSED_BYTES) return Buffer.allocUnsafe(size);
    const memory = this.#nextAssembly ?? batchBuffers.take();
    this.#nextAssembly = this.#assembly;
    this.#assembly = memory;
    return memory;
  }

  #isPossible(size: number): boolean {
    return size >= HEADER_BYTES && size <= this.#maxBytes;
  }

  #check(size: number): number {
    if (this.#isPossible(size)) return size;
    throw new HoldfastError(
      "HOLDFAST_ERR_BROKEN_FRAME",
      `A frame of ${size} bytes arrived; between ${HEADER_BYTES} and ${this.#maxBytes} are possible. ` +
        "Something else writes to the link's file descriptor.",
    );
  }
}

function copyOf(chunk: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafe(to - from);
  chunk.copy(copy, 0, from, to);
  return copy;
}
