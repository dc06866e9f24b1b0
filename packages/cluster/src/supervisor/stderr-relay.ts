/**
 * A process's stderr, to which that of its children goes on. It may break: a disk is full, the reader of a pipe is gone, a
 * terminal is closed. That ends nobody. It may be slow: then the children are not read, and keep what they write themselves.
 * Owns: the listeners on it, while there are children, or anything of them is still to be written. Runs in: primary.
 */
import type { Readable, Writable } from "node:stream";

/** What it needs of a stream. */
export type Target = Pick<Writable, "write" | "on" | "off">;

export class StderrRelay {
  readonly #target: Target;
  readonly #sources = new Set<Readable>();
  #isFull = false;
  #isListening = false;
  /** How much of what it has written waits, or may fail yet. */
  #pending = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  add(source: Readable): void {
    this.#listen();
    this.#sources.add(source);
    source.once("close", () => {
      this.#sources.delete(source);
      this.#rest();
    });
    source.on("data", (chunk: Buffer) => this.#write(chunk));
    if (this.#isFull) source.pause();
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#target.on("error", this.#onRoom).on("drain", this.#onRoom);
  }

  /** What waits to be written may fail yet. */
  #rest(): void {
    if (!this.#isListening || this.#sources.size > 0 || this.#pending > 0) return;
    this.#isListening = false;
    this.#isFull = false;
    this.#target.off("error", this.#onRoom).off("drain", this.#onRoom);
  }

  #write(chunk: Buffer): void {
    this.#pending += 1;
    try {
      // After the listeners of an error have been called.
      this.#isFull = !this.#target.write(chunk, () => setImmediate(this.#onWritten));
    } catch {
      // Some versions of Node.js throw what others tell as an event. What is written next may be taken again.
      this.#onWritten();
      return;
    }
    if (this.#isFull) for (const source of this.#sources) source.pause();
  }

  readonly #onWritten = (): void => {
    this.#pending -= 1;
    this.#rest();
  };

  /** After an error as well: what waited is lost. */
  readonly #onRoom = (): void => {
    if (!this.#isFull) return;
    this.#isFull = false;
    for (const source of this.#sources) source.resume();
  };
}
