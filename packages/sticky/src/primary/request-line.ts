/**
 * Finds the request line at the start of a connection, however its bytes are cut.
 * Owns: nothing; pure. Runs in: primary.
 *
 * It is not an HTTP parser: it finds the request target, refuses what cannot be one, and leaves every other
 * judgement to the worker's parser. A wrong guess here would cost a relay, never a wrong answer.
 */

/** What a head is, as far as it was read. */
export type RequestLine =
  | { readonly kind: "incomplete" }
  | { readonly kind: "invalid" }
  | { readonly kind: "tls" }
  | { readonly kind: "http"; readonly target: string };

const INCOMPLETE: RequestLine = { kind: "incomplete" };
const INVALID: RequestLine = { kind: "invalid" };
const TLS: RequestLine = { kind: "tls" };

const CR = 0x0d;
const LF = 0x0a;
/** The first byte of a TLS record that carries a handshake message. */
const TLS_HANDSHAKE = 0x16;

// The longest method that Node's parser knows (and so any that can succeed) is far shorter.
const MAX_METHOD_LENGTH = 32;
const LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) +([^ ]+) +HTTP\/1\.[0-9]\r?$/;
const METHOD_START = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;

/**
 * Reads the request line of `head`.
 * @param from before this, there is no line feed: the length of what was read at the last, fruitless call
 */
export function readRequestLine(head: Buffer, from = 0): RequestLine {
  const first = head[0];
  if (first === undefined) return INCOMPLETE;
  if (first === TLS_HANDSHAKE) return TLS;
  // Empty lines before the request line are to be ignored (RFC 9112, section 2.2).
  let start = 0;
  while (head[start] === CR || head[start] === LF) start++;
  if (start === head.length) return INCOMPLETE;
  const end = head.indexOf(LF, Math.max(start, from));
  if (end < 0) return canBecomeHttp(head, start) ? INCOMPLETE : INVALID;
  const match = LINE.exec(head.toString("latin1", start, end));
  return match?.[2] === undefined ? INVALID : { kind: "http", target: match[2] };
}

/** Tells garbage from a request before its line is complete. */
function canBecomeHttp(head: Buffer, start: number): boolean {
  const text = head.toString("latin1", start, Math.min(head.length, start + MAX_METHOD_LENGTH + 1));
  const method = METHOD_START.exec(text)?.[0];
  if (method === undefined || method.length > MAX_METHOD_LENGTH) return false;
  return method.length === text.length || text[method.length] === " ";
}
