/**
 * Heads of messages on their way through the forwarder.
 * Owns: nothing; pure. Runs in: workers.
 *
 * To the application it makes no difference which worker a connection came to. So a request's fields reach the owner
 * as they are, those of the connection included: the worker that relays is no proxy. Only that it is an upgrade, or is
 * none, is said so that every parser sees it. Of an answer's fields, those about the connection between the workers stay
 * behind.
 */
import type { IncomingMessage } from "node:http";
import { maxFieldsOf } from "../handle/node-internals.js";

/** As strict as any parser: what only some take for it is said again. */
const UPGRADE = /(^|,) *upgrade *(,|$)/i;

/**
 * Whether fields of a request may be missing here: of those beyond a number, Node.js drops all but what they mean to the
 * parser, such as a length of the body.
 */
export function mayLackFields(request: IncomingMessage): boolean {
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
    if (name === "connection" && UPGRADE.test(raw[i + 1] as string)) lacksConnection = false;
    if (isUpgradeField(name)) lacksUpgrade = false;
  }
  return [
    ...(lacksConnection ? ["Connection", "Upgrade"] : []),
    ...(lacksUpgrade ? ["Upgrade", "unknown"] : []),
  ];
}

/**
 * The fields of a request that is no upgrade. What only some parsers take for one goes on without the line that makes it
 * one: values come trimmed, and those of several lines in one.
 */
export function plainFields(raw: readonly string[]): readonly string[] {
  let isDoubtful = false;
  let hasUpgrade = false;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    // Few names are so long, and this runs for each request.
    if (name.length === 7 && isUpgradeField(name)) hasUpgrade = true;
    else if (name.length === 10 && name.toLowerCase() === "connection")
      isDoubtful ||= /upgrade/i.test(raw[i + 1] as string);
  }
  if (!isDoubtful || !hasUpgrade) return raw;
  return raw.filter((_, i) => !isUpgradeField(raw[i - (i % 2)] as string));
}

function isUpgradeField(name: string): boolean {
  return name.toLowerCase() === "upgrade";
}

/** How the length of a request's body is told. */
export type Framing = "none" | "length" | "chunked";

/** The framing that the fields of a request tell, by which its parser has gone. */
export function framingOf(raw: readonly string[]): Framing {
  let framing: Framing = "none";
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    // Few names are so long, and this runs for each request.
    if (name.length === 17 && name.toLowerCase() === "transfer-encoding") return "chunked";
    if (name.length === 14 && name.toLowerCase() === "content-length") framing = "length";
  }
  return framing;
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
