import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c } from "../../dist/primary/crc32c.js";
import { type ProxyHeader, readProxyHeader } from "../../dist/primary/proxy-protocol.js";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const v1 = (text: string): ProxyHeader => readProxyHeader(Buffer.from(text, "latin1"));
const v2 = (hex: string): ProxyHeader =>
  readProxyHeader(Buffer.from(SIGNATURE + hex.replaceAll(" ", ""), "hex"));
const INVALID = { kind: "invalid" };
const INCOMPLETE = { kind: "incomplete" };

test.each([
  [
    "PROXY TCP4 1.2.3.4 5.6.7.8 111 80\r\nGET /",
    { kind: "header", length: 35, peer: { address: "1.2.3.4", port: 111 } },
  ],
  [
    "PROXY TCP6 2001:db8::1 ::1 65535 0\r\n",
    { kind: "header", length: 36, peer: { address: "2001:db8::1", port: 65535 } },
  ],
  ["PROXY UNKNOWN\r\n", { kind: "header", length: 15, peer: undefined }],
  ["PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n", { kind: "header", length: 43, peer: undefined }],
  ["", INCOMPLETE],
  ["PRO", INCOMPLETE],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 111 80\r", INCOMPLETE],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 111 80\n", INCOMPLETE],
  ["PROXY TCP4 1.2.3.4 ::1 111 80\r\n", INVALID],
  ["PROXY TCP6 1.2.3.4 5.6.7.8 111 80\r\n", INVALID],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 111 65536\r\n", INVALID],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 -1 80\r\n", INVALID],
  ["PROXY TCP4  1.2.3.4 5.6.7.8 111 80\r\n", INVALID],
  ["PROXY TCP4 1.2.3.400 5.6.7.8 111 80\r\n", INVALID],
  ["PROXY UNKNOWNX\r\n", INVALID],
  ["PROXY UDP4 1.2.3.4 5.6.7.8 111 80\r\n", INVALID],
  [`PROXY UNKNOWN ${"x".repeat(100)}\r\n`, INVALID],
  ["GET / HTTP/1.1\r\n\r\n", INVALID],
  ["\x16\x03\x01", INVALID],
])("version 1: %j", (text, expected) => {
  expect(v1(text)).toEqual(expected);
});

const TCP4 = "21 11 000c 01020304 05060708 006f 0050";

test.each([
  ["TCP over IPv4", TCP4, { kind: "header", length: 28, peer: { address: "1.2.3.4", port: 111 } }],
  [
    "UDP over IPv4",
    "21 12 000c 01020304 05060708 006f 0050",
    { kind: "header", length: 28, peer: { address: "1.2.3.4", port: 111 } },
  ],
  [
    "TCP over IPv6",
    `21 21 0024 20010db8${"00".repeat(11)}01 ${"00".repeat(16)} 006f 0050`,
    { kind: "header", length: 52, peer: { address: "2001:db8::1", port: 111 } },
  ],
  ["LOCAL", "20 00 0000", { kind: "header", length: 16, peer: undefined }],
  ["LOCAL with anything", "20 11 0003 ffffff", { kind: "header", length: 19, peer: undefined }],
  ["unspecified", "21 00 0000", { kind: "header", length: 16, peer: undefined }],
  ["Unix", `21 31 00d8 ${"00".repeat(216)}`, { kind: "header", length: 232, peer: undefined }],
  [
    "a TLV",
    "21 11 0010 01020304 05060708 006f 0050 04 0001 00",
    { kind: "header", length: 32, peer: { address: "1.2.3.4", port: 111 } },
  ],
  ["nothing but the signature", "", INCOMPLETE],
  ["a part", "21 11 000c 01020304", INCOMPLETE],
  ["another version", "11 11 000c 01020304 05060708 006f 0050", INVALID],
  ["another command", "22 11 000c 01020304 05060708 006f 0050", INVALID],
  ["another family", "21 41 000c 01020304 05060708 006f 0050", INVALID],
  ["another transport", "21 13 000c 01020304 05060708 006f 0050", INVALID],
  ["too short for its family", "21 11 000b 01020304 05060708 006f 00", INVALID],
  ["a TLV that is too long", "21 11 0010 01020304 05060708 006f 0050 04 0002 00", INVALID],
  ["a TLV without a length", "21 11 000e 01020304 05060708 006f 0050 04 00", INVALID],
  ["a checksum of three bytes", "21 11 0012 01020304 05060708 006f 0050 03 0003 000000", INVALID],
  ["a wrong checksum", "21 11 0013 01020304 05060708 006f 0050 03 0004 00000000", INVALID],
])("version 2: %s", (_, hex, expected) => {
  expect(v2(hex)).toEqual(expected);
});

test("CRC-32C of RFC 3720", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("version 2 with a right checksum, and with any bit of it wrong", () => {
  const header = Buffer.from(
    `${SIGNATURE}2111001301020304 05060708006f0050 03000400000000`.replaceAll(" ", ""),
    "hex",
  );
  header.writeUInt32BE(crc32c(header), header.length - 4);
  expect(readProxyHeader(header)).toMatchObject({ kind: "header", length: header.length });
  for (let bit = 0; bit < 8 * header.length; bit++) {
    const wrong = Buffer.from(header);
    wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const result = readProxyHeader(wrong);
    // A changed command or type may turn it into something that has no checksum.
    if (result.kind === "header") expect([12, 28]).toContain(bit >> 3);
  }
});

test("where the bytes are cut makes no difference, and nothing throws", () => {
  const start = fc.constantFrom(
    Buffer.from("PROXY "),
    Buffer.from("PROXY TCP4 "),
    Buffer.from(SIGNATURE, "hex"),
    Buffer.from(`${SIGNATURE}2111`, "hex"),
    Buffer.alloc(0),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (first, rest) => {
      const bytes = Buffer.concat([first, rest]);
      const whole = readProxyHeader(bytes);
      for (let cut = 0; cut < bytes.length; cut++) {
        const part = readProxyHeader(bytes.subarray(0, cut));
        if (part.kind !== "incomplete") expect(part).toEqual(whole);
      }
      if (whole.kind === "header") expect(whole.length).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 2_000 },
  );
});
