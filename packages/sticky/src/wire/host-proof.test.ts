import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  encodeChallenge,
  encodeGreeting,
  encodeRequest,
  encodeVersion,
  HOST_VERSION,
  HostAnswer,
  isProvenCaller,
  isProvenHost,
  MAX_NAME_BYTES,
  MAX_UNPROVEN_BYTES,
  NONCE_BYTES,
  type Parties,
  proofKey,
  readAnswer,
  readChallenge,
  readGreeting,
  readRequest,
} from "../../dist/wire/host-proof.js";

const key = proofKey("secret");
const otherKey = proofKey("secret2");
const nonce = (fill: number) => Buffer.alloc(NONCE_BYTES, fill);
const parties: Parties = {
  caller: { nonce: nonce(1), name: "here" },
  host: { nonce: nonce(2), name: "there" },
};

/** What a reader says of something whole; anything else fails the test. */
function whole<T>(read: T | string): T {
  if (typeof read === "string") throw new Error(`it is ${read}`);
  return read;
}

const proofOfHost = (by = parties, of = key) => whole(readChallenge(encodeChallenge(of, by))).proof;
const requestOf = (target: number, by = parties, of = key) =>
  whole(readRequest(encodeRequest(of, by, target)));

test("literal messages", () => {
  const hex = (bytes: Buffer) => bytes.toString("hex");
  expect(hex(encodeGreeting(parties.caller))).toBe(`6866686f05${"01".repeat(32)}0468657265`);
  expect(hex(encodeVersion())).toBe("05");
  const key32 = proofKey("x");
  expect(hex(encodeChallenge(key32, parties))).toBe(
    `05${"02".repeat(32)}` +
      "1eaa1345e86fbb8548cb58fc7f9269597c5ce46f6b343a5dbeba5922a82996da" +
      "057468657265",
  );
  expect(hex(encodeRequest(key32, parties, 258))).toBe(
    "02010000" + "7426adbae15104507aa99e7d1c022769e73a0c43f87830abc044b40b6bb8c9b3",
  );
});

test("each proves to the other that it knows the secret", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 16, unit: "grapheme-ascii" }),
      fc.string({ minLength: 1, maxLength: 16, unit: "grapheme-ascii" }),
      fc.nat(0xffff_ffff),
      (here, there, target) => {
        const both = {
          caller: { nonce: randomBytes(NONCE_BYTES), name: here },
          host: { nonce: randomBytes(NONCE_BYTES), name: there },
        };
        expect(whole(readGreeting(encodeGreeting(both.caller)))).toEqual(both.caller);
        const challenge = whole(readChallenge(encodeChallenge(key, both)));
        expect({ nonce: challenge.nonce, name: challenge.name }).toEqual(both.host);
        expect(isProvenHost(key, both, challenge.proof)).toBe(true);
        const request = requestOf(target, both);
        expect(request.target).toBe(target);
        expect(isProvenCaller(key, both, request)).toBe(true);
      },
    ),
  );
});

test("a proof is good for nothing else: another secret, connection, target, name or direction", () => {
  const others: Parties[] = [
    { ...parties, caller: { ...parties.caller, nonce: nonce(3) } },
    { ...parties, host: { ...parties.host, nonce: nonce(3) } },
    { ...parties, caller: { ...parties.caller, name: "her" } },
    { ...parties, host: { ...parties.host, name: "ethere" } },
    { caller: { ...parties.caller, name: "heret" }, host: { ...parties.host, name: "here" } },
    { caller: parties.host, host: parties.caller },
  ];
  for (const other of others) {
    expect(isProvenHost(key, other, proofOfHost())).toBe(false);
    expect(isProvenCaller(key, other, requestOf(1))).toBe(false);
  }
  expect(isProvenHost(otherKey, parties, proofOfHost())).toBe(false);
  expect(isProvenCaller(otherKey, parties, requestOf(1))).toBe(false);
  expect(isProvenCaller(key, parties, { ...requestOf(1), target: 2 })).toBe(false);
  // What a host has said, sent back to it.
  expect(isProvenCaller(key, parties, { target: 0, proof: proofOfHost() })).toBe(false);
  expect(isProvenHost(key, parties, requestOf(0).proof)).toBe(false);
});

test("what has not come whole is waited for, what comes behind it is not", () => {
  const readers = [
    [encodeGreeting(parties.caller), readGreeting],
    [encodeChallenge(key, parties), readChallenge],
    [encodeRequest(key, parties, 7), readRequest],
  ] as const;
  for (const [bytes, read] of readers) {
    for (let end = 0; end < bytes.length; end++) expect(read(bytes.subarray(0, end))).toBe("more");
    expect(read(Buffer.concat([bytes, Buffer.of(0)]))).toBe("wrong");
    expect(bytes.length).toBeLessThanOrEqual(MAX_UNPROVEN_BYTES);
  }
});

test("nonsense is told as soon as it can be", () => {
  expect(readGreeting(Buffer.from("G"))).toBe("wrong");
  expect(readGreeting(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toBe("wrong");
  expect(readGreeting(Buffer.of(0x16, 0x03, 0x01))).toBe("wrong");
  const [empty, long] = [encodeGreeting(parties.caller), encodeGreeting(parties.caller)];
  empty[37] = 0;
  long[37] = MAX_NAME_BYTES + 1;
  expect([readGreeting(empty), readGreeting(long)]).toEqual(["wrong", "wrong"]);
  for (let byte = 0; byte < 256; byte++) {
    const isKnown = Object.values(HostAnswer).some((each) => each === byte);
    expect(readAnswer(byte)).toBe(isKnown ? byte : undefined);
  }
});

test("another version is told from nonsense", () => {
  const greeting = Buffer.concat([Buffer.from("hfho"), Buffer.of(HOST_VERSION + 1), Buffer.from("whatever")]);
  expect(readGreeting(greeting)).toBe("version");
  expect(readChallenge(Buffer.of(HOST_VERSION + 1))).toBe("version");
  expect(readChallenge(encodeVersion())).toBe("more");
});

test("hostile bytes: nothing throws, nothing long is waited for, and nothing is proven", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2 * MAX_UNPROVEN_BYTES }), (random) => {
      const bytes = Buffer.from(random);
      for (const front of ["", "hfho", `hfho${String.fromCharCode(HOST_VERSION)}`]) {
        const greeting = readGreeting(Buffer.concat([Buffer.from(front), bytes]));
        if (greeting === "more") expect(bytes.length).toBeLessThan(MAX_UNPROVEN_BYTES);
      }
      const challenge = readChallenge(Buffer.concat([encodeVersion(), bytes]));
      if (typeof challenge === "object") expect(isProvenHost(key, parties, challenge.proof)).toBe(false);
      const request = readRequest(bytes);
      if (typeof request === "object") expect(isProvenCaller(key, parties, request)).toBe(false);
    }),
  );
});

test("a changed byte anywhere proves nothing", () => {
  const challenge = encodeChallenge(key, parties);
  const request = encodeRequest(key, parties, 7);
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const host = Buffer.from(challenge);
      host[at % host.length] = (host[at % host.length] as number) ^ by;
      const read = readChallenge(host);
      if (typeof read === "object") {
        const claimed = { ...parties, host: { nonce: read.nonce, name: read.name } };
        expect(isProvenHost(key, claimed, read.proof)).toBe(false);
      }
      const caller = Buffer.from(request);
      caller[at % caller.length] = (caller[at % caller.length] as number) ^ by;
      expect(isProvenCaller(key, parties, whole(readRequest(caller)))).toBe(false);
    }),
  );
});
