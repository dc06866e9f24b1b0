/**
 * What a worker writes to stderr: it goes on to this process's stderr, and its end is kept.
 * Owns: that end. Runs in: primary.
 */
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";

/** How much is kept. */
const MAX_CHARS = 2_000;

export class LastWords {
  /** Settles when there is nothing more to come. */
  readonly ended: Promise<void>;
  #text = "";

  constructor(stderr: Readable | null | undefined) {
    this.ended = new Promise((resolve) => {
      if (!stderr) return resolve();
      stderr.once("close", resolve).on("error", () => {});
      // A chunk may end within a character.
      const decoder = new StringDecoder("utf8");
      stderr.on("data", (chunk: Buffer) => {
        process.stderr.write(chunk);
        this.add(decoder.write(chunk));
      });
    });
  }

  /** Without the colours that are for terminals. */
  get text(): string {
    return stripVTControlCharacters(this.#text).trim();
  }

  /** Also for what has no stderr to write to. */
  add(text: string): void {
    this.#text = (this.#text + text).slice(-MAX_CHARS);
  }
}
