/**
 * What a worker writes to stderr: it goes on to this process's stderr, and its end is kept.
 * Owns: that end. Runs in: primary.
 */
import type { Readable } from "node:stream";

/** How much is kept. */
const MAX_CHARS = 2_000;

export class LastWords {
  /** Settles when there is nothing more to come. */
  readonly ended: Promise<void>;
  #text = "";

  constructor(stderr: Readable | null) {
    this.ended = new Promise((resolve) => {
      if (!stderr) return resolve();
      stderr.once("close", resolve).on("error", () => {});
      stderr.on("data", (chunk: Buffer) => {
        process.stderr.write(chunk);
        this.#text = (this.#text + chunk.toString("utf8")).slice(-MAX_CHARS);
      });
    });
  }

  get text(): string {
    return this.#text.trim();
  }

  /** For what has no stderr to write to. */
  add(text: string): void {
    this.#text = (this.#text + text).slice(-MAX_CHARS);
  }
}
