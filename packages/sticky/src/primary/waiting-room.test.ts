/** Deadlines of connections that wait, with a clock and handles that the test moves. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { monotonicMs } from "../../dist/clock.js";
import type { Handle } from "../../dist/handle/node-internals.js";
import { Arrival } from "../../dist/primary/arrival.js";
import { WaitingRoom } from "../../dist/primary/waiting-room.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "hrtime", "Date"] }));
afterEach(() => void vi.useRealTimers());

type FakeHandle = Handle & { isReading: boolean; isReset: boolean; bytesRead: number };

function createHandle(): FakeHandle {
  const handle: FakeHandle = {
    isReading: false,
    isReset: false,
    onread: () => {},
    bytesRead: 0,
    readStart() {
      handle.isReading = true;
      return 0;
    },
    readStop() {
      handle.isReading = false;
      return 0;
    },
    close: () => {},
    getpeername(out) {
      if (handle.isReset) return -107;
      out.address = "192.0.2.1";
      return 0;
    },
  };
  return handle;
}

function createArrival(handle = createHandle(), head = "GET"): Arrival & { readonly handle: FakeHandle } {
  const parsed = { kind: "unread", skip: 0, peer: undefined } as const;
  const care = { onTaken: () => {}, place: () => {} };
  return new Arrival({ handle, name: "default", head, peer: undefined, owner: -1 }, parsed, care) as never;
}

function createRoom(maxHeadBytes = 16) {
  const told: [string, Arrival][] = [];
  const room = new WaitingRoom(maxHeadBytes, {
    onTimeout: (arrival) => told.push(["timeout", arrival]),
    onLeft: (arrival) => told.push(["left", arrival]),
  });
  return { room, told };
}

function bring(handle: FakeHandle, text: string): void {
  handle.bytesRead += text.length;
  handle.onread(new Uint8Array(Buffer.from(text)).buffer as ArrayBuffer);
}

test("each comes to its deadline, whatever the order", () => {
  const { room, told } = createRoom();
  const [late, early] = [createArrival(), createArrival()];
  room.add(late, monotonicMs() + 30_000);
  room.add(early, monotonicMs() + 5_000);
  vi.advanceTimersByTime(4_999);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([["timeout", early]]);
  vi.advanceTimersByTime(25_000);
  expect(told).toEqual([
    ["timeout", early],
    ["timeout", late],
  ]);
  expect([room.size, early.handle.isReading, vi.getTimerCount()]).toEqual([0, false, 0]);
});

test("a deadline that has passed comes at once", () => {
  const { room, told } = createRoom();
  room.add(createArrival(), monotonicMs() - 1);
  vi.advanceTimersByTime(20);
  expect(told).toHaveLength(1);
});

test("what is read meanwhile goes along, up to the limit", () => {
  const { room } = createRoom(8);
  const arrival = createArrival();
  room.add(arrival, monotonicMs() + 1_000);
  bring(arrival.handle, " /");
  expect([arrival.head, arrival.handle.isReading]).toEqual(["GET /", true]);
  bring(arrival.handle, " HTTP/1.1");
  expect([arrival.head, arrival.handle.isReading]).toEqual(["GET / HTTP/1.1", false]);
  expect([room.take(arrival), room.take(arrival), room.size]).toEqual([true, false, 0]);
  room.add(arrival, monotonicMs() + 1_000);
  expect(arrival.handle.isReading).toBe(false);
});

test("a client that resets its connection has left; one that ends its side has two seconds", () => {
  const { room, told } = createRoom();
  const [reset, ended] = [createArrival(), createArrival()];
  for (const arrival of [reset, ended]) room.add(arrival, monotonicMs() + 30_000);
  reset.handle.isReset = true;
  for (const arrival of [reset, ended]) arrival.handle.onread(undefined);
  expect(told).toEqual([["left", reset]]);
  vi.advanceTimersByTime(1_000);
  // Another worker was tried; the time goes on from where it was.
  expect(room.takeAll()).toEqual([ended]);
  room.add(ended, monotonicMs() + 30_000);
  ended.handle.onread(undefined);
  vi.advanceTimersByTime(999);
  expect(room.size).toBe(1);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([
    ["left", reset],
    ["left", ended],
  ]);
});

test("the clock of the system has no say", () => {
  const { room, told } = createRoom();
  room.add(createArrival(), monotonicMs() + 1_000);
  vi.setSystemTime(0);
  vi.advanceTimersByTime(1_000);
  expect(told).toHaveLength(1);
});

test("they are taken in the order in which they came", () => {
  const { room } = createRoom();
  const arrivals = Array.from({ length: 4 }, () => createArrival());
  for (const arrival of arrivals) room.add(arrival, monotonicMs() + 1_000);
  expect(room.takeOldest()).toBe(arrivals[0]);
  expect(room.takeAll((arrival) => arrival !== arrivals[2])).toEqual([arrivals[1], arrivals[3]]);
  expect([room.takeOldest(), room.takeOldest()]).toEqual([arrivals[2], undefined]);
});
