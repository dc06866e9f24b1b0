/**
 * Which proxies are trusted, and what they report: the address of the client behind them.
 * Owns: nothing; pure. Runs in: primary.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { HoldfastError } from "../errors.js";
import type { ForwardedHeader } from "../options.js";
import { type Address, parseAddress } from "./client-key.js";

/** Whether an address is a proxy's whose report is believed. */
export type IsTrusted = (address: string) => boolean;

/** What of an IPv4-mapped address is not the IPv4 one. */
const MAPPED_BITS = 96;

/** Addresses whose leading bits are those of an address. */
type Range = readonly [address: Address, bits: number];

/** @param ranges addresses and CIDR ranges; checked here */
export function createTrust(ranges: readonly string[]): IsTrusted {
  const parsed = ranges.map((text) => {
    const range = parseRange(text);
    if (range) return range;
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'The option "trustedProxies" of setupPrimary() must list IP addresses and CIDR ranges, such as "10.1.2.3", ' +
        `"10.0.0.0/8" or "2001:db8::/32", not "${text}".`,
    );
  });
  return (text) => {
    const address = parseAddress(text);
    return address !== undefined && parsed.some((range) => contains(range, address));
  };
}

const RANGE = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/;

/** Reads what can only mean one thing; "10", "10.0.0" and "010.0.0.1" mean different addresses to different programs. */
function parseRange(text: string): Range | undefined {
  const [, bare = "", length] = RANGE.exec(text) ?? [];
  const family = isIP(bare);
  if (family === 0) return undefined;
  const width = family === 4 ? 32 : 128;
  const bits = length === undefined ? width : Number(length);
  const address = ipaddr.parse(bare);
  if (bits > width) return undefined;
  if (!(address instanceof ipaddr.IPv6) || !address.isIPv4MappedAddress()) return [address, bits];
  // Clients with such an address count as IPv4 ones. A range that has others, too, is neither.
  return bits < MAPPED_BITS ? undefined : [address.toIPv4Address(), bits - MAPPED_BITS];
}

function contains([start, bits]: Range, address: Address): boolean {
  return address.kind() === start.kind() && address.match(start, bits);
}

/**
 * The client's address by the reports of a chain of proxies: the last one that is not a trusted proxy's.
 * @param own address of the connection; it must be a trusted proxy's itself
 * @param value the header field's value, all fields of that name joined with commas
 */
export function reportedAddress(
  own: string,
  value: string,
  header: ForwardedHeader,
  isTrusted: IsTrusted,
): string {
  const chain = header === "forwarded" ? forwardedFor(value) : value.split(",").reverse();
  let client = own;
  for (const report of chain) {
    if (!isTrusted(client)) break;
    const address = withoutPort(report.trim());
    if (parseAddress(address) === undefined) break;
    client = address;
  }
  return client;
}

/**
 * The "for" parameter of each element of a "Forwarded" field, the last one first; empty where there is none. It is
 * read from its end, where trusted proxies write: what a client has sent stands before that, and may be malformed.
 * @see https://www.rfc-editor.org/rfc/rfc7239#section-4
 */
function* forwardedFor(value: string): Generator<string> {
  for (let end = value.length; end >= 0; ) {
    const start = startOfElement(value, end);
    yield start === undefined ? "" : forIn(value.slice(start, end));
    if (start === undefined) return;
    end = start - 1;
  }
}

/** Where the list element starts that ends before `end`; `undefined` if a quotation mark has no other. */
function startOfElement(value: string, end: number): number | undefined {
  let at = end;
  while (at > 0 && value[at - 1] !== ",") {
    at--;
    if (value[at] === '"') {
      at = openingQuote(value, at);
      if (at < 0) return undefined;
    }
  }
  return at;
}

/** Where the quoted string starts whose closing mark is at `closing`; -1 if nowhere. */
function openingQuote(value: string, closing: number): number {
  for (let at = closing - 1; at >= 0; at--) {
    if (value[at] !== '"') continue;
    let slashes = 0;
    while (value[at - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return at;
    at -= slashes;
  }
  return -1;
}

const PAIR = /\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;\s]*)\s*(?:;|$)/y;

/** The "for" parameter of an element; empty if it has none or is malformed. */
function forIn(element: string): string {
  let found = "";
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < element.length) {
    const [, name, quoted = ""] = PAIR.exec(element) ?? [];
    if (name === undefined) return "";
    if (name.toLowerCase() !== "for") continue;
    found = quoted.startsWith('"') ? quoted.slice(1, -1).replace(/\\(.)/g, "$1") : quoted;
  }
  return found;
}

function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text);
  if (bracketed) return bracketed[1] ?? "";
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(":")) : text;
}
