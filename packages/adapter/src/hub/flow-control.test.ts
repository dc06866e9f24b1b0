/** The hub and its members in one process, over links that take as much as the test says. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { Link, LinkEvents } from "../../dist/link/contract.js";
import { LINK_BYTES } from "../../dist/link/send-queue.js";
import { Member } from "../../dist/member/member.js";
import type { NamespacePort } from "../../dist/member/namespace-port.js";
import type { FrameBody, WritablePacket } from "../../dist/member/port-contract.js";
import { BATCH_BYTES } from "../../dist/wire/batch-buffers.js";
import type { FieldReader } from "../../dist/wire/field-reader.js";
import { packValue, readValue } from "../../dist/wire/values.js";

const MIB = 2 ** 20;
const STALL_MS = 2_000;
const MAX_PACKET_BYTES = 40_000;
const NO_ROOMS = new Set<string>();

/** By anybody, ever. */
let readBytes = 0;

/** One direction of a link. What is written stays here until the other end reads it. */
class Pipe implements Link {
  readonly kind = "pipe";
  #chunks: Buffer[] = [];
  pendingBytes = 0;
  readonly #to: () => LinkEvents | undefined;

  constructor(to: () => LinkEvents | undefined) {
    this.#to = to;
  }

  write(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      this.#chunks.push(Buffer.from(chunk));
      this.pendingBytes += chunk.length;
    }
  }

  /** The other end reads so many bytes. */
  read(bytes: number): void {
    for (let left = bytes; left > 0; ) {
      const first = this.#chunks.shift();
      if (!first) return;
      const chunk = first.subarray(0, left);
      if (chunk.length < first.length) this.#chunks.unshift(first.subarray(chunk.length));
      left -= chunk.length;
      this.pendingBytes -= chunk.length;
      readBytes += chunk.length;
      this.#to()?.onChunk(chunk);
    }
  }

  end(): void {}

  close(): void {
    this.#chunks = [];
    this.pendingBytes = 0;
  }
}

function bodyOf(value: unknown): FrameBody {
  const packed = packValue(value);
  return { bytes: packed.length, write: (outbox) => outbox.raw(packed) };
}

interface Received {
  readonly from: number;
  readonly number: number;
}

/** A worker: nothing happens in it unless it takes a turn. */
class Worker {
  readonly workerId: number;
  readonly received: Received[] = [];
  readonly errors: string[] = [];
  readonly inHub: HubMember;
  readonly port: NamespacePort;
  readonly #member: Member;
  #toHub: Pipe;
  #fromHub: Pipe;
  #hubEvents: LinkEvents | undefined;
  #events: LinkEvents | undefined;
  #sent = 0;

  constructor(hub: Hub, workerId: number, maxBacklogBytes = 2 ** 31) {
    this.workerId = workerId;
    this.#toHub = new Pipe(() => this.#hubEvents);
    this.#fromHub = new Pipe(() => this.#events);
    this.inHub = hub.admit({ workerId, pid: workerId }, (events) => {
      this.#hubEvents = events;
      return this.#fromHub;
    });
    this.#member = new Member({
      connect: () => true,
      disconnect: () => {},
      connected: false,
      looksOn: false,
    });
    this.port = this.#member.open("/", 0, {
      recovery: undefined,
      onBroadcast: (_rooms, _except, _flags, fields) => this.#onPacket(fields),
      onCommand: (_operation, fields) => void this.received.push(readValue(fields) as Received),
      onRequest: (_operation, fields, responder) => responder.finish(`${readValue(fields)} from ${workerId}`),
      onBroadcastWithAck: () => {},
      reportRooms: () => {},
      onRecoverable: () => {},
      onTaken: () => {},
      onError: (error) => void this.errors.push(error.code),
    });
    const admission = {
      member: this.inHub.id,
      roomSeed: hub.roomSeed,
      maxMessageBytes: MIB,
      maxBacklogBytes,
      backplane: "",
      hub: hub.host,
    };
    this.#member.join(admission, (events) => {
      this.#events = events;
      return this.#toHub;
    });
  }

  #onPacket(fields: FieldReader): void {
    this.received.push({ from: fields.u32(), number: fields.u32() });
  }

  emit(bytes: number): void {
    const number = ++this.#sent;
    const packet: WritablePacket = {
      offsetFromEnd: 0,
      bytes,
      write: (outbox) => {
        outbox.u32(this.workerId);
        outbox.u32(number);
        outbox.raw(Buffer.alloc(bytes));
      },
    };
    this.port.broadcast(packet, NO_ROOMS, NO_ROOMS, {});
  }

  /** The process runs for a moment: it writes, reads so much, and hears what the system has taken of it. */
  turn(readBytes: number): void {
    this.#member.flush();
    this.#fromHub.read(readBytes);
    this.#events?.onTaken();
    this.#member.flush();
  }

  /** The hub's process reads so much, and hears what the system has taken. */
  hubTurn(readBytes: number): void {
    this.#toHub.read(readBytes);
    this.#hubEvents?.onTaken();
    for (const { outbox } of hub.members) outbox.flush();
  }

  numbersFrom(workerId: number): number[] {
    return this.received.filter(({ from }) => from === workerId).map(({ number }) => number);
  }

  get sent(): number {
    return this.#sent;
  }
}

let hub: Hub;
let stalled: number[];

function start(workers: number): Worker[] {
  const started = Array.from({ length: workers }, (_, i) => new Worker(hub, i + 1));
  settle(started);
  return started;
}

/** Everybody takes turns until nothing is left to be read. */
function settle(workers: readonly Worker[]): void {
  for (let before = -1; before !== readBytes; ) {
    before = readBytes;
    for (const worker of workers) {
      worker.turn(Number.POSITIVE_INFINITY);
      worker.hubTurn(Number.POSITIVE_INFINITY);
    }
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function expectAllReceived(workers: readonly Worker[]): void {
  for (const to of workers) {
    for (const from of workers) {
      if (from !== to) expect(to.numbersFrom(from.workerId)).toEqual(upTo(from.sent));
    }
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  stalled = [];
  hub = new Hub(
    { maxMessageBytes: MIB, maxBacklogBytes: MIB, stallTimeout: STALL_MS, journalBytes: MIB },
    {
      onJoin: () => {},
      onLeave: () => {},
      onStalled: ({ workerId }) => void stalled.push(workerId),
      onJournalFull: () => {},
      onError: (error) => {
        throw error;
      },
    },
  );
});

afterEach(() => {
  hub.close();
  vi.useRealTimers();
});

test("whoever sends how much and reads when: nothing is lost, orders hold, and what waits is bounded", () => {
  const WORKERS = 4;
  const who = fc.integer({ min: 0, max: WORKERS - 1 });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ does: fc.constant("emit" as const), who, amount: fc.nat(30) }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant("turn" as const), who, amount: fc.nat(3) }) },
    { weight: 4, arbitrary: fc.record({ does: fc.constant("hub" as const), who, amount: fc.nat(6) }) },
  );
  let wasFull = false;
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 50, maxLength: 100 }),
      fc.integer({ min: 100, max: MAX_PACKET_BYTES }),
      (steps, bytes) => {
        const workers = start(WORKERS);
        try {
          for (const { does, who: index, amount } of steps) {
            const worker = workers[index] as Worker;
            if (does === "emit") for (let i = 0; i < amount; i++) worker.emit(bytes);
            else if (does === "turn") worker.turn(amount * 64 * 1024);
            else worker.hubTurn(amount * 64 * 1024);
            for (const { inHub } of workers) {
              wasFull ||= inHub.isFull;
              // What the others had given to their links or begun to when they were told, and what the hub gathers before
              // it looks.
              const onTheWay = (WORKERS - 1) * (2 * LINK_BYTES + BATCH_BYTES) + 2 * LINK_BYTES;
              expect(inHub.outbox.backlogBytes).toBeLessThan(MIB + onTheWay);
            }
          }
          settle(workers);
          expectAllReceived(workers);
          for (const { inHub } of workers)
            expect([inHub.isFull, inHub.outbox.backlogBytes]).toEqual([false, 0]);
        } finally {
          // Also when it fails: the next workers are to be alone in the hub.
          for (const { inHub } of workers) hub.remove(inHub);
        }
      },
    ),
    { numRuns: 30 },
  );
  expect(wasFull).toBe(true);
});

describe("while one worker takes nothing", () => {
  /** The first one sends as much as can wait for the last one, which has stopped; the hub and the others run. */
  function fill(workers: readonly Worker[]): void {
    const [sender, ...others] = workers as [Worker, ...Worker[]];
    others.pop();
    for (let i = 0; i < 100; i++) {
      sender.emit(MAX_PACKET_BYTES);
      runAll([sender, ...others], workers);
    }
  }

  function runAll(running: readonly Worker[], all: readonly Worker[]): void {
    for (const worker of running) worker.turn(Number.POSITIVE_INFINITY);
    for (const worker of all) worker.hubTurn(Number.POSITIVE_INFINITY);
  }

  test("who sends to it is slowed down, and goes on where it was", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, other, stopped] = workers;
    fill(workers);
    expect(stopped.inHub.isFull).toBe(true);
    expect(other.numbersFrom(1).length).toBeLessThan(sender.sent);
    settle(workers);
    expectAllReceived(workers);
  });

  test("what the held one says to the hub, asks it and answers goes through; what it says to others keeps its order", async () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, other] = workers;
    fill(workers);
    const before = other.numbersFrom(1).length;
    // The report of a room, as a join waits for it.
    sender.port.report?.add("room", { key: -1 } as never);
    const joined = sender.port.reported();
    const answers: unknown[] = [];
    other.port.requests.ask(4, undefined, bodyOf("question"), {
      timeoutMs: 1_000,
      onResponse: (value) => answers.push(value),
      onSettled: () => {},
    });
    sender.port.command(4, undefined, bodyOf({ from: 1, number: sender.sent + 1 }));
    for (let i = 0; i < 3; i++) runAll([sender, other], workers);
    await joined;
    expect(answers).toEqual(["question from 1"]);
    expect(other.numbersFrom(1)).toHaveLength(before);
    settle(workers);
    expect(other.numbersFrom(1)).toEqual(upTo(sender.sent + 1));
  });

  test("it is cut off when it has taken nothing for the whole time, and everything flows again", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, other] = workers;
    fill(workers);
    vi.advanceTimersByTime(STALL_MS);
    expect(stalled).toEqual([]);
    vi.advanceTimersByTime(STALL_MS / 10);
    expect(stalled).toEqual([3]);
    settle([sender, other]);
    expectAllReceived([sender, other]);
    sender.emit(10);
    settle([sender, other]);
    expectAllReceived([sender, other]);
  });

  test("it is not cut off if it takes something now and then, however little", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    fill(workers);
    for (let i = 0; i < 50; i++) {
      vi.advanceTimersByTime(STALL_MS * 0.9);
      workers[2].turn(1);
      workers[2].hubTurn(0);
    }
    expect([stalled, workers[2].inHub.isFull]).toEqual([[], true]);
    settle(workers);
    expectAllReceived(workers);
  });

  test("it is not cut off while less waits than is allowed", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, , stopped] = workers;
    for (let i = 0; i < 20; i++) {
      sender.emit(MAX_PACKET_BYTES);
      runAll([sender], workers);
    }
    vi.advanceTimersByTime(100 * STALL_MS);
    expect([stalled, stopped.inHub.isFull]).toEqual([[], false]);
    // It has been silent for long: what is too much is noticed at once.
    fill(workers);
    expect(stopped.inHub.isFull).toBe(true);
    vi.advanceTimersByTime(STALL_MS / 10);
    expect(stalled).toEqual([3]);
  });

  test("it is not cut off while it gives signs of life", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [, , busy] = workers;
    fill(workers);
    for (let i = 0; i < 50; i++) {
      vi.advanceTimersByTime(STALL_MS * 0.9);
      // Its loop turns, and it has something to say.
      busy.emit(1);
      busy.turn(0);
      busy.hubTurn(Number.POSITIVE_INFINITY);
    }
    expect(stalled).toEqual([]);
  });

  test("one that was held and leaves has sent all that it had to send", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, other, stopped] = workers;
    fill(workers);
    const { sent } = sender;
    sender.port.close();
    sender.hubTurn(Number.POSITIVE_INFINITY);
    settle([other, stopped]);
    expect(other.numbersFrom(1)).toEqual(upTo(sent));
    expect([...hub.members].map(({ workerId }) => workerId)).toEqual([2, 3]);
  });

  test("answers to a full member wait for it, in order, and those to others do not", () => {
    const workers = start(3) as [Worker, Worker, Worker];
    const [sender, other, stopped] = workers;
    const got = new Map<Worker, unknown[]>([
      [other, []],
      [stopped, []],
    ]);
    const ask = (worker: Worker, value: unknown) =>
      worker.port.requests.ask(4, undefined, bodyOf(value), {
        timeoutMs: 1_000,
        onResponse: (answer) => got.get(worker)?.push(answer),
        onSettled: () => {},
      });
    fill(workers);
    // Its questions get out, and it goes on reading nothing.
    for (const value of ["a", "b"]) ask(stopped, value);
    stopped.turn(0);
    stopped.hubTurn(Number.POSITIVE_INFINITY);
    for (const value of ["c", "d"]) ask(other, value);
    for (let i = 0; i < 3; i++) runAll([sender, other], workers);
    // From the sender alone: the stopped one was asked, too.
    expect(got.get(other)).toEqual(["c from 1", "d from 1"]);
    expect(got.get(stopped)).toEqual([]);
    settle(workers);
    const fromSender = got.get(stopped)?.filter((answer) => String(answer).endsWith("from 1"));
    expect(fromSender).toEqual(["a from 1", "b from 1"]);
    expectAllReceived([sender, other]);
  });
});
