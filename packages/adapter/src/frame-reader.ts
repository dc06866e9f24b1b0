/**
 * Cuts a stream of bytes into frames.
 * Owns: the bytes of a frame that is not complete yet. Runs in: primary and workers.
 */
import { HoldfastError } from "./errors.js";
import { frameLength, HEADER_BYTES } from "./frame.js";

/** Gets a complete frame; `buffer` may be kept, its bytes do not change. */
export type OnFrame = (buffer: Buffer, start: number, end: number) => void;

const LENGTH_BYTES = 4;

export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #maxBytes: number;
  /** The first bytes of a length field that was cut. */
  readonly #head = Buffer.alloc(LENGTH_BYTES);
  #headBytes = 0;
  /** The frame that is being put together; its size is known. */
  #frame: Buffer | undefined;
  #frameBytes = 0;

  constructor(onFrame: OnFrame, maxBytes: number) {
    this.#onFrame = onFrame;
    this.#maxBytes = maxBytes;
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_FRAME`; the stream is useless from then on */
  push(chunk: Buffer): void {
    const { length } = chunk;
    let at = this.#completeCutFrame(chunk);
    while (length - at >= LENGTH_BYTES) {
      const size = this.#check(frameLength(chunk, at));
      if (size > length - at) break;
      this.#onFrame(chunk, at, at + size);
      at += size;
    }
    if (at < length) this.#keep(chunk, at);
  }

  /** Continues a frame that began in an earlier chunk; returns where the next one begins. */
  #completeCutFrame(chunk: Buffer): number {
    let at = 0;
    if (this.#headBytes > 0) {
      at = chunk.copy(this.#head, this.#headBytes, 0, LENGTH_BYTES - this.#headBytes);
      this.#headBytes += at;
      if (this.#headBytes < LENGTH_BYTES) return at;
      this.#begin(this.#check(frameLength(this.#head, 0)), this.#head, 0);
      this.#headBytes = 0;
    }
    const frame = this.#frame;
    if (!frame) return at;
    const copied = chunk.copy(frame, this.#frameBytes, at);
    this.#frameBytes += copied;
    if (this.#frameBytes < frame.length) return at + copied;
    this.#frame = undefined;
    this.#onFrame(frame, 0, frame.length);
    return at + copied;
  }

  #keep(chunk: Buffer, at: number): void {
    if (chunk.length - at >= LENGTH_BYTES) this.#begin(frameLength(chunk, at), chunk, at);
    else this.#headBytes = chunk.copy(this.#head, 0, at);
  }

  #begin(size: number, source: Buffer, at: number): void {
    this.#frame = Buffer.allocUnsafe(size);
    this.#frameBytes = source.copy(this.#frame, 0, at);
  }

  #check(size: number): number {
    if (size >= HEADER_BYTES && size <= this.#maxBytes) return size;
    throw new HoldfastError(
      "HOLDFAST_ERR_BROKEN_FRAME",
      `A frame of ${size} bytes arrived; between ${HEADER_BYTES} and ${this.#maxBytes} are possible. ` +
        "Something else writes to the link's file descriptor.",
    );
  }
}
