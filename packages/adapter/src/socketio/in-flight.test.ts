import { beforeEach, expect, test } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { InFlight, type Unplaced } from "../../dist/socketio/in-flight.js";

/** Rooms by socket. */
let rooms: Map<string, Set<string>>;
let inFlight: InFlight;
let log: string[];
const SOMEBODY = new Set(["somebody"]);

beforeEach(() => {
  rooms = new Map([["s", new Set(["r"])]]);
  inFlight = new InFlight((record, sid) => [...record.rooms].some((room) => rooms.get(sid)?.has(room)));
  log = [];
});

function push(name: string, room = "r"): Unplaced {
  // The queue does not look at the packet; the name stands for it.
  const record = { packet: name, rooms: new Set([room]), except: new Set(), flags: {}, decided: undefined };
  inFlight.push(record as unknown as Unplaced);
  return record as unknown as Unplaced;
}

const deliver = ({ packet, decided }: Unplaced) =>
  void log.push(`${packet}${decided?.has("s") ? (decided.get("s") ? "+s" : "-s") : ""}`);

test("packets are placed first in, first out; what comes after them waits for them", () => {
  inFlight.after(SOMEBODY, () => log.push("at once"));
  push("1");
  inFlight.after(SOMEBODY, () => log.push("after 1"));
  push("2");
  inFlight.after(SOMEBODY, () => log.push("after 2"));
  inFlight.placed(deliver);
  expect(log).toEqual(["at once", "1", "after 1"]);
  inFlight.placed(deliver);
  expect(log).toEqual(["at once", "1", "after 1", "2", "after 2"]);
  expect(inFlight.isEmpty).toBe(true);
});

test("what is sent while a packet is delivered goes behind what waits", () => {
  push("1");
  inFlight.after(SOMEBODY, () => log.push("waited"));
  inFlight.placed((record) => {
    deliver(record);
    inFlight.after(SOMEBODY, () => log.push("from a listener"));
  });
  expect(log).toEqual(["1", "waited", "from a listener"]);
});

test("rooms count as they were when the packet was made", () => {
  push("1");
  inFlight.decide("s");
  rooms.set("s", new Set());
  push("2");
  inFlight.decide("s");
  rooms.set("s", new Set(["r"]));
  push("3");
  for (let i = 0; i < 3; i++) inFlight.placed(deliver);
  expect(log).toEqual(["1+s", "2-s", "3"]);
});

test("a socket that is closed by the server gets what is for it, once", () => {
  push("1");
  inFlight.after(new Set(["s"]), () => log.push("its ack"));
  push("2", "elsewhere");
  push("3");
  expect(inFlight.concerns("s")).toBe(true);
  inFlight.flush("s", ({ packet }) => void log.push(`flushed ${packet}`));
  expect(log).toEqual(["flushed 1", "its ack", "flushed 3"]);
  expect(inFlight.concerns("s")).toBe(false);
  for (let i = 0; i < 3; i++) inFlight.placed(deliver);
  expect(log.slice(3)).toEqual(["1-s", "2", "3-s"]);
});

test("what goes to several sockets waits for those that stay, and runs for one that is closed by the server", () => {
  const ask = (sids: ReadonlySet<string>) => log.push(`asked ${[...sids]}`);
  inFlight.after(new Set(["s", "t"]), ask);
  expect(log.splice(0)).toEqual(["asked s,t"]);
  push("1", "elsewhere");
  inFlight.after(new Set(["s", "t", "u"]), ask);
  inFlight.after(new Set(["s"]), ask);
  expect(["s", "t", "v"].map((sid) => inFlight.concerns(sid))).toEqual([true, true, false]);
  inFlight.flush("s", () => log.push("flushed"));
  expect(log.splice(0)).toEqual(["asked s", "asked s"]);
  inFlight.placed(deliver);
  expect(log).toEqual(["1", "asked t,u"]);
  expect(inFlight.isEmpty).toBe(true);
});

test("a packet that was refused holds nobody up", () => {
  const refused = push("1");
  inFlight.after(SOMEBODY, () => log.push("after 1"));
  push("2");
  inFlight.remove(refused);
  expect(log).toEqual(["after 1"]);
  inFlight.drain(deliver);
  expect(log).toEqual(["after 1", "2"]);
});

test("packets that are not to be placed keep their place, and go by the rooms as they were", () => {
  const follow = (name: string) => {
    const record = { packet: name, rooms: new Set(["r"]), except: new Set(), flags: {}, decided: undefined };
    inFlight.follow(record as unknown as Unplaced, deliver);
  };
  follow("at once");
  push("1");
  follow("after 1");
  push("2");
  follow("after 2");
  inFlight.decide("s");
  rooms.set("s", new Set());
  follow("to others");
  inFlight.decide("s");
  expect(inFlight.concerns("s")).toBe(true);
  inFlight.placed(deliver);
  expect(log).toEqual(["at once", "1+s", "after 1+s"]);
  inFlight.flush("s", ({ packet }) => void log.push(`flushed ${packet}`));
  expect(log.slice(3)).toEqual(["flushed 2", "flushed after 2"]);
  inFlight.placed(deliver);
  expect(log.slice(5)).toEqual(["2-s", "after 2-s", "to others-s"]);
  expect(inFlight.isEmpty).toBe(true);
});

test("whatever throws, the queue goes on", () => {
  const boom = () => {
    throw new Error("mine");
  };
  const fill = () => {
    for (const name of ["1", "2", "3"]) {
      push(name);
      inFlight.after(new Set(["s"]), boom);
      inFlight.after(new Set(["s"]), () => log.push(`after ${name}`));
    }
  };
  const deliverAll = (record: Unplaced) => {
    deliver(record);
    boom();
  };
  const all = ["1", "after 1", "2", "after 2", "3", "after 3"];
  fill();
  expect(uncaughtOf(() => inFlight.drain(deliverAll))).toHaveLength(6);
  expect([log.splice(0), inFlight.isEmpty]).toEqual([all, true]);
  fill();
  expect(uncaughtOf(() => inFlight.flush("s", deliverAll))).toHaveLength(6);
  expect(log).toEqual(all);
});
