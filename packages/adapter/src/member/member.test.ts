/** A member and the hub with a neighbour that says anything: what cannot be read costs the message, and no more. */
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HoldfastError } from "../../dist/errors.js";
import { Hub } from "../../dist/hub/hub.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { LocalLink } from "../../dist/link/local.js";
import { Outbox } from "../../dist/link/outbox.js";
import { Member } from "../../dist/member/member.js";
import type { NamespacePort } from "../../dist/member/namespace-port.js";
import { resolvePrimaryOptions } from "../../dist/options.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameFlags,
  frameKind,
  frameNamespace,
  HEADER_BYTES,
  Operation,
  ResponseFlag,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { packValue, readValue } from "../../dist/wire/values.js";

const OPTIONS = resolvePrimaryOptions();
const ignore = () => {};

let hub: Hub;
let errors: HoldfastError[];
let heard: unknown[];
let isClosing: boolean;

beforeEach(() => {
  errors = [];
  heard = [];
  isClosing = false;
  const onError = (error: HoldfastError) => void errors.push(error);
  hub = new Hub(OPTIONS, {
    onJoin: ignore,
    onLeave: ignore,
    onStalled: ignore,
    onJournalFull: ignore,
    onError,
  });
});
afterEach(() => {
  isClosing = true;
  hub.close();
});

/** Frames of a local link take a turn each way. */
async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await turn();
}

function admit(workerId: number, makeEnd: (events: LinkEvents) => LocalLink): number {
  let hubEnd: LocalLink | undefined;
  const { id } = hub.admit({ workerId, pid: workerId }, (events) => {
    hubEnd = new LocalLink(events);
    return hubEnd;
  });
  LocalLink.connect(hubEnd as LocalLink, makeEnd({ onChunk: ignore, onTaken: ignore, onEnd: ignore }));
  return id;
}

/** A member that has the namespace, and tells `heard` of what it is told. */
async function join(): Promise<{ member: Member; port: NamespacePort }> {
  const member = new Member({
    connect: (self) => {
      if (isClosing) return false;
      let hubEnd: LocalLink | undefined;
      const { id } = hub.admit({ workerId: 1, pid: 1 }, (events) => {
        hubEnd = new LocalLink(events);
        return hubEnd;
      });
      self.join({ member: id, ...hub.welcome }, (events) => {
        const end = new LocalLink(events);
        LocalLink.connect(hubEnd as LocalLink, end);
        return end;
      });
      return true;
    },
    disconnect: ignore,
    connected: false,
    looksOn: false,
  });
  const port = member.open("scope\n/", 0, {
    recovery: undefined,
    onBroadcast: (rooms) => void heard.push(["broadcast", ...rooms]),
    onCommand: (operation, fields) => void heard.push(["command", operation, readValue(fields)]),
    onRequest: (operation, fields, responder) => {
      heard.push(["request", operation, readValue(fields)]);
      responder.finish("answer");
    },
    onBroadcastWithAck: (selection) => void heard.push(["broadcastWithAck", ...selection.rooms]),
    reportRooms: ignore,
    onRecoverable: ignore,
    onTaken: ignore,
    onError: (error) => void errors.push(error),
  });
  await settle();
  return { member, port };
}

/** Another member of the hub, made of nothing but its link. */
class Stranger {
  readonly id: number;
  namespaceId = 0;
  readonly #link: LocalLink;
  readonly #outbox: Outbox;
  /** Kind, flags and reader of each frame. */
  readonly frames: { kind: number; flags: number; fields: FieldReader }[] = [];

  constructor() {
    const reader = new FrameReader((buffer, start, end) => {
      if (frameKind(buffer, start) === FrameKind.opened) this.namespaceId = frameNamespace(buffer, start);
      const fields = new FieldReader(buffer, frameFields(buffer, start), end);
      this.frames.push({ kind: frameKind(buffer, start), flags: frameFlags(buffer, start), fields });
    }, OPTIONS.maxMessageBytes);
    let end: LocalLink | undefined;
    this.id = admit(2, () => {
      end = new LocalLink({ onChunk: (chunk) => reader.push(chunk), onTaken: ignore, onEnd: ignore });
      return end;
    });
    this.#link = end as unknown as LocalLink;
    this.#outbox = new Outbox(this.#link);
  }

  async say(kind: number, flags = 0, write: (frame: Outbox) => void = ignore, keys = 0): Promise<void> {
    this.#outbox.begin(kind, flags, this.namespaceId);
    for (let i = 0; i < keys; i++) this.#outbox.key(i);
    write(this.#outbox);
    this.#outbox.end();
    this.#outbox.flush();
    await settle();
  }

  async write(bytes: Buffer): Promise<void> {
    this.#link.write([bytes]);
    await settle();
  }

  async open(): Promise<void> {
    await this.say(FrameKind.open, 0, (frame) => {
      frame.u32(1);
      frame.u64(0);
      frame.raw(Buffer.from("scope\n/", "utf16le"));
    });
  }

  command(value: Uint8Array): Promise<void> {
    return this.say(FrameKind.command, 0, (frame) => {
      frame.u32(0);
      frame.u8(Operation.serverSideEmit);
      frame.raw(value);
    });
  }

  request(id: number, operation: number, value: Uint8Array): Promise<void> {
    return this.say(FrameKind.request, 0, (frame) => {
      frame.u32(this.id);
      frame.u32(id);
      frame.u8(operation);
      frame.raw(value);
    });
  }
}

async function together() {
  const joined = await join();
  const stranger = new Stranger();
  await stranger.open();
  return { ...joined, stranger };
}

describe("a member", () => {
  test("drops a command that it cannot read, tells of it, and hears the next", async () => {
    const { stranger } = await together();
    await stranger.command(Buffer.from([0xcd, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    expect(errors).toMatchObject([{ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }]);
    await stranger.command(packValue(["next"]));
    expect(heard).toEqual([["command", Operation.serverSideEmit, ["next"]]]);
    expect(errors).toHaveLength(1);
  });

  test("answers a request that it cannot read with a failure", async () => {
    const { stranger } = await together();
    await stranger.request(7, Operation.serverSideEmit, Buffer.from([0xdf]));
    const response = stranger.frames.find(({ kind }) => kind === FrameKind.response);
    expect(response?.flags).toBe(ResponseFlag.final | ResponseFlag.error);
    expect(errors).toMatchObject([{ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }]);
    expect([...hub.members].map(({ unanswered }) => unanswered)).toEqual([0, 0]);
    await stranger.request(8, Operation.serverSideEmit, packValue([]));
    expect(heard).toEqual([["request", Operation.serverSideEmit, []]]);
  });

  test("fails a request whose answer it cannot read, and no other", async () => {
    const { member, port, stranger } = await together();
    const settled: unknown[] = [];
    const ask = () =>
      port.requests.ask(
        Operation.serverSideEmit,
        undefined,
        { bytes: 0, write: (o) => o.raw(packValue([])) },
        {
          timeoutMs: 60_000,
          onResponse: (value) => void settled.push(value),
          onSettled: (error) => void settled.push(error?.code),
        },
      );
    ask();
    ask();
    await settle();
    const answer = (id: number, bytes: Uint8Array) =>
      stranger.say(FrameKind.response, ResponseFlag.final, (frame) => {
        frame.u32(member.id);
        frame.u32(id);
        frame.u32(stranger.id);
        frame.raw(bytes);
      });
    await answer(1, Buffer.from([0xdf]));
    expect(settled).toEqual(["HOLDFAST_ERR_REQUEST_FAILED"]);
    await answer(2, packValue("good"));
    expect(settled).toEqual(["HOLDFAST_ERR_REQUEST_FAILED", "good", undefined]);
    expect(errors).toMatchObject([{ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }]);
  });

  test("lives on whatever a frame has in it", async () => {
    const { stranger } = await together();
    const kinds = [
      FrameKind.broadcast,
      FrameKind.command,
      FrameKind.request,
      FrameKind.response,
      FrameKind.record,
    ];
    const frame = fc.record({
      kind: fc.constantFrom(...kinds),
      flags: fc.nat({ max: 31 }),
      keys: fc.constantFrom(0, 0, 1),
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .uint8Array({ maxLength: 30 })
          .map((bytes) => new Uint8Array([...new Uint8Array(4), Operation.fetchSockets, ...bytes])),
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 20 }), async (frames) => {
        for (const { kind, flags, keys, bytes } of frames) {
          void stranger.say(kind, flags, (outbox) => outbox.raw(bytes), keys);
        }
        await settle();
      }),
      { numRuns: 200 },
    );
    heard = [];
    await stranger.command(packValue(["still there"]));
    expect(heard).toEqual([["command", Operation.serverSideEmit, ["still there"]]]);
    expect(errors.every(({ code }) => code === "HOLDFAST_ERR_BROKEN_MESSAGE")).toBe(true);
    expect([...hub.members]).toHaveLength(2);
  });
});

describe("the hub", () => {
  test.each([
    ["a request that is cut", FrameKind.request, [1, 0, 0, 0]],
    ["a response that is cut", FrameKind.response, [1, 0]],
    ["a command that is cut", FrameKind.command, [1]],
    ["a command with more claims than bytes", FrameKind.command, [0xff, 0xff, 0xff, 0xff]],
    ["a count that is cut", FrameKind.count, []],
    ["interest that is cut", FrameKind.interest, [0, 0, 0, 0, 1]],
    ["interest without a sequence", FrameKind.interest, []],
    ["a record whose offset has no place", FrameKind.record, [0xff, 0xff, 0xff, 0x7f]],
    ["a session that is cut", FrameKind.sessionOpen, [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]],
    ["a question for a session that is cut", FrameKind.restore, [1, 0, 0, 0]],
    ["a namespace that is cut", FrameKind.open, [1]],
    ["a goodbye that is cut", FrameKind.leave, []],
    ["a kind that there is not", 200, []],
  ])("drops %s, and keeps the link", async (_, kind, bytes) => {
    const { stranger } = await together();
    await stranger.say(kind, 0, (frame) => frame.raw(Buffer.from(bytes)));
    expect(errors).toMatchObject([
      { code: "HOLDFAST_ERR_BROKEN_MESSAGE", message: expect.stringContaining("worker 2") },
    ]);
    await stranger.command(packValue(["next"]));
    expect(heard).toEqual([["command", Operation.serverSideEmit, ["next"]]]);
  });

  test("drops a frame that ends within its keys", async () => {
    const { stranger } = await together();
    const bytes = Buffer.alloc(HEADER_BYTES);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes[4] = FrameKind.broadcast;
    bytes.writeUInt16LE(0xffff, 6);
    bytes.writeUInt32LE(stranger.namespaceId, 8);
    await stranger.write(bytes);
    expect(errors).toMatchObject([{ code: "HOLDFAST_ERR_BROKEN_MESSAGE" }]);
  });

  test("counts no member's open requests below none, whatever it says", async () => {
    const { stranger } = await together();
    for (let i = 0; i < 3; i++) {
      await stranger.say(FrameKind.response, ResponseFlag.final, (frame) => {
        frame.u32(1);
        frame.u32(99);
        frame.u32(stranger.id);
      });
    }
    expect([...hub.members].map(({ unanswered }) => unanswered)).toEqual([0, 0]);
  });
});
