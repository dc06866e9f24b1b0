/** Messages about moves arrive as they were sent, and nothing else is taken for one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesOf, decodeMove, encodeMove, type MoveMessage, partsOf } from "../../dist/wire/move-messages.js";
import { decodeParcel, encodeParcel } from "../../dist/wire/parcel.js";

const peer = { address: "192.0.2.1", port: 80 };
const messages: MoveMessage[] = [
  {
    kind: "moveSessions",
    task: 1,
    successors: [2, 5],
    limit: 3,
    window: 8,
    drainMs: -1,
    spreadMs: 0,
    heir: 2,
  },
  { kind: "moveSessions", task: 1, successors: [2], limit: 3, window: 8, drainMs: 5, spreadMs: 0, heir: -1 },
  { kind: "letGo", task: 1 },
  { kind: "nextPart", move: 1 },
  { kind: "giving", giver: 1, heir: 2 },
  { kind: "given", giver: 1, heir: 2 },
  { kind: "holders", worker: 1, lives: true, holders: [2, 3] },
  { kind: "holders", worker: 1, lives: false, holders: [] },
  { kind: "askHolders", worker: 1 },
  { kind: "heardOf", giver: 1 },
  { kind: "stopMoves", task: 1 },
  { kind: "moveState", move: 1, part: "AA==" },
  { kind: "moveConnection", move: 1, name: "default", hasConnection: true, part: "AA==", peer },
  {
    kind: "moveConnection",
    move: 1,
    name: "default",
    hasConnection: false,
    part: undefined,
    peer: undefined,
  },
  { kind: "moveCancelled", move: 1 },
  {
    kind: "moveSettled",
    ends: [
      { move: 1, isUp: true },
      { move: 2, isUp: false },
    ],
  },
  {
    kind: "moveOffered",
    move: 1,
    task: 3,
    successor: 2,
    name: "default",
    carrier: "connection",
    part: "AA==",
    peer,
  },
  {
    kind: "moveOffered",
    move: 1,
    task: 3,
    successor: 2,
    name: "default",
    carrier: "stream",
    part: undefined,
    peer: undefined,
  },
  {
    kind: "moveOffered",
    move: 1,
    task: 3,
    successor: 2,
    name: "default",
    carrier: "polls",
    part: "AA==",
    peer: undefined,
  },
  { kind: "movePart", move: 1, isLast: true, part: "AA==" },
  { kind: "moveLanded", ends: [{ move: 1, isUp: false }] },
  {
    kind: "moveReport",
    task: 1,
    state: "empty",
    total: 9,
    moved: 5,
    lost: 1,
    closed: 0,
    left: { polling: 2, tls: 1 },
  },
];

test.each(messages.map((message) => [message.kind, message] as const))("%s", (_, message) => {
  expect(decodeMove(JSON.parse(JSON.stringify(encodeMove(message))))).toEqual(message);
});

test("nothing else is taken for one, and decoding never throws", () => {
  const fields = fc.array(fc.oneof(fc.integer({ min: -2, max: 40 }), fc.string(), fc.constant(null)));
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.record({ "holdfast:sticky": fields })), (message) => {
      const decoded = decodeMove(message);
      if (decoded) expect(messages.map(({ kind }) => kind)).toContain(decoded.kind);
    }),
  );
});

test("a parcel arrives as it was sent, in parts if it is large", () => {
  const bytes = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(bytes, bytes, bytes, (state, unread, unsent) => {
      const parcel = decodeParcel(bytesOf(partsOf(encodeParcel({ state, unread, unsent }))));
      expect(parcel && [parcel.state, parcel.unread, parcel.unsent].map((each) => Buffer.from(each))).toEqual(
        [state, unread, unsent].map((each) => Buffer.from(each)),
      );
    }),
  );
  const large = encodeParcel({
    state: new Uint8Array(1_000_000).fill(7),
    unread: new Uint8Array(),
    unsent: new Uint8Array(),
  });
  expect([...partsOf(large)].length).toBeGreaterThan(1);
  expect(bytesOf(partsOf(large)).equals(large)).toBe(true);
  expect(decodeParcel(Buffer.from([1, 2]))).toBeUndefined();
  expect(decodeParcel(Buffer.from([9, 0, 0, 0, 1]))).toBeUndefined();
});
