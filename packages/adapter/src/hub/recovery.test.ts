import { afterEach, beforeEach, expect, test } from "vitest";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameKind,
  frameNamespace,
  OpenFlag,
  SessionFlag,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { OFFSET_BYTES } from "../../dist/wire/offset.js";

const MIB = 2 ** 20;
const BACKLOG_BYTES = 4 * MIB;
const OFFSET_PLACE = Buffer.alloc(OFFSET_BYTES, "~");

let hub: Hub;
let stalled: number[];

beforeEach(() => {
  stalled = [];
  const limits = { maxMessageBytes: MIB, maxBacklogBytes: BACKLOG_BYTES, journalBytes: 64 * MIB };
  hub = new Hub(limits, {
    onJoin: () => {},
    onLeave: () => {},
    onStalled: ({ workerId }) => void stalled.push(workerId),
    onJournalFull: () => {},
    onError: (error) => {
      throw error;
    },
  });
});

afterEach(() => hub.close());

/** A worker of one namespace, seen from the hub: says what it is told to, and notes what it hears. */
class FakeWorker {
  readonly workerId: number;
  readonly member: HubMember;
  /** Kind and fields of each frame. */
  readonly heard: { kind: number; fields: () => FieldReader }[] = [];
  namespaceId = 0;
  lastOffset = "";
  /** Bytes that it has not taken, if it has stopped. */
  pendingBytes = 0;
  #events: LinkEvents | undefined;
  readonly #says: Outbox;

  constructor(workerId: number) {
    this.workerId = workerId;
    const reader = new FrameReader((buffer, start, end) => this.#hear(buffer, start, end), MIB);
    const pendingBytes = () => this.pendingBytes;
    this.member = hub.admit({ workerId, pid: workerId }, (events) => {
      this.#events = events;
      return {
        kind: "pipe",
        get pendingBytes() {
          return pendingBytes();
        },
        write: (chunks) => {
          for (const chunk of chunks) {
            if (this.pendingBytes > 0) this.pendingBytes += chunk.length;
            else reader.push(Buffer.from(chunk));
          }
        },
        end: () => {},
        close: () => {},
      };
    });
    const toHub = {
      kind: "pipe" as const,
      pendingBytes: 0,
      write: (chunks: readonly Buffer[]) => this.#events?.onChunk(Buffer.concat(chunks)),
      end: () => {},
      close: () => {},
    };
    this.#says = new Outbox(toHub, Number.POSITIVE_INFINITY, { onFull: () => {} });
    this.say(FrameKind.open, OpenFlag.recovery, (frame) => {
      frame.u32(1);
      frame.u32(60_000);
      frame.u32(60_000);
      frame.raw(Buffer.from("/"));
    });
  }

  get kinds(): number[] {
    return this.heard.map(({ kind }) => kind);
  }

  #hear(buffer: Buffer, start: number, end: number): void {
    const kind = frameKind(buffer, start);
    const fields = () => new FieldReader(buffer, frameFields(buffer, start), end);
    if (kind === FrameKind.opened) this.namespaceId = frameNamespace(buffer, start);
    // Both end with an offset.
    if (kind === FrameKind.opened || kind === FrameKind.record) {
      this.lastOffset = fields().tail(OFFSET_BYTES, OFFSET_BYTES).toString("latin1");
    }
    this.heard.push({ kind, fields });
  }

  say(kind: number, flags: number, write: (frame: Outbox) => void): void {
    this.write(kind, flags, write);
    this.#says.flush();
    this.listen();
  }

  /** Says something together with what is said next. */
  write(kind: number, flags: number, write: (frame: Outbox) => void): void {
    this.#says.begin(kind, flags, this.namespaceId);
    write(this.#says);
    this.#says.end();
  }

  flush(): void {
    this.#says.flush();
  }

  /** Hears what the hub would have sent at the end of its turn. */
  listen(): void {
    this.member.outbox.flush();
  }

  record(bytes: number): void {
    this.write(FrameKind.record, 0, (frame) => {
      frame.u32(OFFSET_BYTES);
      frame.names(new Set());
      frame.names(new Set());
      frame.raw(Buffer.alloc(bytes));
      frame.raw(OFFSET_PLACE);
    });
  }

  openSession(handle: number, privateId: string, ...rooms: string[]): void {
    this.say(FrameKind.sessionOpen, 0, (frame) => {
      frame.u32(handle);
      frame.text(privateId);
      frame.text("sid");
      frame.names(new Set(["sid", ...rooms]));
    });
  }

  endSession(handle: number): void {
    this.say(FrameKind.sessionEnd, SessionFlag.recoverable, (frame) => frame.u32(handle));
  }

  restore(handle: number, privateId: string, offset: string): void {
    this.say(FrameKind.restore, 0, (frame) => {
      frame.u32(1);
      frame.u32(handle);
      frame.text(privateId);
      frame.text(offset);
    });
  }

  sessionRestored(handle: number, ...rooms: string[]): void {
    this.say(FrameKind.sessionRestored, 0, (frame) => {
      frame.u32(handle);
      frame.names(new Set(["sid", ...rooms]));
    });
  }

  /** The session of the last answer to `restore`. */
  restored(): { rooms: string[]; missed: number } | undefined {
    const frame = this.heard.findLast(({ kind }) => kind === FrameKind.restored);
    if (!frame) return undefined;
    const fields = frame.fields();
    fields.skip(4 + 4 + OFFSET_BYTES);
    if (fields.done) return undefined;
    fields.text();
    const rooms = [...fields.names()];
    fields.skip(fields.u32());
    return { rooms, missed: fields.u32() };
  }
}

test("a packet whose delivery cuts the owner of a session off comes once to who gets the session then", async () => {
  const owner = new FakeWorker(1);
  const heir = new FakeWorker(2);
  const sender = new FakeWorker(3);
  owner.openSession(7, "p");
  owner.pendingBytes = BACKLOG_BYTES;
  // The fence is not answered.
  heir.restore(8, "p", heir.lastOffset);
  heir.heard.length = 0;
  // So much that the hub writes to the owner before the second has gone to the others.
  sender.record(150_000);
  sender.record(150_000);
  sender.flush();
  await Promise.resolve();
  heir.listen();
  expect(stalled).toEqual([1]);
  const missed = heir.restored()?.missed ?? 0;
  expect(missed).toBeGreaterThan(0);
  expect(heir.kinds).toEqual([
    ...Array(2).fill(FrameKind.record),
    FrameKind.restored,
    ...Array(missed).fill(FrameKind.record),
    FrameKind.left,
  ]);
});

test("who was cut off and comes back keeps a session that nobody else has had since", () => {
  const owner = new FakeWorker(1);
  const sender = new FakeWorker(2);
  owner.openSession(7, "p", "early");
  hub.remove(owner.member);
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
  const returned = new FakeWorker(1);
  returned.openSession(7, "p", "early", "while it was away");
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 0 });
  expect(returned.kinds).not.toContain(FrameKind.fence);
  returned.endSession(7);
  sender.restore(9, "p", sender.lastOffset);
  expect(sender.restored()?.rooms).toEqual(["sid", "early", "while it was away"]);
});

test("who was cut off and comes back has lost the session that another has had since, even if that one lets go", () => {
  const owner = new FakeWorker(1);
  const heir = new FakeWorker(2);
  owner.openSession(7, "p", "early");
  hub.remove(owner.member);
  heir.restore(8, "p", heir.lastOffset);
  heir.sessionRestored(8, "later");
  heir.endSession(8);
  const returned = new FakeWorker(1);
  returned.openSession(7, "p", "early");
  expect(returned.kinds).toContain(FrameKind.fence);
  returned.endSession(7);
  heir.restore(9, "p", heir.lastOffset);
  expect(heir.restored()?.rooms).toEqual(["sid", "later"]);
});

test("who was cut off and comes back does not take a session from the one who waits for it", async () => {
  const owner = new FakeWorker(1);
  const heir = new FakeWorker(2);
  owner.openSession(7, "p");
  hub.remove(owner.member);
  // Too much is on its way to the heir for now.
  heir.pendingBytes = BACKLOG_BYTES / 2;
  heir.restore(8, "p", heir.lastOffset);
  const returned = new FakeWorker(1);
  returned.openSession(7, "p");
  expect(returned.kinds).toContain(FrameKind.fence);
  heir.pendingBytes = 0;
  while (!heir.restored()) {
    await new Promise((done) => setTimeout(done, 1));
    heir.listen();
  }
  returned.endSession(7);
  heir.sessionRestored(8, "later");
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 0 });
  returned.restore(10, "p", heir.lastOffset);
  heir.endSession(8);
  returned.listen();
  expect(returned.restored()?.rooms).toEqual(["sid", "later"]);
});

test("a session that is too large for one message is not given, and costs nobody the link", () => {
  const owner = new FakeWorker(1);
  const heir = new FakeWorker(2);
  owner.openSession(7, "p");
  const half = Buffer.alloc(0.6 * MIB, "x");
  owner.say(FrameKind.sessionData, 0, (frame) => {
    frame.u32(7);
    frame.raw(half);
  });
  owner.say(FrameKind.sessionRooms, 0, (frame) => {
    frame.u32(7);
    frame.u8(1);
    frame.names(new Set([half.toString()]));
  });
  owner.endSession(7);
  heir.restore(8, "p", heir.lastOffset);
  expect(heir.kinds).toContain(FrameKind.restored);
  expect(heir.restored()).toBeUndefined();
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
});
