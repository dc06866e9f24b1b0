/**
 * A process's stderr, to which that of its children goes on. It may break: a disk is full, the reader of a pipe is gone, a
 * terminal is closed. That ends nobody. It may be slow: then the children are not read, and wait for it as if it were theirs.
 * Owns: the listeners on it, while there are children. Runs in: primary.
 */
import type { Readable, Writable } from "node:stream";

/** What it needs of a stream. */
export type Target = Pick<Writable, "write" | "on" | "off">;

export class StderrRelay {
  readonly #target: Target;
  readonly #sources = new Set<Readable>();
  #isFull = false;

  constructor(target: Target) {
    this.#target = target;
  }

  add(source: Readable): void {
    if (this.#sources.size === 0) this.#target.on("error", this.#onRoom).on("drain", this.#onRoom);
    this.#sources.add(source);
    source.once("close", () => this.#remove(source));
    source.on("data", (chunk: Buffer) => this.#write(chunk));
    if (this.#isFull) source.pause();
  }

  #remove(source: Readable): void {
    this.#sources.delete(source);
    if (this.#sources.size > 0) return;
    this.#target.off("error", this.#onRoom).off("drain", this.#onRoom);
    this.#isFull = false;
  }

  #write(chunk: Buffer): void {
    try {
      this.#isFull = !this.#target.write(chunk);
    } catch {
      // Some versions of Node.js throw what others tell as an event. What is written next may be taken again.
      return;
    }
    if (this.#isFull) for (const source of this.#sources) source.pause();
  }

  /** After an error as well: what waited is lost. */
  readonly #onRoom = (): void => {
    if (!this.#isFull) return;
    this.#isFull = false;
    for (const source of this.#sources) source.resume();
  };
}
