/**
 * Whose connection it is: addresses as the balancer compares them.
 * Owns: nothing; pure. Runs in: primary.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

const IPV4_MAPPED = "::ffff:";

/**
 * The form under which addresses count as one client: IPv4-mapped ones as IPv4, IPv6 ones by their prefix.
 * What is not an address stays as it is.
 */
export function clientKey(address: string, ipv6PrefixLength: number): string {
  if (!address.includes(":")) return address;
  if (address.startsWith(IPV4_MAPPED) && address.includes(".")) return address.slice(IPV4_MAPPED.length);
  const parsed = parseAddress(address);
  if (!parsed) return address;
  if (parsed.kind() === "ipv4") return parsed.toString();
  const bytes = parsed.toByteArray();
  return bytes.map((byte, i) => byte & prefixMask(ipv6PrefixLength - 8 * i)).join(".");
}

function prefixMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
}

/** IPv4-mapped addresses as IPv4. */
export function parseAddress(text: string): Address | undefined {
  const zone = text.indexOf("%");
  const bare = zone < 0 ? text : text.slice(0, zone);
  return isIP(bare) === 0 ? undefined : ipaddr.process(bare);
}
