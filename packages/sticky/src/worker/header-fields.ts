/**
 * Heads of messages on their way through the forwarder.
 * Owns: nothing; pure. Runs in: workers.
 *
 * To the application it makes no difference which worker a connection came to. So a request's fields reach the owner
 * as they are, those of the connection included: the worker that relays is no proxy. Only what it is, an upgrade or none,
 * and how long its body is, is said so that every parser understands the same. Of an answer's fields, those about the
 * connection between the workers stay behind.
 */
import type { IncomingMessage } from "node:http";
import { maxFieldsOf } from "../handle/node-internals.js";

const UPGRADE = /(^|,) *upgrade *(,|$)/i;
const PRINTABLE = /^[\x20-\x7e]*$/;

/**
 * Whether fields of a request may be missing here: of those beyond a number, Node.js drops all but what they mean to the
 * parser, such as a length of the body.
 */
function mayLackFields(request: IncomingMessage): boolean {
  if (request.httpVersionMajor > 1) return false;
  const kept = maxFieldsOf(request);
  return kept > 0 && request.rawHeaders.length >= 2 * kept;
}

/**
 * What has to follow the fields of an upgrade so that it is one to the next parser: what they lack as they go on. Some
 * were dropped, or have meant something on several lines only (obs-fold, RFC 9112, section 5.2), and go on in one.
 */
export function upgradeFields(request: IncomingMessage): readonly string[] {
  let lacksConnection = true;
  let lacksUpgrade = true;
  const { rawHeaders: raw } = request;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (name === "connection" && isCertainlyUpgrade(raw[i + 1] as string)) lacksConnection = false;
    if (name === "upgrade") lacksUpgrade = false;
  }
  return [
    ...(lacksConnection ? ["Connection", "Upgrade"] : []),
    ...(lacksUpgrade ? ["Upgrade", "unknown"] : []),
  ];
}

/** As strict as any parser: what only some take for it is said again. */
function isCertainlyUpgrade(connection: string): boolean {
  return PRINTABLE.test(connection) && UPGRADE.test(connection);
}

/** How the length of a request's body is told. */
export type Framing = "none" | "length" | "chunked";

/** How a request that is no upgrade goes on. */
export interface PlainRequest {
  readonly fields: readonly string[];
  readonly framing: Framing;
}

/** Of the names that matter. Few others are so long, and each request is looked at. */
const LENGTHS = new Set(
  ["upgrade", "connection", "proxy-connection", "content-length", "transfer-encoding"].map(
    ({ length }) => length,
  ),
);
/** `chunked` is the last coding, and all are tokens, some with parameters. */
const CHUNKED = /^([\w!#$%&'*+.^`|~;=-]+ *, *)*chunked$/i;

/**
 * How a request that is no upgrade goes on: with its own fields, but for what not every parser understands in one way.
 * Values come trimmed, those of several lines in one, some fields not at all, and parsers differ in what they do with the
 * rest. What may be an upgrade to one of them loses the line for that; a body whose length is told twice, or in an odd
 * way, or by a field that may be missing, goes on in chunks.
 */
export function plainRequest(request: IncomingMessage): PlainRequest {
  const { rawHeaders: raw } = request;
  let [mayUpgrade, hasUpgrade] = [false, false];
  let isClear = !mayLackFields(request);
  let lengths = 0;
  const codings: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const written = raw[i] as string;
    const name = written.trimEnd();
    if (!LENGTHS.has(name.length)) continue;
    const value = raw[i + 1] as string;
    switch (name.toLowerCase()) {
      case "upgrade":
        hasUpgrade = true;
        break;
      case "connection":
      case "proxy-connection":
        mayUpgrade ||= /upgrade/i.test(value);
        break;
      case "content-length":
        lengths++;
        isClear &&= name === written && /^\d+$/.test(value);
        break;
      case "transfer-encoding":
        codings.push(value);
        isClear &&= name === written && CHUNKED.test(value);
    }
  }
  const isFramed = lengths + codings.length > 0;
  isClear &&= lengths + codings.length < 2 && (isFramed || !mayHaveUnframedBody(request));
  const fields = mayUpgrade && hasUpgrade ? without(raw, ["upgrade"]) : raw;
  if (!isClear) return inChunks(fields, codings);
  return { fields, framing: codings.length > 0 ? "chunked" : isFramed ? "length" : "none" };
}

export function mayHaveBody({ method }: IncomingMessage): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** A body of HTTP/2 may come without a length. */
function mayHaveUnframedBody(request: IncomingMessage): boolean {
  return request.httpVersionMajor > 1 && mayHaveBody(request);
}

function inChunks(fields: readonly string[], codings: readonly string[]): PlainRequest {
  const others = without(fields, ["content-length", "transfer-encoding"]);
  // What the body is coded with otherwise is the application's to know.
  const list = codings.join(", ").replace(/[\t ]+/g, " ");
  const coding = CHUNKED.test(list) ? list : "chunked";
  return { fields: [...others, "Transfer-Encoding", coding], framing: "chunked" };
}

function without(raw: readonly string[], names: readonly string[]): readonly string[] {
  return raw.filter((_, i) => !names.includes((raw[i - (i % 2)] as string).trimEnd().toLowerCase()));
}

/**
 * Writes the head of a parsed request again, for a connection that changes the process in mid-request.
 * `undefined` if a part of it could end a line early; Node's parser lets no such part through.
 * @param more fields that are to follow its own
 * @param own what goes on of its own
 */
export function writeHead(
  request: IncomingMessage,
  more: readonly string[] = [],
  own: readonly string[] = request.rawHeaders,
): string | undefined {
  const version = request.httpVersion === "1.0" ? "1.0" : "1.1";
  let head = `${request.method} ${request.url} HTTP/${version}\r\n`;
  let lines = 1;
  for (const raw of [own, more]) {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      // Names that start with ":" are pseudo-header fields of HTTP/2.
      if ((raw[i] as string).startsWith(":")) continue;
      head += `${raw[i]}: ${raw[i + 1]}\r\n`;
      lines++;
    }
  }
  return countLineEnds(head) === lines ? `${head}\r\n` : undefined;
}

/** The trailer fields of a request, each on its line; without those that could end a line early. */
export function writeTrailers(raw: readonly string[]): string {
  let text = "";
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const line = `${raw[i]}: ${raw[i + 1]}\r\n`;
    if (countLineEnds(line) === 1) text += line;
  }
  return text;
}

function countLineEnds(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x0a) count++;
    else if (code === 0x0d && text.charCodeAt(i + 1) !== 0x0a) return -1;
  }
  return count;
}

const CLOSE = /(^|,)\s*close\s*(,|$)/i;
/** Fields that HTTP/2 does not have. */
const NOT_IN_HTTP2 = new Set(["connection", "upgrade", "http2-settings", "proxy-connection"]);

/**
 * The fields of an answer as the client is to get them, as `[name, value, name, value, …]`. Only the wish to close
 * the connection goes on to the client's.
 */
export function answerFields(raw: readonly string[], isHttp2: boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const key = name.toLowerCase();
    if (key === "keep-alive") continue;
    // Codings before "chunked" are still on the body; the chunks are made anew.
    if (key === "transfer-encoding" && (isHttp2 || value.toLowerCase() === "chunked")) continue;
    if (key === "connection" && (isHttp2 || !CLOSE.test(value))) continue;
    if (isHttp2 && NOT_IN_HTTP2.has(key)) continue;
    kept.push(name, key === "connection" ? "close" : value);
  }
  return kept;
}
