import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeTarget, encodeTarget } from "../../dist/wire/private-address.js";

test("what is written is read back, with any target", () => {
  const origin = fc.record({
    name: fc.string({ unit: "grapheme" }),
    address: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant("")),
    port: fc.nat(65_535),
    encrypted: fc.boolean(),
  });
  fc.assert(
    fc.property(origin, fc.webPath(), fc.string(), (from, path, query) => {
      const target = `${path}?${query}`;
      expect(decodeTarget("secret", encodeTarget("secret", from, target))).toEqual({ origin: from, target });
      expect(decodeTarget("secreT", encodeTarget("secret", from, target))).toBeUndefined();
      expect(decodeTarget("secret", target)).toBeUndefined();
    }),
  );
});

test("nothing throws", () => {
  for (const text of [
    "",
    "/",
    "/secret",
    "/secret/%/x/1/tcp/",
    "/secret/a/%ff/1/tcp/",
    "/secret/a/b/999999/tcp/",
  ]) {
    expect(decodeTarget("secret", text)).toBeUndefined();
  }
});
