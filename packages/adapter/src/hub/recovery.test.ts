import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Hub, type HubEvents, type HubOptions } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { OnNumbered, Order } from "../../dist/hub/order.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  BroadcastFlag,
  FrameKind,
  frameFields,
  frameKind,
  frameNamespace,
  OpenFlag,
  SessionFlag,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { machineTime } from "../../dist/wire/machine-time.js";
import { OFFSET_BYTES } from "../../dist/wire/offset.js";

const MIB = 2 ** 20;
const BACKLOG_BYTES = 4 * MIB;
/** Less than an owner has to answer a fence. */
const STALL_MS = 400;
const OFFSET_PLACE = Buffer.alloc(OFFSET_BYTES, "~");

let hub: Hub;
let stalled: number[];

function openHub(options?: HubOptions): void {
  stalled = [];
  const limits = {
    maxMessageBytes: MIB,
    maxBacklogBytes: BACKLOG_BYTES,
    stallTimeout: STALL_MS,
    journalBytes: 64 * MIB,
  };
  const events: HubEvents = {
    onJoin: () => {},
    onLeave: () => {},
    onStalled: ({ workerId }) => void stalled.push(workerId),
    onJournalFull: () => {},
    onError: (error) => {
      throw error;
    },
  };
  hub = new Hub(limits, events, options);
}

beforeEach(() => openHub());

afterEach(() => hub.close());

/** A worker of one namespace, seen from the hub: says what it is told to, and notes what it hears. */
class FakeWorker {
  readonly workerId: number;
  readonly member: HubMember;
  /** Kind and fields of each frame. */
  readonly heard: { kind: number; fields: () => FieldReader }[] = [];
  namespaceId = 0;
  lastOffset = "";
  /** Bytes that it will not take, if it has stopped. */
  pendingBytes = 0;
  /** Whether it takes bytes only when it is told to. */
  isSlow = false;
  readonly #untaken: Buffer[] = [];
  readonly #reader: FrameReader;
  #events: LinkEvents | undefined;
  readonly #says: Outbox;

  constructor(workerId: number) {
    this.workerId = workerId;
    this.#reader = new FrameReader((buffer, start, end) => this.#hear(buffer, start, end), MIB);
    const pendingBytes = () => this.#untaken.reduce((sum, { length }) => sum + length, this.pendingBytes);
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
            else if (this.isSlow) this.#untaken.push(Buffer.from(chunk));
            else this.#reader.push(Buffer.from(chunk));
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
    this.#says = new Outbox(toHub);
    this.open();
  }

  open(): void {
    this.say(FrameKind.open, OpenFlag.recovery, (frame) => {
      frame.u32(1);
      frame.u64(Math.floor(machineTime()));
      frame.u32(60_000);
      frame.u32(60_000);
      frame.raw(Buffer.from("/", "utf16le"));
    });
  }

  /** Takes what waits for it, or this many bytes of it. */
  take(bytes = Number.POSITIVE_INFINITY): void {
    for (let left = bytes; left > 0 && this.#untaken[0]; ) {
      const chunk = this.#untaken.shift() as Buffer;
      if (chunk.length > left) this.#untaken.unshift(chunk.subarray(left));
      this.#reader.push(chunk.subarray(0, left));
      left -= chunk.length;
    }
    this.#events?.onTaken();
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

  record(filler: number | string, flags = 0): void {
    this.write(FrameKind.record, flags, (frame) => {
      frame.u32(OFFSET_BYTES);
      frame.u32(this.member.id);
      frame.names(new Set());
      frame.names(new Set());
      frame.raw(typeof filler === "number" ? Buffer.alloc(filler) : Buffer.from(filler));
      frame.raw(OFFSET_PLACE);
    });
  }

  /** Fillers of the packets that it has heard, in order, and of broadcasts in brackets. */
  get packets(): string[] {
    return this.heard.flatMap(({ kind, fields }) => {
      if (kind === FrameKind.placed) return "placed";
      if (kind !== FrameKind.record && kind !== FrameKind.broadcast) return [];
      const frame = fields();
      if (kind === FrameKind.record) frame.skip(8);
      frame.names();
      frame.names();
      const packet = frame.rest().toString("latin1");
      return kind === FrameKind.record ? packet.slice(0, -OFFSET_BYTES) : `(${packet})`;
    });
  }

  /** Fillers of what the client of a session has missed, and of what has come for it since: of all packets. */
  client(handle: number): string[] {
    const fillers: string[] = [];
    let [missed, isRestored] = [0, false];
    for (const { kind, fields } of this.heard) {
      const frame = fields();
      if (kind === FrameKind.missed || kind === FrameKind.restored) {
        expect([missed, frame.u32()]).toEqual([0, handle]);
        if (kind === FrameKind.restored) {
          isRestored = true;
          missed = this.restored()?.missed ?? 0;
        } else missed = frame.u32();
      } else if (kind === FrameKind.record) {
        frame.skip(8);
        frame.names();
        frame.names();
        if (missed > 0 || isRestored) fillers.push(frame.rest().toString("latin1").slice(0, -OFFSET_BYTES));
        missed = Math.max(0, missed - 1);
      }
    }
    return fillers;
  }

  broadcast(filler: string): void {
    this.write(FrameKind.broadcast, 0, (frame) => {
      frame.names(new Set());
      frame.names(new Set());
      frame.raw(Buffer.from(filler));
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

  restore(handle: number, privateId: string, offset: string, askedAt = Math.floor(performance.now())): void {
    this.say(FrameKind.restore, 0, (frame) => {
      frame.u32(handle);
      frame.u64(askedAt);
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

  /** Settles when it has an answer to `restore`. */
  async answered(): Promise<void> {
    while (!this.kinds.includes(FrameKind.restored)) {
      await new Promise((done) => setTimeout(done, 1));
      this.listen();
    }
  }

  /** The handles of answers to `restore`, with a session and without one. */
  answers(): { given: number[]; none: number[] } {
    const answers: ReturnType<typeof this.answers> = { given: [], none: [] };
    for (const { kind, fields } of this.heard) {
      if (kind !== FrameKind.restored) continue;
      const frame = fields();
      const handle = frame.u32();
      frame.skip(OFFSET_BYTES);
      answers[frame.done ? "none" : "given"].push(handle);
    }
    return answers;
  }

  /** The session of the last answer to `restore`. */
  restored(): { rooms: string[]; missed: number } | undefined {
    const frame = this.heard.findLast(({ kind }) => kind === FrameKind.restored);
    if (!frame) return undefined;
    const fields = frame.fields();
    fields.skip(4 + OFFSET_BYTES);
    if (fields.done) return undefined;
    fields.text();
    const rooms = [...fields.names()];
    fields.skip(fields.u32());
    return { rooms, missed: fields.u32() };
  }
}

test("the session of a holder that is cut off goes to who waits for it, with each packet once", async () => {
  const holder = new FakeWorker(1);
  const heir = new FakeWorker(2);
  const sender = new FakeWorker(3);
  holder.openSession(7, "p");
  holder.pendingBytes = BACKLOG_BYTES;
  // The fence is not answered.
  heir.restore(8, "p", heir.lastOffset);
  heir.heard.length = 0;
  sender.record(150_000);
  sender.record(150_000);
  sender.flush();
  heir.listen();
  expect([stalled, heir.kinds]).toEqual([[], Array(2).fill(FrameKind.record)]);
  await heir.answered();
  expect(stalled).toEqual([1]);
  expect(heir.restored()?.missed).toBe(2);
  expect(heir.kinds).toEqual([
    ...Array(2).fill(FrameKind.record),
    FrameKind.left,
    FrameKind.restored,
    ...Array(2).fill(FrameKind.record),
  ]);
});

test("who was cut off and comes back keeps a session that nobody else has had since", async () => {
  const holder = new FakeWorker(1);
  const sender = new FakeWorker(2);
  holder.openSession(7, "p", "early");
  hub.remove(holder.member);
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
  const returned = new FakeWorker(1);
  returned.openSession(7, "p", "early", "while it was away");
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 0 });
  expect(returned.kinds).not.toContain(FrameKind.fence);
  returned.endSession(7);
  sender.restore(9, "p", sender.lastOffset);
  await sender.answered();
  expect(sender.restored()?.rooms).toEqual(["sid", "early", "while it was away"]);
});

test("who was cut off and comes back has lost the session that another has had since, even if that one lets go", async () => {
  const holder = new FakeWorker(1);
  const heir = new FakeWorker(2);
  holder.openSession(7, "p", "early");
  hub.remove(holder.member);
  heir.restore(8, "p", heir.lastOffset);
  await heir.answered();
  heir.sessionRestored(8, "later");
  heir.endSession(8);
  const returned = new FakeWorker(1);
  returned.openSession(7, "p", "early");
  expect(returned.kinds).toContain(FrameKind.fence);
  returned.endSession(7);
  heir.heard.length = 0;
  heir.restore(9, "p", heir.lastOffset);
  await heir.answered();
  expect(heir.restored()?.rooms).toEqual(["sid", "later"]);
});

test("who was cut off and comes back does not take a session from the one who waits for it", async () => {
  const holder = new FakeWorker(1);
  const heir = new FakeWorker(2);
  holder.openSession(7, "p");
  hub.remove(holder.member);
  // Too much is on its way to the heir for now.
  heir.pendingBytes = BACKLOG_BYTES * 0.9;
  heir.restore(8, "p", heir.lastOffset);
  const returned = new FakeWorker(1);
  returned.openSession(7, "p");
  expect(returned.kinds).toContain(FrameKind.fence);
  heir.pendingBytes = 0;
  await heir.answered();
  returned.endSession(7);
  heir.sessionRestored(8, "later");
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 0 });
  returned.restore(10, "p", heir.lastOffset);
  heir.endSession(8);
  await returned.answered();
  expect(returned.restored()?.rooms).toEqual(["sid", "later"]);
});

test("a session that is too large for one message is not given, and costs nobody the link", async () => {
  const holder = new FakeWorker(1);
  const heir = new FakeWorker(2);
  holder.openSession(7, "p");
  const half = Buffer.alloc(0.6 * MIB, "x");
  holder.say(FrameKind.sessionData, 0, (frame) => {
    frame.u32(7);
    frame.raw(half);
  });
  holder.say(FrameKind.sessionRooms, 0, (frame) => {
    frame.u32(7);
    frame.u8(1);
    frame.names(new Set([half.toString()]));
  });
  holder.endSession(7);
  heir.restore(8, "p", heir.lastOffset);
  await heir.answered();
  expect(heir.restored()).toBeUndefined();
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
});

test("a client that has missed more than its link may hold gets it in portions, and then what came meanwhile", async () => {
  const [holder, heir, sender] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
  heir.isSlow = true;
  holder.openSession(7, "p");
  const { lastOffset } = holder;
  holder.endSession(7);
  const sent: string[] = [];
  const send = (bytes: number) => {
    sent.push(String(sent.length).padEnd(bytes, "."));
    sender.record(sent.at(-1) as string);
  };
  // Heard by nobody who could be asked for it later.
  hub.remove(heir.member);
  for (let i = 0; i < 150; i++) send(100_000);
  sender.flush();
  const late = new FakeWorker(4);
  late.isSlow = true;
  late.restore(8, "p", lastOffset);
  let largest = 0;
  while (!late.kinds.includes(FrameKind.restored)) {
    await new Promise(setImmediate);
    late.listen();
    largest = Math.max(largest, late.member.outbox.backlogBytes);
    late.take(300_000);
    if (sent.length < 180) send(1_000);
    sender.flush();
  }
  late.take();
  for (let i = 0; i < 3; i++) send(1_000);
  sender.flush();
  late.listen();
  late.take();
  expect(stalled).toEqual([]);
  // What is live and what was missed share the link: the worker takes apart what belongs to the client.
  expect(late.client(8)).toEqual(sent);
  expect(largest).toBeLessThan(BACKLOG_BYTES / 4);
});

test("a question is taken back when its client has gone, and the session waits for the next one", async () => {
  const [holder, heir] = [new FakeWorker(1), new FakeWorker(2)];
  holder.openSession(7, "p", "r");
  holder.endSession(7);
  heir.restore(8, "p", heir.lastOffset);
  heir.endSession(8);
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
  heir.restore(9, "p", heir.lastOffset);
  await heir.answered();
  expect(heir.kinds.filter((kind) => kind === FrameKind.restored)).toHaveLength(1);
  expect(heir.restored()?.rooms).toEqual(["sid", "r"]);
});

test("a holder that is silent has its time once, however often the session is asked for", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
  try {
    const [holder, heir] = [new FakeWorker(1), new FakeWorker(2)];
    holder.openSession(7, "p");
    for (let handle = 10; handle < 20; handle++) {
      heir.restore(handle, "p", heir.lastOffset);
      vi.advanceTimersByTime(99);
    }
    holder.listen();
    expect(holder.kinds.filter((kind) => kind === FrameKind.fence)).toHaveLength(1);
    expect(heir.restored()).toBeUndefined();
    vi.advanceTimersByTime(20);
    heir.listen();
    expect(heir.answers()).toEqual({ given: [19], none: [10, 11, 12, 13, 14, 15, 16, 17, 18] });
  } finally {
    vi.useRealTimers();
  }
});

test("of those that ask for a session, the newest gets it, in whatever order the hub reads them", async () => {
  const [holder, one, other] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
  holder.openSession(7, "p");
  holder.endSession(7);
  other.restore(8, "p", other.lastOffset, 3e9);
  // Its client has gone from there, which it may not know yet.
  one.restore(9, "p", one.lastOffset, 3e9 - 1);
  await other.answered();
  one.restore(10, "p", one.lastOffset, 3e9 - 2);
  await one.answered();
  one.listen();
  expect(other.answers()).toEqual({ given: [8], none: [] });
  expect(one.answers()).toEqual({ given: [], none: [9, 10] });
});

test("of two that ask for a session, the newer one gets it, or the other if the newer one takes its question back", async () => {
  const [holder, one, other] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
  holder.openSession(7, "p");
  one.restore(8, "p", one.lastOffset);
  other.restore(9, "p", other.lastOffset);
  other.endSession(9);
  other.restore(10, "p", other.lastOffset);
  one.restore(11, "p", one.lastOffset);
  one.endSession(11);
  holder.endSession(7);
  await other.answered();
  one.listen();
  expect(other.answers()).toEqual({ given: [10], none: [] });
  expect(one.answers()).toEqual({ given: [], none: [8] });
});

test("a question that is taken back at once disturbs no holder", async () => {
  const [holder, stranger] = [new FakeWorker(1), new FakeWorker(2)];
  holder.openSession(7, "p");
  stranger.restore(8, "p", stranger.lastOffset);
  stranger.endSession(8);
  stranger.restore(9, "nobody", stranger.lastOffset);
  await stranger.answered();
  await new Promise(setImmediate);
  holder.listen();
  expect(holder.kinds).not.toContain(FrameKind.fence);
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 0 });
});

test("a session whose packets are dropped while it waits is declined, and can be asked for with a newer offset", async () => {
  const [holder, heir, sender] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
  holder.openSession(7, "p");
  holder.endSession(7);
  const { lastOffset } = heir;
  heir.pendingBytes = BACKLOG_BYTES * 0.9;
  heir.restore(8, "p", lastOffset);
  // Every packet is for everybody, and more than the journal holds is sent.
  for (let i = 0; i < 700; i++) {
    sender.record(100_000);
    sender.flush();
    sender.listen();
    heir.pendingBytes = BACKLOG_BYTES * 0.9;
    holder.listen();
  }
  expect(stalled).toEqual([]);
  heir.pendingBytes = 0;
  await heir.answered();
  expect(heir.restored()).toBeUndefined();
  expect(hub.recoveryStats).toMatchObject({ sessions: 1, suspended: 1 });
  heir.heard.length = 0;
  heir.restore(9, "p", holder.lastOffset);
  await heir.answered();
  expect(heir.restored()).toMatchObject({ rooms: ["sid"], missed: 0 });
});

/** Numbers packets when it is told to, as one does that has to ask elsewhere. */
class LateOrder implements Order<HubMember> {
  readonly epoch = "late";
  readonly #onNumbered: OnNumbered<HubMember>;
  readonly #waiting: { readonly sender: HubMember; readonly frame: Buffer }[] = [];
  #last = 0;

  constructor(onNumbered: OnNumbered<HubMember>) {
    this.#onNumbered = onNumbered;
  }

  number(sender: HubMember, buffer: Buffer, start: number, end: number): void {
    this.#waiting.push({ sender, frame: Buffer.from(buffer.subarray(start, end)) });
  }

  /** Numbers the next `count` packets. @param gap how many numbers others have had meanwhile */
  complete(count = this.#waiting.length, gap = 0): void {
    this.#last += gap;
    for (const { sender, frame } of this.#waiting.splice(0, count)) {
      this.#onNumbered(sender, frame, 0, frame.length, ++this.#last);
    }
  }

  close(): void {}
}

test("a session that was given, and whose namespace was closed and opened again, gives nothing back any more", () => {
  const old = new FakeWorker(1);
  const heir = new FakeWorker(2);
  old.openSession(7, "p");
  old.say(FrameKind.sessionMove, 0, (frame) => {
    frame.u32(7);
    frame.u32(heir.member.id);
  });
  heir.broadcast("meant for the session too");
  heir.flush();
  heir.listen();
  expect(heir.kinds.slice(1)).toEqual([FrameKind.sessionArriving, FrameKind.returned, FrameKind.broadcast]);
  heir.say(FrameKind.close, 0, () => {});
  heir.open();
  heir.heard.length = 0;
  heir.broadcast("for others");
  heir.flush();
  heir.listen();
  expect(heir.kinds).toEqual([]);
});

describe("an order that numbers packets later", () => {
  let order: LateOrder;

  beforeEach(() => {
    hub.close();
    openHub({
      makeOrder: (onNumbered) => {
        order = new LateOrder(onNumbered);
        return order;
      },
    });
  });

  test("has them relayed and confirmed when they have their numbers, in their order", () => {
    const [one, other] = [new FakeWorker(1), new FakeWorker(2)];
    one.record("1", BroadcastFlag.echo);
    one.flush();
    other.record("2");
    other.record("3", BroadcastFlag.echo);
    other.flush();
    for (const worker of [one, other]) worker.listen();
    expect([one.packets, other.packets]).toEqual([[], []]);
    order.complete(1);
    order.complete(2, 7);
    for (const worker of [one, other]) worker.listen();
    expect([one.packets, other.packets]).toEqual([
      ["placed", "2", "3"],
      ["1", "2", "placed"],
    ]);
    expect(one.lastOffset).toBe("late000000000a");
  });

  test("lets nothing overtake a packet of the same member", () => {
    const [sender, receiver] = [new FakeWorker(1), new FakeWorker(2)];
    sender.broadcast("a");
    sender.record("1");
    sender.broadcast("b");
    sender.record("2");
    sender.broadcast("c");
    sender.broadcast("d");
    sender.flush();
    receiver.broadcast("not behind others' packets");
    receiver.flush();
    for (const worker of [sender, receiver]) worker.listen();
    expect([receiver.packets, sender.packets]).toEqual([["(a)"], ["(not behind others' packets)"]]);
    order.complete(1);
    receiver.listen();
    expect(receiver.packets).toEqual(["(a)", "1", "(b)"]);
    order.complete();
    sender.broadcast("e");
    sender.flush();
    receiver.listen();
    expect(receiver.packets).toEqual(["(a)", "1", "(b)", "2", "(c)", "(d)", "(e)"]);
  });

  test("has packets relayed whose sender has left, and what came behind them", () => {
    const [sender, receiver] = [new FakeWorker(1), new FakeWorker(2)];
    sender.record("1", BroadcastFlag.echo);
    sender.broadcast("a");
    sender.flush();
    hub.remove(sender.member);
    order.complete();
    receiver.listen();
    expect(receiver.packets).toEqual(["1", "(a)"]);
  });

  test("leaves nothing out and repeats nothing for a session that is restored in between", async () => {
    const [holder, heir, sender] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
    holder.openSession(7, "p");
    sender.record("0");
    sender.flush();
    order.complete();
    holder.listen();
    holder.endSession(7);
    for (const filler of ["1", "2", "3"]) sender.record(filler);
    sender.flush();
    order.complete(1);
    heir.listen();
    heir.heard.length = 0;
    heir.restore(8, "p", holder.lastOffset);
    await heir.answered();
    sender.record("4");
    sender.flush();
    order.complete();
    heir.listen();
    expect(heir.restored()?.missed).toBe(1);
    expect(heir.packets).toEqual(["1", "2", "3", "4"]);
    expect(heir.kinds).toEqual([FrameKind.restored, ...Array(4).fill(FrameKind.record)]);
  });

  test("answers whoever asks for a session behind packets of its own when they have their numbers", async () => {
    const [holder, heir] = [new FakeWorker(1), new FakeWorker(2)];
    holder.openSession(7, "p");
    heir.record("0");
    heir.flush();
    order.complete();
    holder.listen();
    holder.endSession(7);
    heir.record("1");
    heir.flush();
    heir.restore(8, "p", holder.lastOffset);
    heir.record("2");
    heir.flush();
    await new Promise((done) => setImmediate(done));
    heir.listen();
    expect(heir.kinds).not.toContain(FrameKind.restored);
    order.complete(1);
    await heir.answered();
    expect(heir.restored()?.missed).toBe(1);
    order.complete();
    heir.listen();
    expect(heir.client(8)).toEqual(["1", "2"]);
  });

  test("gives no session to a member that is gone before its packets have their numbers", async () => {
    const [holder, gone, heir] = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)];
    holder.openSession(7, "p");
    holder.endSession(7);
    gone.record("1");
    gone.flush();
    gone.restore(8, "p", holder.lastOffset);
    hub.remove(gone.member);
    order.complete();
    heir.restore(9, "p", holder.lastOffset);
    await heir.answered();
    expect([heir.answers(), hub.recoveryStats.asked]).toEqual([{ given: [9], none: [] }, 1]);
  });
});
