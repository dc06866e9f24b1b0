/** A lane with a channel, handles and a clock that the test moves. */
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { monotonicMs } from "../../dist/clock.js";
import type { Handover } from "../../dist/handle/handover.js";
import { Lane } from "../../dist/handle/lane.js";
import type { Handle } from "../../dist/handle/node-internals.js";
import type { Ticket } from "../../dist/wire/messages.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "hrtime"] });
});
afterEach(() => void vi.useRealTimers());

/** An IPC channel as Node.js has it, as far as lanes look at it. */
class FakeChannel extends EventEmitter {
  _handleQueue: unknown[] | null = null;
  readonly sent: { ticket: Ticket | undefined; name: string }[] = [];
  readonly pipe = { bytesRead: 0 };

  constructor() {
    super();
    Object.defineProperty(this, Symbol("kChannelHandle"), { value: this.pipe });
  }

  send(message: { ticket: Ticket | undefined; name: string }): void {
    this._handleQueue = [];
    this.sent.push(message);
  }

  settle(cmd: "NODE_HANDLE_ACK" | "NODE_HANDLE_NACK" = "NODE_HANDLE_ACK"): void {
    this.pipe.bytesRead += 10;
    this._handleQueue = null;
    this.emit("internalMessage", { cmd });
  }
}

function createLane(hasStall = true) {
  const channel = new FakeChannel();
  const told: unknown[] = [];
  let onItsWay = 0;
  const names = (handovers: readonly Handover[]) => handovers.map(({ name }) => name);
  const lane = new Lane(
    channel,
    {
      toMessage: ({ name }, ticket) => ({ name, ticket }),
      onSent: (by) => {
        onItsWay += by;
      },
      onRefused: ({ name }) => told.push(["refused", name]),
    },
    hasStall
      ? {
          afterMs: 2_000,
          maxWaitMs: 5_000,
          canRevoke: ({ owner }) => owner === -1,
          onStalled: (handovers) => told.push(["stalled", ...names(handovers)]),
          onResumed: () => told.push("resumed"),
        }
      : undefined,
  );
  const push = (name: string, owner = -1) => {
    const handle = { close: () => told.push(["closed", name]) } as unknown as Handle;
    const onTaken = () => told.push(["taken", name]);
    const handover: Handover = { handle, name, head: "", peer: undefined, owner, onTaken };
    lane.push(handover);
    return handover;
  };
  const counts = () => ({ sent: onItsWay, waiting: lane.waiting, revoked: lane.revoked });
  return { channel, lane, push, told, counts, sent: () => channel.sent.map(({ name }) => name), names };
}

test("one is sent at a time, and this process's copy is closed when the other has taken it", () => {
  const { channel, lane, push, told, sent } = createLane();
  for (const name of ["a", "b"]) push(name);
  expect([sent(), lane.length]).toEqual([["a"], 2]);
  channel.settle();
  expect(told).toEqual([
    ["closed", "a"],
    ["taken", "a"],
  ]);
  channel.settle("NODE_HANDLE_NACK");
  expect([told.at(-1), sent(), lane.length]).toEqual([["refused", "b"], ["a", "b"], 0]);
});

test("somebody else's handle on the channel is waited for", () => {
  const { channel, push, sent } = createLane();
  channel._handleQueue = [];
  push("a");
  expect(sent()).toEqual([]);
  channel.settle();
  expect(sent()).toEqual(["a"]);
});

test("without progress it gives back what waits, the one on the channel too, and tells of the next progress", () => {
  const { channel, lane, push, told, sent } = createLane();
  for (const name of ["a", "b"]) push(name);
  vi.advanceTimersByTime(2_001);
  expect(told).toEqual([["stalled", "a", "b"]]);
  expect([lane.isStalled(), lane.length]).toEqual([true, 0]);
  // The receiver gets it all the same, and asks.
  expect(lane.grant(channel.sent[0]?.ticket?.id ?? 0)).toBe(false);
  channel.settle();
  expect([told.at(-1), lane.isStalled()]).toEqual(["resumed", false]);
  push("c");
  expect(sent()).toEqual(["a", "c"]);
  expect(lane.grant(channel.sent[1]?.ticket?.id ?? 0)).toBe(true);
});

test("what belongs to a session stays on the channel", () => {
  const { channel, lane, push, told } = createLane();
  push("a", 7);
  push("b");
  vi.advanceTimersByTime(2_001);
  expect(told).toEqual([["stalled", "b"]]);
  expect([channel.sent[0]?.ticket, lane.length]).toEqual([undefined, 1]);
  channel.settle();
  expect(told.slice(1)).toEqual([["closed", "a"], ["taken", "a"], "resumed"]);
});

test("progress is enough, until one has waited too long", () => {
  const { channel, push, told } = createLane();
  for (const name of ["a", "b", "c", "d", "e"]) push(name);
  for (let i = 0; i < 3; i++) {
    vi.advanceTimersByTime(1_500);
    channel.settle();
  }
  expect(told.filter((entry) => entry !== "resumed" && (entry as string[])[0] === "stalled")).toEqual([]);
  vi.advanceTimersByTime(501);
  // The one on the channel came there half a second ago.
  expect(told.at(-1)).toEqual(["stalled", "e"]);
});

test("a process that was busy itself gives the receiver time", () => {
  const { push, told } = createLane();
  push("a");
  // The loop stood still: the clock went on, no timer came.
  const { hrtime } = process;
  process.hrtime = Object.assign(() => hrtime([-60, 0] as never) as [number, number], {
    bigint: hrtime.bigint,
  });
  vi.advanceTimersByTime(2_001);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(2_001);
  expect(told).toEqual([["stalled", "a"]]);
});

test("while there is something to be read of the channel, nothing on it is taken back", () => {
  const { channel, push, told } = createLane();
  for (const name of ["a", "b"]) push(name);
  vi.advanceTimersByTime(1_999);
  // Whenever it looks, more has been read: an acknowledgement may be behind it.
  Object.defineProperty(channel.pipe, "bytesRead", { get: () => monotonicMs() + Math.random() });
  for (let i = 0; i < 20; i++) vi.advanceTimersByTime(1);
  expect(told).toEqual([["stalled", "b"]]);
});

test("a ticket of another lane counts for nothing", () => {
  const before = createLane();
  before.push("a");
  const { lane } = createLane();
  expect(lane.grant(before.channel.sent[0]?.ticket?.id ?? 0)).toBe(false);
});

test("what was taken back and could not be received is not asked for", () => {
  const { channel, lane, push, told, counts } = createLane();
  push("a");
  vi.advanceTimersByTime(2_001);
  expect(counts()).toEqual({ sent: 1, waiting: 0, revoked: 1 });
  channel.settle("NODE_HANDLE_NACK");
  expect(told).toEqual([["stalled", "a"], "resumed"]);
  expect(lane.isStalled()).toBe(false);
  expect(counts()).toEqual({ sent: 0, waiting: 0, revoked: 0 });
});

test("what was taken back stays so, whatever becomes of somebody else's handle", () => {
  const { channel, lane, push, counts } = createLane();
  push("a");
  vi.advanceTimersByTime(2_001);
  channel.settle();
  channel.settle("NODE_HANDLE_NACK");
  expect(counts()).toEqual({ sent: 1, waiting: 0, revoked: 1 });
  expect(lane.grant(channel.sent[0]?.ticket?.id ?? 0)).toBe(false);
  expect(counts()).toEqual({ sent: 1, waiting: 0, revoked: 0 });
});

test("it says what the receiver gets, and takes that back, for one that is closed, too", () => {
  const { channel, lane, push, counts } = createLane();
  for (const name of ["a", "b", "c"]) push(name);
  expect(counts()).toEqual({ sent: 1, waiting: 2, revoked: 0 });
  channel.settle();
  expect(counts()).toEqual({ sent: 2, waiting: 1, revoked: 0 });
  lane.close();
  channel.settle("NODE_HANDLE_NACK");
  expect(counts()).toEqual({ sent: 1, waiting: 0, revoked: 0 });
  expect(channel.listenerCount("internalMessage")).toBe(0);
});

test("close() gives back all that was not taken, in order, and stops the timer", () => {
  const { lane, push, names } = createLane();
  for (const name of ["a", "b", "c"]) push(name);
  expect(names(lane.close())).toEqual(["a", "b", "c"]);
  expect([lane.close(), vi.getTimerCount()]).toEqual([[], 0]);
});

test("one that waits can be withdrawn, one on the channel cannot", () => {
  const { channel, lane, push, sent } = createLane();
  const [first, second] = [push("a"), push("b")];
  expect([lane.withdraw(first), lane.withdraw(second), lane.withdraw(second)]).toEqual([false, true, false]);
  channel.settle();
  expect(sent()).toEqual(["a"]);
});

test("the lane to the primary waits as long as it takes", () => {
  const { push, told, lane } = createLane(false);
  for (const name of ["a", "b"]) push(name);
  vi.advanceTimersByTime(3_600_000);
  expect([told, lane.length, vi.getTimerCount()]).toEqual([[], 2, 0]);
});
