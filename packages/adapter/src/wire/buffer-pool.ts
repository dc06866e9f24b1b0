/**
 * Memory of one size that is used again and again: for every few dozen large buffers that are thrown away, V8 marks the
 * whole heap, and what is new has to be mapped page by page.
 * Owns: the buffers that nobody uses, so many at most. Runs in: primary and workers.
 */
export class BufferPool {
  readonly #bytes: number;
  readonly #maxFree: number;
  readonly #free: Buffer[] = [];

  constructor(bytes: number, maxFree: number) {
    this.#bytes = bytes;
    this.#maxFree = maxFree;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Nobody will read what is in it. Other sizes are left to the collector. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.#bytes && this.#free.length < this.#maxFree) this.#free.push(buffer);
  }
}
