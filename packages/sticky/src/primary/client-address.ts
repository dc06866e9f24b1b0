/**
 * Whose connection it is: addresses as the balancer compares them, and what trusted proxies report.
 * Owns: nothing; pure. Runs in: primary.
 */
import ipaddr from "ipaddr.js";
import { HoldfastError } from "../errors.js";
import type { ForwardedHeader } from "../options.js";

/** Whether an address is a proxy's whose report is believed. */
export type IsTrusted = (address: string) => boolean;

const IPV4_MAPPED = "::ffff:";

/**
 * The form under which addresses count as one client: IPv4-mapped ones as IPv4, IPv6 ones by their prefix.
 * What is not an address stays as it is.
 */
export function clientKey(address: string, ipv6PrefixLength: number): string {
  if (!address.includes(":")) return address;
  if (address.startsWith(IPV4_MAPPED) && address.includes(".")) return address.slice(IPV4_MAPPED.length);
  const parsed = parse(address);
  if (!parsed) return address;
  if (parsed.kind() === "ipv4") return parsed.toString();
  const bytes = parsed.toByteArray();
  return bytes.map((byte, i) => byte & prefixMask(ipv6PrefixLength - 8 * i)).join(".");
}

function prefixMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
}

/** @param ranges addresses and CIDR ranges; checked here */
export function createTrust(ranges: readonly string[]): IsTrusted {
  const parsed = ranges.map((range) => {
    try {
      const cidr = ipaddr.isValidCIDR(range) ? ipaddr.parseCIDR(range) : undefined;
      if (cidr) return cidr;
      const address = ipaddr.process(range);
      return [address, address.kind() === "ipv4" ? 32 : 128] as [typeof address, number];
    } catch (cause) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        `Option "trustedProxies" of setupPrimary() must list IP addresses and CIDR ranges; "${range}" is neither.`,
        { cause },
      );
    }
  });
  return (address) => {
    const candidate = parse(address);
    return (
      candidate !== undefined &&
      parsed.some(([range, bits]) => {
        return candidate.kind() === range.kind() && candidate.match(range, bits);
      })
    );
  };
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
  const chain = header === "forwarded" ? forwardedFor(value) : value.split(",");
  let client = own;
  for (let i = chain.length - 1; i >= 0 && isTrusted(client); i--) {
    const address = withoutPort((chain[i] ?? "").trim());
    if (!ipaddr.isValid(address)) break;
    client = address;
  }
  return client;
}

const PAIR = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;\s]*)|([,;\s]+)/y;

/** The "for" parameter of each element of a "Forwarded" field; empty where there is none. */
function forwardedFor(value: string): string[] {
  const chain = [""];
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < value.length) {
    const match = PAIR.exec(value);
    if (!match) return [];
    const [, name, quoted = "", separators = ""] = match;
    for (const char of separators) if (char === ",") chain.push("");
    if (name?.toLowerCase() !== "for") continue;
    chain[chain.length - 1] = quoted.startsWith('"') ? quoted.slice(1, -1).replace(/\\(.)/g, "$1") : quoted;
  }
  return chain;
}

function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text);
  if (bracketed) return bracketed[1] ?? "";
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(":")) : text;
}

function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const zone = address.indexOf("%");
  const bare = zone < 0 ? address : address.slice(0, zone);
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined;
}
