/**
 * What a worker writes to stderr: it goes on to this process's stderr, and its end is kept.
 * Owns: that end. Runs in: primary.
 */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import { StderrRelay } from "./stderr-relay.js";

/** How much is kept. */
const MAX_CHARS = 2_000;

let relay: StderrRelay | undefined;

export class LastWords {
  /** Settles when there is nothing more to come. */
  readonly ended: Promise<void>;
  readonly #stderr: Readable | null | undefined;
  #text = "";

  constructor(stderr: Readable | null | undefined) {
    this.#stderr = stderr;
    this.ended = new Promise((resolve) => {
      if (!stderr) return resolve();
      stderr.once("close", resolve).on("error", () => {});
      // A chunk may end within a character.
      const decoder = new StringDecoder("utf8");
      stderr.on("data", (chunk: Buffer) => this.add(decoder.write(chunk)));
      relay ??= new StderrRelay(process.stderr);
      relay.add(stderr);
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

  /** The worker has ended. What it has left behind may write for long, and does not keep this process alive. */
  unref(): void {
    (this.#stderr as Socket | null | undefined)?.unref();
  }
}
