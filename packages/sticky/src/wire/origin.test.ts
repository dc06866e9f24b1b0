import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_PAYLOAD_BYTES } from "../../dist/wire/link-frame.js";
import { decodeOrigin, encodeOrigin, type Origin } from "../../dist/wire/origin.js";

const text = fc.string({ unit: "binary" });
const endpoint = fc.record({
  address: fc.oneof(fc.ipV4(), fc.ipV6(), text),
  port: fc.nat(65_535),
  family: fc.constantFrom("IPv4", "IPv6"),
});
const tls = fc.record({
  authorized: fc.boolean(),
  authorizationError: fc.option(text, { nil: undefined }),
  alpnProtocol: fc.option(text, { nil: undefined }),
  servername: fc.option(text, { nil: undefined }),
  protocol: fc.option(text, { nil: undefined }),
  cipher: fc.record({ name: text, standardName: text, version: text }),
  isSessionReused: fc.boolean(),
  certificates: fc.array(fc.base64String()),
});
const origin: fc.Arbitrary<Origin> = fc.record({
  name: text,
  remote: fc.option(endpoint, { nil: undefined }),
  local: fc.option(endpoint, { nil: undefined }),
  tls: fc.option(tls, { nil: undefined }),
  passes: fc.nat(),
});

test("what is written is read back", () => {
  fc.assert(
    fc.property(origin, (written) => {
      expect(decodeOrigin(encodeOrigin(written))).toEqual(written);
    }),
  );
});

test("it always fits into a frame: the client's own certificate stays, its issuers' may not", () => {
  const certificates = Array.from({ length: 8 }, (_, i) => String(i).repeat(20_000));
  const cipher = { name: "", standardName: "", version: "" };
  const written = {
    name: "default",
    remote: undefined,
    local: undefined,
    tls: {
      authorized: true,
      authorizationError: undefined,
      alpnProtocol: undefined,
      servername: undefined,
      protocol: undefined,
      cipher,
      isSessionReused: false,
      certificates,
    },
    passes: 0,
  };
  const payload = encodeOrigin(written);
  expect(payload.length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
  expect(decodeOrigin(payload)?.tls?.certificates).toEqual(certificates.slice(0, 3));
});

test("nothing throws", () => {
  for (const value of ["", "null", "[]", "1", '{"name":1}', '{"name":"a","remote":{"address":1}']) {
    expect(decodeOrigin(Buffer.from(value))).toBeUndefined();
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void decodeOrigin(Buffer.from(bytes))));
  fc.assert(
    fc.property(
      fc.json(),
      (json) => void decodeOrigin(Buffer.from(`{"name":"a","remote":${json},"tls":${json}}`)),
    ),
  );
});
