/**
 * Reads the answers of an owner: HTTP/1.1 as `node:http` writes it, or whatever the application writes past it.
 * Owns: the state of one answer; no I/O. Runs in: workers.
 *
 * `http.request()` would do it too, at more than twice the cost of the rest of a relay.
 */

/** What an answer consists of, in order: `onHead` once, `onBody` for each part, `onEnd` once. */
export interface ResponseEvents {
  onHead(status: number, statusText: string, rawHeaders: string[]): void;
  /** `last`: nothing follows, so head, body and end can leave in one write. */
  onBody(chunk: Buffer, last: boolean): void;
  /**
   * @param reusable whether the connection can carry another request
   * @param trailers fields after the body, as pairs of name and value
   */
  onEnd(reusable: boolean, trailers: readonly [string, string][]): void;
}

type State = "head" | "fixed" | "until-close" | "chunk-size" | "chunk" | "chunk-end" | "trailer" | "done";

/** Nothing limits what an application writes; a head or trailers beyond this are a mistake. */
const MAX_HEAD_BYTES = 1_048_576;
const MAX_LINE_BYTES = 65_536;
const STATUS_LINE = /^HTTP\/1\.1 ([1-9]\d\d)(?: (.*))?$/;
const LENGTH = /^\d{1,15}$/;
const CLOSE = /(^|,)\s*close\s*(,|$)/i;
const NOTHING = Buffer.alloc(0);

export class ResponseParser {
  readonly #events: ResponseEvents;
  readonly #isHead: boolean;
  // head → (fixed | until-close | chunk-size → chunk → chunk-end → … → trailer) → done
  #state: State = "head";
  #rest: Buffer = NOTHING;
  #missing = 0;
  #reusable = true;
  readonly #trailers: [string, string][] = [];
  #trailerBytes = 0;

  /** @param isHead the request's method was HEAD: the answer has no body, whatever its fields say */
  constructor(events: ResponseEvents, isHead: boolean) {
    this.#events = events;
    this.#isHead = isHead;
  }

  /** Takes bytes; `false` if they are no answer, and then nothing more may be given. */
  execute(bytes: Buffer): boolean {
    let input = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = NOTHING;
    while (this.#state !== "done") {
      const used = this.#step(input);
      if (used < 0) return false;
      input = input.subarray(used);
      // Every state but "head" may consume nothing only for want of bytes.
      if (used === 0) break;
    }
    this.#rest = input;
    // Without pipelining, nothing can follow an answer.
    return this.#state !== "done" || input.length === 0;
  }

  /** The owner has ended the connection; `false` if that cuts the answer. */
  finish(): boolean {
    if (this.#state !== "until-close") return this.#state === "done";
    this.#end();
    return true;
  }

  /** Consumes the start of `input`: how many bytes, 0 for want of more, -1 if it is malformed. */
  #step(input: Buffer): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(input);
      case "fixed":
      case "chunk":
        return this.#readBody(input);
      case "until-close":
        if (input.length > 0) this.#events.onBody(input, false);
        return input.length;
      default:
        return this.#readLine(input);
    }
  }

  #readHead(input: Buffer): number {
    const end = input.indexOf("\r\n\r\n");
    if (end < 0) return input.length > MAX_HEAD_BYTES ? -1 : 0;
    const [first = "", ...lines] = input.toString("latin1", 0, end).split("\r\n");
    const match = STATUS_LINE.exec(first);
    if (!match) return -1;
    const status = Number(match[1]);
    // Only an upgrade may be answered with 101, and upgrades are not read here.
    if (status === 101) return -1;
    // 100 Continue and the like: the answer is still to come.
    if (status < 200) return end + 4;
    const fields = readFields(lines);
    if (!fields) return -1;
    if (fields.closes) this.#reusable = false;
    // A length beside chunks would be another one than the client gets.
    const headers = fields.isChunked ? without(fields.headers, "content-length") : fields.headers;
    this.#events.onHead(status, match[2] ?? "", headers);
    this.#enterBody(status, fields.length, fields.isChunked);
    return end + 4;
  }

  #enterBody(status: number, length: number, isChunked: boolean): void {
    const isBodyless = this.#isHead || status === 204 || status === 304;
    if (isBodyless || (!isChunked && length === 0)) this.#end();
    else if (isChunked) this.#state = "chunk-size";
    else if (length > 0) {
      this.#state = "fixed";
      this.#missing = length;
    } else {
      this.#state = "until-close";
      this.#reusable = false;
    }
  }

  #readBody(input: Buffer): number {
    const used = Math.min(input.length, this.#missing);
    if (used === 0) return 0;
    this.#missing -= used;
    const isWhole = this.#missing === 0;
    const isFixed = this.#state === "fixed";
    this.#events.onBody(used === input.length ? input : input.subarray(0, used), isFixed && isWhole);
    if (isFixed && isWhole) this.#end();
    else if (isWhole) this.#state = "chunk-end";
    return used;
  }

  /** Chunk sizes, the line ends after chunks, and trailers. */
  #readLine(input: Buffer): number {
    const end = input.indexOf("\r\n");
    if (end < 0) return input.length > MAX_LINE_BYTES ? -1 : 0;
    const line = input.toString("latin1", 0, end);
    if (this.#state === "chunk-end") {
      if (line !== "") return -1;
      this.#state = "chunk-size";
    } else if (this.#state === "trailer") {
      if (line === "") this.#end();
      else if (!this.#readTrailer(line)) return -1;
    } else {
      if (!/^[0-9a-fA-F]{1,12}(;.*)?$/.test(line)) return -1;
      this.#missing = Number.parseInt(line, 16);
      this.#state = this.#missing === 0 ? "trailer" : "chunk";
    }
    return end + 2;
  }

  #readTrailer(line: string): boolean {
    const colon = line.indexOf(":");
    this.#trailerBytes += line.length;
    if (colon <= 0 || this.#trailerBytes > MAX_HEAD_BYTES) return false;
    this.#trailers.push([line.slice(0, colon), line.slice(colon + 1).trim()]);
    return true;
  }

  #end(): void {
    this.#state = "done";
    this.#events.onEnd(this.#reusable, this.#trailers);
  }
}

interface Fields {
  readonly headers: string[];
  /** -1 if there is none. */
  readonly length: number;
  readonly isChunked: boolean;
  readonly closes: boolean;
}

/** `undefined` if they are malformed. */
function readFields(lines: readonly string[]): Fields | undefined {
  const headers: string[] = [];
  let length: string | undefined;
  let isChunked = false;
  let closes = false;
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon <= 0) return undefined;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    headers.push(name, value);
    const key = name.toLowerCase();
    if (key === "content-length") {
      if (!LENGTH.test(value) || (length !== undefined && length !== value)) return undefined;
      length = value;
    } else if (key === "transfer-encoding") isChunked = /(^|[\s,])chunked$/i.test(value);
    else if (key === "connection") closes ||= CLOSE.test(value);
  }
  return { headers, length: length === undefined ? -1 : Number(length), isChunked, closes };
}

function without(headers: readonly string[], key: string): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)]?.toLowerCase() !== key);
}
