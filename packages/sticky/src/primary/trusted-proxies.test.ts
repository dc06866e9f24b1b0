import fc from "fast-check";
import { expect, test } from "vitest";
import { createTrust, reportedAddress } from "../../dist/primary/trusted-proxies.js";

const isTrusted = createTrust(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);

test("trust", () => {
  for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8:ffff::1"])
    expect(isTrusted(address)).toBe(true);
  for (const address of ["11.1.2.3", "192.0.2.8", "2001:db9::1", "", "nonsense"])
    expect(isTrusted(address)).toBe(false);
});

test.each([
  ...[
    "",
    "nonsense",
    "10",
    "10.0",
    "10.0.0",
    "010.0.0.1",
    "0x0a.0.0.1",
    "167772161",
    "10.0.0.1 ",
    " 10.0.0.1",
  ],
  ...["10.0.0.0/33", "10.0.0/8", "10.0.0.0/8x", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8"],
  ...[
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/1e1",
    "/8",
    "2001:db8::/129",
    "2001:db8::g",
    "[2001:db8::1]",
    "1::2::3",
  ],
  ...["::ffff:10.0.0.0/95", "::ffff:10.0.0.0/129", "fe80::1%eth0", "fe80::%eth0/10", "10.0.0.1,10.0.0.2"],
])("trusting %j is refused", (range) => {
  expect(() => createTrust(["10.0.0.1", range])).toThrow(
    expect.objectContaining({
      code: "HOLDFAST_ERR_INVALID_OPTION",
      message: expect.stringContaining(`"trustedProxies" of setupPrimary()`),
    }),
  );
});

test.each([
  ["::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"],
  ["::ffff:10.0.0.0/104", "::ffff:10.255.0.1", "::ffff:11.0.0.1"],
  ["::ffff:a00:0/104", "10.255.0.1", "11.0.0.1"],
  ["::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"],
  ["::ffff:0:0/96", "192.0.2.7", "2001:db8::1"],
  ["0.0.0.0/0", "192.0.2.7", "2001:db8::1"],
  ["::/0", "2001:db8::1", "::ffff:192.0.2.7"],
  ["::1", "::1", "::2"],
  ["2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"],
  ["10.1.2.3/8", "10.9.9.9", "11.1.2.3"],
  ["fe80::/10", "fe80::1%eth0", "fec0::1"],
])("trusting %s means %s, and not %s", (range, inside, outside) => {
  expect([inside, outside].map(createTrust([range]))).toEqual([true, false]);
});

test.each([
  ["10.0.0.1", "198.51.100.1", "198.51.100.1"],
  ["10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"],
  ["10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"],
  ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ["10.0.0.1", "198.51.100.1:4711", "198.51.100.1"],
  ["10.0.0.1", "[2001:db9::1]:4711", "2001:db9::1"],
  ["10.0.0.1", "", "10.0.0.1"],
  ["10.0.0.1", "unknown", "10.0.0.1"],
  ["10.0.0.1", "198.51.100.1, nonsense, 10.0.0.2", "10.0.0.2"],
  ["10.0.0.1", "198.51.100.1, 10", "10.0.0.1"],
  ["10.0.0.1", "010.0.0.2", "10.0.0.1"],
  ["203.0.113.1", "198.51.100.1", "203.0.113.1"],
])("from %s, X-Forwarded-For: %s means %s", (own, value, client) => {
  expect(reportedAddress(own, value, "x-forwarded-for", isTrusted)).toBe(client);
});

test.each([
  ["for=198.51.100.1", "198.51.100.1"],
  ['For="[2001:db9::1]:4711";proto=https', "2001:db9::1"],
  ["for=203.0.113.9;by=10.0.0.1, for=198.51.100.1;proto=http", "198.51.100.1"],
  ["for=203.0.113.9, for=10.0.0.2", "203.0.113.9"],
  ['proto="a,b;for=6.6.6.6", for=198.51.100.1', "198.51.100.1"],
  ["for=_hidden", "10.0.0.1"],
  ["proto=http", "10.0.0.1"],
  ["for=198.51.100.1, =", "10.0.0.1"],
  // What the client sent stands in front of what the proxy adds, and must not hide it, however it is cut.
  ["nonsense, for=198.51.100.1", "198.51.100.1"],
  ["=;;=, for=198.51.100.1", "198.51.100.1"],
  ['for="6.6.6.6, for=198.51.100.1', "198.51.100.1"],
  ['for="6.6.6.6\\, for=198.51.100.1', "198.51.100.1"],
  ['for="6.6.6.6\\", for="198.51.100.1"', "198.51.100.1"],
  ['by="x;, for="[2001:db9::1]:4711"', "2001:db9::1"],
  ['", for="198.51.100.1";proto=http', "198.51.100.1"],
  ["for=6.6.6.6, for 6.6.6.6, for=10.0.0.2", "10.0.0.2"],
  ['for="6.6.6.6", for=10.0.0.2', "6.6.6.6"],
  ['for="_a,b", for=10.0.0.2', "10.0.0.2"],
  ["for=6.6.6.6;for=198.51.100.1", "198.51.100.1"],
  [" for=198.51.100.1 ; proto=http ", "198.51.100.1"],
  ["for=198.51.100.1, ", "10.0.0.1"],
])("Forwarded: %s means %s", (value, client) => {
  expect(reportedAddress("10.0.0.1", value, "forwarded", isTrusted)).toBe(client);
});

test("whatever a client sends, what the proxy adds counts", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[for=",\\; 6.]*$/)),
      fc.constantFrom("for=198.51.100.1", 'proto=http;for="198.51.100.1:80"', 'by="a,b\\"";for=198.51.100.1'),
      fc.constantFrom(",", ", ", " , "),
      (sent, added, comma) => {
        const value = `${sent}${comma}${added}`;
        expect(reportedAddress("10.0.0.1", value, "forwarded", isTrusted)).toBe("198.51.100.1");
      },
    ),
  );
});

test("a long report is read in linear time", () => {
  // Reading it once for each comma would take minutes.
  for (const part of [",", '",', '\\",', '"\\', "for=10.0.0.2,"]) {
    const value = part.repeat(200_000);
    expect(reportedAddress("10.0.0.1", value, "forwarded", isTrusted)).toMatch(/^10\.0\.0\.[12]$/);
  }
});

test("no report makes it throw, and none of an untrusted client counts", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      fc.constantFrom("forwarded", "x-forwarded-for"),
      (value, header) => {
        reportedAddress("10.0.0.1", value, header as "forwarded", isTrusted);
        expect(reportedAddress("203.0.113.1", value, header as "forwarded", isTrusted)).toBe("203.0.113.1");
      },
    ),
  );
});
