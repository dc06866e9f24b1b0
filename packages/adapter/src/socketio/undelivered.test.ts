import type { BroadcastFlags } from "socket.io-adapter";
import { expect, test } from "vitest";
import { Orders } from "../../dist/socketio/orders.js";
import { Undelivered } from "../../dist/socketio/undelivered.js";

type Unplaced = Parameters<Undelivered["inFlight"]["push"]>[0];

const SID = "a";

function record(): Unplaced {
  const [rooms, flags]: [Set<string>, BroadcastFlags] = [new Set([SID]), {}];
  return { packet: {} as Unplaced["packet"], rooms, except: new Set(), flags, decided: undefined };
}

/** One socket, whose join the hub has not confirmed, and a packet for it in flight. */
function setUp() {
  const undelivered = new Undelivered(() => true, new Orders());
  const log: string[] = [];
  let confirm = () => {};
  const known = new Promise<void>((resolve) => {
    confirm = resolve;
  });
  undelivered.joining.add(SID, known, "0");
  undelivered.inFlight.push(record());
  /** The hub has placed the packet: it is held for the socket. */
  const place = () =>
    undelivered.inFlight.placed(() => undelivered.joining.hold(SID, "1", () => void log.push("packet")));
  return { undelivered, log, place, confirm: () => confirm() };
}

test("what comes after a packet in flight waits until the socket has got it, also where it is held then", async () => {
  const { undelivered, log, place, confirm } = setUp();
  undelivered.after(new Set([SID]), () => void log.push("close"));
  place();
  expect([undelivered.concerns(SID), log]).toEqual([true, []]);
  confirm();
  await Promise.resolve();
  expect([undelivered.concerns(SID), log]).toEqual([false, ["packet", "close"]]);
});

test("a socket that is about to be closed gets what is held and what is in flight, in order, and each once", async () => {
  const { undelivered, log, place, confirm } = setUp();
  place();
  undelivered.inFlight.push(record());
  undelivered.flush(SID, () => void log.push("in flight"));
  expect([undelivered.concerns(SID), log]).toEqual([false, ["packet", "in flight"]]);
  confirm();
  await Promise.resolve();
  expect(log).toHaveLength(2);
});

test("what has been cleared is not run", () => {
  const { undelivered, log } = setUp();
  undelivered.after(new Set([SID]), () => void log.push("close"));
  undelivered.clear();
  expect([undelivered.concerns(SID), log]).toEqual([false, []]);
});
