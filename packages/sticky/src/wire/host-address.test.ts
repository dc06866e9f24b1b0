import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeHostAddress, encodeHostAddress } from "../../dist/wire/host-address.js";

test("literal addresses", () => {
  const tag = "Ab3-_z";
  const both = [
    [{ tag, host: "10.0.0.2", port: 7000, isTls: false }, "Ab3-_z 10.0.0.2:7000"],
    [{ tag, host: "fd00::2", port: 1, isTls: true }, "Ab3-_z [fd00::2]:1 tls"],
    [{ tag, host: "fe80::1%eth0", port: 65_535, isTls: false }, "Ab3-_z [fe80::1%eth0]:65535"],
    [{ tag, host: "chat-0.chat.svc", port: 80, isTls: true }, "Ab3-_z chat-0.chat.svc:80 tls"],
  ] as const;
  for (const [address, text] of both) {
    expect(encodeHostAddress(address)).toBe(text);
    expect(decodeHostAddress(text)).toEqual(address);
  }
});

test.each([
  "",
  "10.0.0.2:7000",
  "Ab3-_z 10.0.0.2",
  "Ab3-_z :80",
  "Ab3-_z 10.0.0.2:0",
  "Ab3-_z 10.0.0.2:65536",
  "Ab3-_ 10.0.0.2:80",
  "Ab3-_z fd00::2:80",
  "Ab3-_z [nobody]:80",
  "Ab3-_z a/b:80",
  "Ab3-_z a:80 ",
  "Ab3-_z a:80 ssl",
])("%j is none", (text) => {
  expect(decodeHostAddress(text)).toBeUndefined();
});

test("reading never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void decodeHostAddress(text)));
});
