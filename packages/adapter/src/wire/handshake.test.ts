import fc from "fast-check";
import { expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../dist/wire/frame.js";
import { MESSAGE_KEY, readPrimaryMessage, readWorkerMessage } from "../../dist/wire/handshake.js";

const pipe = { kind: "pipe", fds: { toHub: 4, fromHub: 5 } };
const welcome = {
  [MESSAGE_KEY]: "welcome",
  attempt: 1,
  member: 1,
  link: pipe,
  maxMessageBytes: 1,
  maxBacklogBytes: 1,
  roomSeed: "00",
  backplane: "",
  hub: "here",
};
const hello = {
  [MESSAGE_KEY]: "hello",
  protocol: PROTOCOL_VERSION,
  version: "1.0.0",
  probe: new Uint8Array(1),
  attempt: 1,
};

test("what each end says is read by the other", () => {
  for (const message of [
    hello,
    { [MESSAGE_KEY]: "withdraw" },
    { [MESSAGE_KEY]: "no-pipe", member: 7 },
    { [MESSAGE_KEY]: "frames", data: "AAAA" },
  ]) {
    expect(readWorkerMessage(message)).toEqual(message);
  }
  for (const message of [
    welcome,
    { ...welcome, link: { kind: "ipc", binary: true } },
    { [MESSAGE_KEY]: "starting" },
    { [MESSAGE_KEY]: "refusal", protocol: 2, version: "2.0.0" },
    { [MESSAGE_KEY]: "invite" },
    { [MESSAGE_KEY]: "frames", data: new Uint8Array(3) },
  ]) {
    expect(readPrimaryMessage(message)).toEqual(message);
  }
});

test("a message with a field of another type is not ours, whatever it is", () => {
  const odd = fc.oneof(fc.anything(), fc.constantFrom(-1, 1.5, Number.NaN, 2 ** 60, null, undefined, {}, []));
  const isRight = (field: string, value: unknown) =>
    ["version", "roomSeed", "backplane", "hub"].includes(field)
      ? typeof value === "string"
      : Number.isSafeInteger(value) && (value as number) >= 0;
  for (const [read, message, fields] of [
    [readWorkerMessage, hello, ["protocol", "version", "attempt"]],
    [
      readPrimaryMessage,
      welcome,
      ["attempt", "member", "maxMessageBytes", "maxBacklogBytes", "roomSeed", "backplane", "hub"],
    ],
  ] as const) {
    fc.assert(
      fc.property(fc.constantFrom(...fields), odd, (field, value) => {
        fc.pre(!isRight(field, value));
        expect(read({ ...message, [field]: value })).toBeUndefined();
      }),
    );
  }
  fc.assert(
    fc.property(fc.anything(), (link) => {
      expect(readPrimaryMessage({ ...welcome, link })).toBeUndefined();
    }),
  );
});

test("of another version, a hello is read that has its versions alone", () => {
  const { attempt: _, probe: __, ...alone } = { ...hello, protocol: PROTOCOL_VERSION + 1 };
  expect(readWorkerMessage(alone)).toMatchObject(alone);
});

test("whatever comes, reading never throws", () => {
  const ours = fc.record({ [MESSAGE_KEY]: fc.anything() });
  fc.assert(
    fc.property(fc.oneof(fc.anything(), ours), (raw) => {
      readWorkerMessage(raw);
      readPrimaryMessage(raw);
    }),
  );
});
