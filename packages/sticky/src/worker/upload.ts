/**
 * A request on its way to its owner, with its body.
 * Owns: what was sent first, as long as it can be sent again. Runs in: workers.
 *
 * The body is framed anew, as the parsed message tells: the client's framing ended at our parser.
 */
import type { IncomingMessage } from "node:http";
import { type Framing, writeTrailers } from "./header-fields.js";
import type { OwnerChannel } from "./owner-channel.js";

const NOTHING: Buffer = Buffer.alloc(0);
const CRLF = Buffer.from("\r\n");

export class Upload {
  readonly #request: IncomingMessage;
  readonly #framing: Framing;
  readonly #head: Buffer;
  #channel: OwnerChannel | undefined;
  /** The head and what came of the body with it; kept while nothing else was sent. */
  #opening: Buffer = NOTHING;
  /** Nothing follows the request. */
  #isLast = false;
  // waiting → head → body → sent; waiting, head, body → stopped
  // (head: nothing has left yet, since it leaves together with the first part of the body if that is there)
  #state: "waiting" | "head" | "body" | "sent" | "stopped" = "waiting";

  constructor(request: IncomingMessage, head: string, framing: Framing) {
    this.#request = request;
    this.#framing = framing;
    this.#head = Buffer.from(head, "latin1");
  }

  /** Sends it, or goes on sending after {@link rewind}. */
  sendTo(channel: OwnerChannel): void {
    this.#channel = channel;
    if (this.#state !== "waiting") {
      if (this.#opening.length > 0) channel.write(this.#opening);
      this.#endIfLast();
      this.#request.resume();
      return;
    }
    if (this.#framing === "none") {
      this.#state = "sent";
      this.#open(NOTHING);
      this.#endIfLast();
      this.#request.resume();
      return;
    }
    this.#state = "head";
    this.#request.on("data", this.#onData);
    this.#request.once("end", this.#onEnd);
    setImmediate(() => {
      // The owner may want to answer before the body comes.
      if (this.#state === "head") this.#open(NOTHING);
    });
    // Somebody may have read it all before.
    if (this.#request.readableEnded) this.#onEnd();
  }

  /** Whether all that was sent can be sent again, on another channel. Nothing is sent until then. */
  rewind(): boolean {
    const hasSent = this.#state === "body" || this.#state === "sent";
    if (this.#state === "stopped" || (hasSent && this.#opening.length === 0)) return false;
    this.#request.pause();
    this.#channel = undefined;
    return true;
  }

  /** The client has ended its side: so does the channel, after the request. */
  end(): void {
    this.#isLast = true;
    this.#endIfLast();
  }

  /** The channel has taken what was sent. */
  resume(): void {
    if (this.#state === "body") this.#request.resume();
  }

  /**
   * Sends no more; tells whether all was sent, and more can follow. What still comes of a body that was begun is read and
   * dropped.
   */
  stop(): boolean {
    if (this.#state === "sent") return !this.#isLast;
    if (this.#state === "head" || this.#state === "body") {
      this.#request.off("data", this.#onData);
      this.#request.off("end", this.#onEnd);
      this.#request.resume();
    }
    this.#state = "stopped";
    return false;
  }

  readonly #onData = (data: Buffer | string): void => {
    // Somebody may have called setEncoding().
    const chunk =
      typeof data === "string" ? Buffer.from(data, this.#request.readableEncoding ?? "utf8") : data;
    const part = this.#framing === "chunked" ? asChunk(chunk) : chunk;
    if (this.#state === "head") this.#open(part);
    else this.#write(part);
  };

  readonly #onEnd = (): void => {
    const last = this.#framing === "chunked" ? lastChunk(this.#request.rawTrailers) : NOTHING;
    if (this.#state === "head") this.#open(last);
    else if (last.length > 0) this.#write(last);
    this.#state = "sent";
    this.#endIfLast();
  };

  #endIfLast(): void {
    if (this.#isLast && this.#state === "sent") this.#channel?.end();
  }

  #open(part: Buffer): void {
    if (this.#state === "head") this.#state = "body";
    this.#opening = part.length === 0 ? this.#head : Buffer.concat([this.#head, part]);
    if (this.#channel?.write(this.#opening) === false) this.#request.pause();
  }

  #write(part: Buffer): void {
    if (!this.#channel) {
      this.#opening = Buffer.concat([this.#opening, part]);
      return;
    }
    // What is not kept cannot be sent again.
    this.#opening = NOTHING;
    if (!this.#channel.write(part)) this.#request.pause();
  }
}

function asChunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, CRLF]);
}

function lastChunk(rawTrailers: readonly string[]): Buffer {
  return Buffer.from(`0\r\n${writeTrailers(rawTrailers)}\r\n`, "latin1");
}
