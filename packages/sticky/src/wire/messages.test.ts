import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeToPrimary,
  decodeToWorker,
  encodeToPrimary,
  encodeToWorker,
  type ToPrimary,
  type ToWorker,
} from "../../dist/wire/messages.js";

const TO_WORKER: [ToWorker, unknown][] = [
  [
    { kind: "welcome", version: 1, tag: "xy", directory: "/tmp/d", secret: "s", edition: 3 },
    [1, 1, "xy", "/tmp/d", "s", 3],
  ],
  [
    {
      kind: "connection",
      name: "default",
      head: "GET",
      settled: false,
      ticket: { id: 7, claimAfter: 12.5 },
      peer: undefined,
    },
    [2, "default", "GET", 0, 7, 12.5],
  ],
  [
    {
      kind: "connection",
      name: "default",
      head: "",
      settled: true,
      ticket: undefined,
      peer: { address: "::1", port: 9 },
    },
    [2, "default", "", 1, 0, 0, "::1", 9],
  ],
  [{ kind: "claimed", ticketId: 7, isGranted: true }, [5, 7, 1]],
  [{ kind: "claimed", ticketId: 8, isGranted: false }, [5, 8, 0]],
  [{ kind: "left", name: "default" }, [3, "default"]],
  [{ kind: "over" }, [25]],
  [{ kind: "unrouted", name: "chat" }, [27, "chat"]],
  [{ kind: "noted", departure: 2 }, [26, 2]],
  [{ kind: "address", name: "default", address: undefined }, [4, "default"]],
  [{ kind: "address", name: "default", address: "/run/app.sock" }, [4, "default", "/run/app.sock"]],
  [
    { kind: "address", name: "default", address: { address: "::", port: 3000, family: "IPv6" } },
    [4, "default", "::", 3000, "IPv6"],
  ],
  [{ kind: "hosts", name: "a", secret: "s", tls: undefined, others: [] }, [8, "a", "s", []]],
  [
    {
      kind: "hosts",
      name: "a",
      secret: "s",
      tls: { key: "k", cert: "c", ca: ["x", "y"], passphrase: undefined, servername: "hosts" },
      others: [],
    },
    [8, "a", "s", ["k", "c", "", "hosts", "x", "y"]],
  ],
  [
    {
      kind: "hosts",
      name: "a",
      secret: "s",
      tls: undefined,
      others: [
        { name: "b", tag: "Ab3-xY", host: "10.0.0.2", port: 7000, isTls: false },
        { name: "c", tag: "uvwxyz", host: "fd00::2", port: 1, isTls: true },
      ],
    },
    [8, "a", "s", [], "b", "Ab3-xY", "10.0.0.2", 7000, 0, "c", "uvwxyz", "fd00::2", 1, 1],
  ],
];

const TO_PRIMARY: [ToPrimary, unknown][] = [
  [{ kind: "ready", version: 2, name: "default" }, [16, 2, "default"]],
  [{ kind: "leaving", name: "default" }, [17, "default"]],
  [
    {
      kind: "report",
      counts: {
        closed: 1,
        kept: 24,
        declined: 25,
        relayed: 2,
        relayedToHosts: 20,
        moved: 3,
        forwardedIn: 4,
        opened: 5,
        upgraded: 6,
        polling: 7,
        websocket: 8,
        webtransport: 9,
        "transport close": 10,
        "transport error": 11,
        "ping timeout": 12,
        "forced close": 13,
        "parse error": 14,
        other: 15,
        "moved away": 16,
        "unknown transport": 17,
        "unknown session": 18,
        "bad handshake method": 19,
        "bad request": 21,
        forbidden: 22,
        "unsupported protocol": 23,
      },
    },
    [18, 1, 24, 25, 2, 20, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23],
  ],
  [{ kind: "claim", ticketId: 7 }, [20, 7]],
  [{ kind: "lookUp", name: "default" }, [22, "default"]],
  [{ kind: "departed", departure: 2 }, [38, 2]],
  [{ kind: "parted" }, [39]],
  [{ kind: "move", name: "a", owner: -1, head: "x", peer: undefined }, [19, "a", -1, "x"]],
  [
    { kind: "move", name: "a", owner: 7, head: "x", peer: { address: "1.2.3.4", port: 5 } },
    [19, "a", 7, "x", "1.2.3.4", 5],
  ],
  [
    { kind: "trouble", what: "denied", edition: 3, uid: 1000, code: "EACCES", text: "listen EACCES" },
    [21, 2, 3, 1000, "EACCES", "listen EACCES"],
  ],
  [
    { kind: "trouble", what: "unreachable", edition: 0, uid: -1, code: "", text: "host b" },
    [21, 4, 0, -1, "", "host b"],
  ],
];

test("literal messages", () => {
  for (const [message, fields] of TO_WORKER) {
    expect(encodeToWorker(message)).toEqual({ "holdfast:sticky": fields });
    expect(decodeToWorker(JSON.parse(JSON.stringify(encodeToWorker(message))))).toEqual(message);
  }
  for (const [message, fields] of TO_PRIMARY) {
    expect(encodeToPrimary(message)).toEqual({ "holdfast:sticky": fields });
    expect(decodeToPrimary(JSON.parse(JSON.stringify(encodeToPrimary(message))))).toEqual(message);
  }
});

test("other traffic is not ours, and nothing throws", () => {
  for (const message of [
    null,
    undefined,
    1,
    "x",
    [],
    {},
    { type: "sticky:connection" },
    { "holdfast:sticky": 1 },
  ]) {
    expect(decodeToWorker(message)).toBeUndefined();
    expect(decodeToPrimary(message)).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer({ min: -2, max: 20 }), fc.anything())), (fields) => {
      decodeToWorker({ "holdfast:sticky": fields });
      decodeToPrimary({ "holdfast:sticky": fields });
    }),
  );
});

test("all bytes survive as latin1 under JSON", () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const sent = encodeToWorker({
    kind: "connection",
    name: "n",
    head: bytes.toString("latin1"),
    settled: false,
    ticket: undefined,
    peer: undefined,
  });
  const received = decodeToWorker(JSON.parse(JSON.stringify(sent))) as ToWorker & { kind: "connection" };
  expect(Buffer.from(received.head, "latin1")).toEqual(bytes);
});
