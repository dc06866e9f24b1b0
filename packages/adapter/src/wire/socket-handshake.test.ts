import fc from "fast-check";
import { expect, test } from "vitest";
import { MESSAGE_KEY } from "../../dist/wire/handshake.js";
import {
  encodeSocketMessage,
  MessageReader,
  readAnswer,
  readGreeting,
  type SocketMessage,
} from "../../dist/wire/socket-handshake.js";

const PROTOCOL = 3;
const spoken = { protocol: PROTOCOL, version: "1.2.3", token: "0123456789abcdef".repeat(2) };
const join = { [MESSAGE_KEY]: "join", ...spoken, workerId: 1, pid: 4711, processMark: "pid:[1] 99" } as const;
const listen = { [MESSAGE_KEY]: "listen", ...spoken } as const;
const welcome = {
  [MESSAGE_KEY]: "welcome",
  attempt: 0,
  member: 1,
  link: { kind: "unix" },
  maxMessageBytes: 1,
  maxBacklogBytes: 1,
  roomSeed: "00",
  backplane: "",
  hub: "here",
} as const;
const refusal = { [MESSAGE_KEY]: "refusal", protocol: 2, version: "2.0.0" } as const;

/** What a reader makes of bytes that come in pieces, each in memory that is used again. */
function read(bytes: Buffer, pieceBytes: number): { value: unknown; rest: string } | undefined {
  const reader = new MessageReader();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
    const message = reader.push(piece);
    piece.fill(0);
    if (message) return { value: message.value, rest: message.rest.toString("latin1") };
  }
  return undefined;
}

test("what each end says is read by the other", () => {
  for (const message of [join, listen]) expect(readGreeting(message, PROTOCOL)).toEqual(message);
  const starting = { [MESSAGE_KEY]: "starting" };
  for (const message of [welcome, starting, refusal]) expect(readAnswer(message)).toEqual(message);
});

test("of another protocol, only protocol and version are looked at, whatever the rest is", () => {
  const foreign = { [MESSAGE_KEY]: "foreign", protocol: 4, version: "9" };
  for (const kind of ["join", "listen", "something new"]) {
    expect(readGreeting({ [MESSAGE_KEY]: kind, protocol: 4, version: "9", token: 5 }, PROTOCOL)).toEqual(
      foreign,
    );
  }
});

test.each<[object, string]>([
  [join, "token"],
  [join, "workerId"],
  [join, "pid"],
  [join, "processMark"],
  [join, "protocol"],
  [join, "version"],
  [listen, "token"],
])("a field that is wrong or missing is noticed: %j, %s", (message, field) => {
  for (const value of [undefined, null, -1, 1.5, 2 ** 32, {}, "x".repeat(201)]) {
    const isRight = field === "version" && typeof value === "string";
    if (!isRight) expect(readGreeting({ ...message, [field]: value }, PROTOCOL)).toBeUndefined();
  }
});

test("an answer that belongs to another link is none", () => {
  expect(readAnswer({ ...welcome, link: { kind: "ipc", binary: true } })).toBeUndefined();
  expect(readAnswer({ ...welcome, member: "1" })).toBeUndefined();
  expect(readAnswer({ [MESSAGE_KEY]: "invite" })).toBeUndefined();
});

test("a message is read however it is cut, and what follows it is left", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), (pieceBytes) => {
      const bytes = Buffer.concat([encodeSocketMessage(join), Buffer.from("frames")]);
      const got = read(bytes, pieceBytes);
      expect(got?.value).toEqual(join);
      expect("frames".startsWith(got?.rest ?? "none")).toBe(true);
    }),
  );
});

test("nothing that arrives throws, or is kept without end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.integer({ min: 1, max: 64 }), (bytes, pieceBytes) => {
      const value = read(Buffer.from(bytes), pieceBytes)?.value;
      readGreeting(value, PROTOCOL);
      readAnswer(value);
    }),
  );
  fc.assert(
    fc.property(fc.anything(), (value) => {
      readGreeting(value, PROTOCOL);
      readAnswer(value);
    }),
  );
  const tooLong = Buffer.alloc(4);
  tooLong.writeUInt32LE(4_097);
  expect(read(tooLong, 4)?.value).toBeUndefined();
  expect(read(tooLong, 4)).toBeDefined();
});

test("values that JSON reads and objects are not are no message", () => {
  for (const value of [null, 1, "text", [], true]) {
    const bytes = encodeSocketMessage(value as unknown as SocketMessage);
    expect(readGreeting(read(bytes, 3)?.value, PROTOCOL)).toBeUndefined();
  }
});
