/**
 * An answer on its way to the client.
 * Owns: nothing; writes to the client's response. Runs in: workers.
 *
 * Whatever an owner has sent, nothing here throws: the client gets a whole answer, or its connection is closed.
 */
import { type ServerResponse, STATUS_CODES } from "node:http";
import { answerFields } from "./header-fields.js";

/** The forwarder's own answers. */
type OwnStatus = 400 | 502 | 503;

/** Text of the forwarder's own answers. */
const REASONS: Readonly<Record<OwnStatus, string>> = {
  400: "The request cannot be passed on.",
  502: "The process that holds this session ended before it had answered.",
  503: "The process that holds this session cannot be reached now.",
};
const RETRY_AFTER_SECONDS = 1;

export class Answer {
  readonly #response: ServerResponse;
  readonly #isHttp2: boolean;
  /** One listener for the whole answer. */
  #onDrain: (() => void) | undefined;

  constructor(response: ServerResponse, isHttp2: boolean) {
    this.#response = response;
    this.#isHttp2 = isHttp2;
  }

  /** Whether the client has got a part of it. */
  hasBegun(): boolean {
    return this.#response.headersSent;
  }

  /** @returns `false` if these cannot be the head of an answer, and then nothing was written */
  onHead(status: number, statusText: string, rawHeaders: readonly string[]): boolean {
    const response = this.#response;
    const fields = answerFields(rawHeaders, this.#isHttp2);
    try {
      // The owner's application has decided.
      response.sendDate = false;
      // HTTP/2 has no reason phrase, and Node.js warns of one.
      if (this.#isHttp2) response.writeHead(status, grouped(fields));
      else response.writeHead(status, statusText, fields);
      return true;
    } catch {
      return false;
    }
  }

  /** @returns `false` if more should wait for {@link whenDrained} */
  onBody(chunk: Buffer, last: boolean): boolean {
    if (!this.#isWritable()) return true;
    try {
      if (!last) return this.#response.write(chunk);
      this.#response.end(chunk);
    } catch {
      this.cut();
    }
    return true;
  }

  whenDrained(resume: () => void): void {
    if (!this.#onDrain) this.#response.on("drain", () => this.#onDrain?.());
    this.#onDrain = resume;
  }

  onEnd(trailers: readonly [string, string][]): void {
    if (!this.#isWritable()) return;
    try {
      if (trailers.length > 0) this.#addTrailers(trailers);
      this.#response.end();
    } catch {
      this.cut();
    }
  }

  /** Answers in place of the owner. */
  fail(status: OwnStatus): void {
    const response = this.#response;
    if (response.headersSent || !this.#isWritable()) return this.cut();
    const text = `${REASONS[status]}\n`;
    try {
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      response.sendDate = true;
      response.writeHead(status, {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": text.length,
        ...(status === 503 && { "Retry-After": RETRY_AFTER_SECONDS }),
      });
      response.end(text);
    } catch {
      this.cut();
    }
  }

  /** Closes the client's connection. */
  cut(): void {
    this.#response.destroy();
  }

  #isWritable(): boolean {
    return !this.#response.writableEnded && !this.#response.destroyed;
  }

  #addTrailers(trailers: readonly [string, string][]): void {
    try {
      this.#response.addTrailers(trailers);
    } catch {
      // A field that nobody could have sent; the answer is whole without it.
    }
  }
}

/** The forwarder's answer as bytes, for an upgrade, whose connection has no response. */
export function ownAnswer(status: OwnStatus): string {
  const text = `${REASONS[status]}\n`;
  const retry = status === 503 ? `Retry-After: ${RETRY_AFTER_SECONDS}\r\n` : "";
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${retry}Connection: close\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`
  );
}

/** Fields by name, each with all of its values: what HTTP/2 takes. */
function grouped(fields: readonly string[]): Record<string, string[]> {
  const byName: Record<string, string[]> = Object.create(null);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    byName[name] ??= [];
    byName[name].push(fields[i + 1] as string);
  }
  return byName;
}
