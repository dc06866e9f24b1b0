/**
 * What the router reads of a connection: as much as the options need, in this order: a PROXY header, the
 * request line, the header fields.
 * Owns: nothing; pure. Runs in: primary.
 */
import type { ForwardedHeader } from "../options.js";
import type { Peer } from "../wire/messages.js";
import { readProxyHeader } from "./proxy-protocol.js";
import { readRequestLine } from "./request-line.js";

export interface Head {
  readonly kind: "http" | "tls" | "unread" | "invalid" | "invalid-proxy-header";
  /** Request target of the first request. */
  readonly target?: string;
  /** Bytes of the PROXY header, which are not for the worker. */
  readonly skip: number;
  readonly peer: Peer | undefined;
  /** Value of the header field in which proxies report the client's address. */
  readonly forwarded?: string;
}

export interface HeadNeeds {
  readonly proxyProtocol: boolean;
  /** Whether the session id is wanted. */
  readonly requestLine: boolean;
  /** The header field that is wanted. */
  readonly headerField: ForwardedHeader | undefined;
}

/** Reads a head; `undefined` until there is enough. */
export type HeadReader = (bytes: Buffer, from: number) => Head | undefined;

/** `undefined` if nothing has to be read at all. */
export function createHeadReader(needs: HeadNeeds): HeadReader | undefined {
  if (needs.proxyProtocol) {
    return (bytes, from) => {
      const proxy = readProxyHeader(bytes);
      if (proxy.kind === "incomplete") return undefined;
      if (proxy.kind === "invalid") return { kind: "invalid-proxy-header", skip: 0, peer: undefined };
      const { length, peer } = proxy;
      return readAfter(bytes.subarray(length), Math.max(0, from - length), needs, length, peer);
    };
  }
  if (!needs.requestLine && needs.headerField === undefined) return undefined;
  return (bytes, from) => readAfter(bytes, from, needs, 0, undefined);
}

function readAfter(
  bytes: Buffer,
  from: number,
  needs: HeadNeeds,
  skip: number,
  peer: Peer | undefined,
): Head | undefined {
  if (!needs.requestLine && needs.headerField === undefined) return { kind: "unread", skip, peer };
  // With the whole head to read, the request line may have been complete before.
  const line = readRequestLine(bytes, needs.headerField === undefined ? from : 0);
  if (line.kind === "incomplete") return undefined;
  if (line.kind !== "http") return { kind: line.kind, skip, peer };
  const { kind, target } = line;
  if (needs.headerField === undefined) return { kind, target, skip, peer };
  const end = endOfHeaders(bytes, Math.max(0, from - 3));
  if (end < 0) return undefined;
  return {
    kind,
    target,
    skip,
    peer,
    forwarded: fieldValue(bytes.toString("latin1", 0, end), needs.headerField),
  };
}

/** Where the empty line after the header fields starts; -1 if it has not come. */
function endOfHeaders(bytes: Buffer, from: number): number {
  const strict = bytes.indexOf("\r\n\r\n", from);
  const lenient = bytes.indexOf("\n\n", from);
  if (strict < 0 || lenient < 0) return Math.max(strict, lenient);
  return Math.min(strict, lenient);
}

/** All values of a field, in order, joined with commas. */
function fieldValue(head: string, field: ForwardedHeader): string {
  const values: string[] = [];
  for (const line of head.split("\n")) {
    const colon = line.indexOf(":");
    if (colon === field.length && line.slice(0, colon).toLowerCase() === field)
      values.push(line.slice(colon + 1));
  }
  return values.join(",");
}
