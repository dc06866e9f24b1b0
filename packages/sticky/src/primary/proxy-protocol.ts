/**
 * The PROXY protocol, versions 1 and 2, with which a load balancer tells the client's address.
 * Owns: nothing; pure. Runs in: primary.
 * @see https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */
import { isIPv4, isIPv6 } from "node:net";
import type { Peer } from "../wire/messages.js";
import { crc32c } from "./crc32c.js";

/** A PROXY header, as far as it was read. */
export type ProxyHeader =
  | { readonly kind: "incomplete" }
  | { readonly kind: "invalid" }
  /** `length` bytes; without `peer` the connection's own address counts (health checks, unknown families). */
  | { readonly kind: "header"; readonly length: number; readonly peer: Peer | undefined };

const INCOMPLETE: ProxyHeader = { kind: "incomplete" };
const INVALID: ProxyHeader = { kind: "invalid" };

const V1_START = Buffer.from("PROXY ");
const V1_MAX_LENGTH = 107;
const V1_TCP = /^PROXY TCP([46]) (\S{2,39}) (\S{2,39}) (\d{1,5}) (\d{1,5})$/;

const V2_START = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_LENGTH = 16;
const V2 = { version: 2, local: 0, proxy: 1 } as const;
/** Length of the address block by address family. */
const V2_ADDRESS_LENGTHS = { unspecified: 0, inet: 12, inet6: 36, unix: 216 } as const;
const FAMILIES = ["unspecified", "inet", "inet6", "unix"] as const;
const MAX_TRANSPORT = 2;
const TLV_CRC32C = 0x03;
const TLV_HEAD_LENGTH = 3;
const CRC_LENGTH = 4;

/** Reads the PROXY header that `head` must start with. */
export function readProxyHeader(head: Buffer): ProxyHeader {
  if (startsLike(head, V1_START)) return readV1(head);
  if (startsLike(head, V2_START)) return readV2(head);
  return INVALID;
}

function startsLike(head: Buffer, start: Buffer): boolean {
  const length = Math.min(head.length, start.length);
  return head.compare(start, 0, length, 0, length) === 0;
}

function readV1(head: Buffer): ProxyHeader {
  const end = head.subarray(0, V1_MAX_LENGTH).indexOf("\r\n");
  if (end < 0) return head.length < V1_MAX_LENGTH ? INCOMPLETE : INVALID;
  const line = head.toString("latin1", 0, end);
  const length = end + 2;
  if (line === "PROXY UNKNOWN" || line.startsWith("PROXY UNKNOWN "))
    return { kind: "header", length, peer: undefined };
  const match = V1_TCP.exec(line);
  if (!match) return INVALID;
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = match;
  const isAddress = family === "4" ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) return INVALID;
  if (Number(sourcePort) > 65_535 || Number(destinationPort) > 65_535) return INVALID;
  return { kind: "header", length, peer: { address: source, port: Number(sourcePort) } };
}

function readV2(head: Buffer): ProxyHeader {
  if (head.length < V2_FIXED_LENGTH) return INCOMPLETE;
  const command = head.readUInt8(12);
  const protocol = head.readUInt8(13);
  const length = V2_FIXED_LENGTH + head.readUInt16BE(14);
  const family = FAMILIES[protocol >> 4];
  if (command >> 4 !== V2.version || (command & 15) > V2.proxy) return INVALID;
  if (family === undefined || (protocol & 15) > MAX_TRANSPORT) return INVALID;
  if (head.length < length) return INCOMPLETE;
  const isLocal = (command & 15) === V2.local;
  const addresses = V2_FIXED_LENGTH + V2_ADDRESS_LENGTHS[family];
  if (isLocal) return { kind: "header", length, peer: undefined };
  if (addresses > length || !areTlvsSound(head.subarray(0, length), addresses)) return INVALID;
  return { kind: "header", length, peer: family === "unspecified" ? undefined : readPeer(head, family) };
}

function readPeer(head: Buffer, family: "inet" | "inet6" | "unix"): Peer | undefined {
  const at = V2_FIXED_LENGTH;
  if (family === "unix") return undefined;
  if (family === "inet")
    return { address: [...head.subarray(at, at + 4)].join("."), port: head.readUInt16BE(at + 8) };
  const groups = Array.from({ length: 8 }, (_, i) => head.readUInt16BE(at + 2 * i).toString(16));
  // The URL parser writes IPv6 addresses in their canonical form.
  const address = new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  return { address, port: head.readUInt16BE(at + 32) };
}

/** Whether the type-length-value list fills the rest exactly, and its checksum, if there is one, is right. */
function areTlvsSound(header: Buffer, start: number): boolean {
  let at = start;
  while (at < header.length) {
    if (at + TLV_HEAD_LENGTH > header.length) return false;
    const length = header.readUInt16BE(at + 1);
    const value = at + TLV_HEAD_LENGTH;
    if (value + length > header.length) return false;
    if (header[at] === TLV_CRC32C && !isChecksumRight(header, value, length)) return false;
    at = value + length;
  }
  return true;
}

function isChecksumRight(header: Buffer, at: number, length: number): boolean {
  if (length !== CRC_LENGTH) return false;
  const zeroed = Buffer.from(header).fill(0, at, at + CRC_LENGTH);
  return crc32c(zeroed) === header.readUInt32BE(at);
}
