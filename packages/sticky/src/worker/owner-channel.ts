/**
 * A connection to an owner's application: HTTP/1.1 over a stream, one request at a time.
 * Owns: the stream, and the state of the request on it. Runs in: workers.
 */
import type { LinkStream } from "./link-stream.js";
import { type ResponseEvents, ResponseParser } from "./response-parser.js";

/**
 * Why there is no complete answer.
 * `refused`: the owner has no such server any more; it has used nothing of the request.
 * `unused`: the connection was closed before the request reached it, as idle ones are after a while.
 * `cut`: the owner's application has closed the connection.
 * `lost`: the owner is gone. It may have executed the request.
 * `malformed`: what came is no answer.
 */
export type ExchangeFailure = "refused" | "unused" | "cut" | "lost" | "malformed";

export interface ExchangeEvents extends ResponseEvents {
  /** Called once, and nothing after it. */
  onFailure(why: ExchangeFailure): void;
  /** What was written has left. */
  onDrain(): void;
}

export class OwnerChannel {
  readonly #stream: LinkStream;
  #events: ExchangeEvents | undefined;
  #parser: ResponseParser | undefined;
  /** How many bytes had left before this request. */
  #sentBefore = 0;

  constructor(stream: LinkStream) {
    this.#stream = stream;
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("drain", () => this.#events?.onDrain());
    stream.on("end", () => this.#onEnd());
  }

  isUsable(): boolean {
    return !this.#stream.destroyed && this.#stream.ending === "none";
  }

  /** Starts a request, whose bytes can be written then. */
  use(events: ExchangeEvents, isHead: boolean): void {
    this.#events = events;
    this.#sentBefore = this.#stream.sentBytes;
    this.#parser = new ResponseParser(
      {
        onHead: (...head) => this.#events?.onHead(...head),
        onBody: (chunk, last) => this.#events?.onBody(chunk, last),
        onEnd: (...end) => {
          if (this.#events !== events) return;
          this.#finish();
          this.#stream.resume();
          events.onEnd(...end);
        },
      },
      isHead,
    );
  }

  /** Writes a part of the request; `false` if `onDrain` should be awaited. */
  write(part: Buffer): boolean {
    return this.#stream.write(part);
  }

  /** Nothing is written any more: to the owner's application, the client ends its side. */
  end(): void {
    this.#stream.end();
  }

  /** Tells the owner that this worker ends. */
  leave(): void {
    this.#stream.leave();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Gives up the request in hand, and with it the connection; nothing is called any more. */
  destroy(): void {
    this.#finish();
    this.#stream.destroy();
  }

  #onData(chunk: Buffer): void {
    const parser = this.#parser;
    // Nobody has asked for it, or more came than the answer.
    if (!parser) this.#stream.destroy();
    else if (!parser.execute(chunk)) this.#fail("malformed");
  }

  #onEnd(): void {
    if (this.#parser?.finish() === true) this.#stream.destroy();
    else this.#fail(this.#whyEnded());
  }

  #whyEnded(): ExchangeFailure {
    const { ending, usedByPeerBytes } = this.#stream;
    if (ending === "refused") return "refused";
    if (ending === "lost") return "lost";
    return ending === "reset" && usedByPeerBytes <= this.#sentBefore ? "unused" : "cut";
  }

  #fail(why: ExchangeFailure): void {
    const events = this.#events;
    this.destroy();
    events?.onFailure(why);
  }

  #finish(): void {
    this.#events = undefined;
    this.#parser = undefined;
  }
}
