import fc from "fast-check";
import { expect, test } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { JoiningSockets } from "../../dist/socketio/joining-sockets.js";
import { Orders } from "../../dist/socketio/orders.js";

/** The names of orders do not say which came first. */
const orders = new Orders();
orders.begin("zero00");
orders.begin("one:00");
orders.begin("abc:00");

function deferred() {
  let settle = () => {};
  const known = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { known, settle };
}

/** What was settled has had its effect. */
const microtasks = () => new Promise(setImmediate);

test("what comes for a socket waits until the hub knows its rooms, then goes in the order of its places", async () => {
  const joining = new JoiningSockets(orders);
  const { known, settle } = deferred();
  const written: string[] = [];
  const hold = (offset: string) => joining.hold("a", offset, () => written.push(offset));
  joining.add("a", known, "one:03");
  hold("one:05");
  hold("one:07");
  hold("one:04");
  hold("one:06");
  expect([written, joining.concerns("a"), joining.isEmpty]).toEqual([[], true, false]);
  settle();
  await microtasks();
  expect([written, joining.concerns("a"), joining.isEmpty]).toEqual([
    ["one:04", "one:05", "one:06", "one:07"],
    false,
    true,
  ]);
  hold("one:08");
  expect(written.at(-1)).toBe("one:08");
});

test("what carries no place stays behind what it came after", async () => {
  const joining = new JoiningSockets(orders);
  const { known, settle } = deferred();
  const written: string[] = [];
  const run = (name: string) => () => void written.push(name);
  joining.add("a", known, "one:03");
  // Nothing is held for either, so nothing has to wait.
  joining.after(new Set(["a", "b"]), (sids) => written.push(`first for ${[...sids].join()}`));
  joining.hold("a", "one:05", run("one:05"));
  joining.after(new Set(["a", "b"]), (sids) => written.push(`ack for ${[...sids].join()}`));
  joining.hold("a", "one:04", run("one:04"));
  joining.hold("a", "one:06", run("one:06"));
  expect(written).toEqual(["first for a,b", "ack for b"]);
  settle();
  await microtasks();
  expect(written.slice(2)).toEqual(["one:04", "one:05", "ack for a", "one:06"]);
});

test("a socket that joins more waits for all of it", async () => {
  const joining = new JoiningSockets(orders);
  const [first, second] = [deferred(), deferred()];
  const written: string[] = [];
  joining.add("a", first.known, "one:01");
  joining.add("b", first.known, "one:01");
  joining.add("a", second.known, "one:02");
  // It has what was placed before its first join, not its last.
  expect([...joining.before("one:02")]).toEqual(["a", "b"]);
  joining.hold("a", "one:03", () => written.push("a"));
  joining.hold("b", "one:03", () => written.push("b"));
  first.settle();
  await microtasks();
  expect([written, [...joining.sids()]]).toEqual([["b"], ["a"]]);
  second.settle();
  await microtasks();
  expect([written, joining.isEmpty]).toEqual([["b", "a"], true]);
});

test("a packet is for those who joined when nothing newer had been delivered, in whatever order", () => {
  const joining = new JoiningSockets(orders);
  joining.add("early", deferred().known, "one:03");
  joining.add("late", deferred().known, "one:07");
  joining.add("later", deferred().known, "abc:01");
  expect([...joining.before("one:05")]).toEqual(["early"]);
  expect([...joining.before("one:08")]).toEqual(["early", "late"]);
  expect([...joining.before("abc:01")]).toEqual(["early", "late"]);
  expect([...joining.before("abc:02")]).toEqual(["early", "late", "later"]);
});

test("what is held goes when the socket is closed by the server, and not at all when it is gone", async () => {
  const joining = new JoiningSockets(orders);
  const { known, settle } = deferred();
  const written: string[] = [];
  for (const sid of ["closed", "gone", "cleared"]) {
    joining.add(sid, known, "one:01");
    joining.hold(sid, "one:02", () => written.push(sid));
  }
  joining.flush("closed");
  joining.forget("gone");
  expect(written).toEqual(["closed"]);
  joining.clear();
  settle();
  await microtasks();
  expect(written).toEqual(["closed"]);
});

test("any mixture comes out sorted by place, with the rest in its order behind what it came after", async () => {
  const step = fc.oneof(
    fc.nat({ max: 99 }).map((place) => `${place < 50 ? "one:" : "abc:"}${String(place).padStart(2, "0")}`),
    fc.constant(undefined),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step), async (steps) => {
      const joining = new JoiningSockets(orders);
      const { known, settle } = deferred();
      const written: { place: string | undefined; at: number }[] = [];
      joining.add("a", known, "one:00");
      steps.forEach((place, at) => {
        const write = () => void written.push({ place, at });
        if (place !== undefined) joining.hold("a", place, write);
        else joining.after(new Set(["a"]), write);
      });
      settle();
      await microtasks();
      expect(written).toHaveLength(steps.length);
      const places = written.flatMap(({ place }) => place ?? []);
      const ofOne = (place: string) => place.startsWith("one:");
      expect(places).toEqual([
        ...places.filter(ofOne).toSorted(),
        ...places.filter((place) => !ofOne(place)).toSorted(),
      ]);
      const rest = written.filter(({ place }) => place === undefined).map(({ at }) => at);
      expect(rest).toEqual(rest.toSorted((x, y) => x - y));
      // Whatever came before one without a place goes before it.
      for (const [i, { place, at }] of written.entries()) {
        if (place !== undefined) continue;
        const later = written.slice(i + 1).filter((other) => other.place !== undefined && other.at < at);
        expect(later).toEqual([]);
      }
    }),
  );
});

test("what is held for one socket and throws keeps nothing from itself or others", async () => {
  let workOff = () => {};
  const joining = new JoiningSockets(orders, (work) => {
    workOff = work;
  });
  const { known, settle } = deferred();
  const written: string[] = [];
  const boom = () => {
    throw new Error("mine");
  };
  for (const sid of ["a", "b"]) joining.add(sid, known, "one:03");
  joining.hold("a", "one:04", boom);
  joining.hold("a", "one:05", () => written.push("a 05"));
  joining.hold("b", "one:04", () => written.push("b 04"));
  settle();
  await microtasks();
  const uncaught = uncaughtOf(workOff);
  expect([written, joining.isEmpty]).toEqual([["a 05", "b 04"], true]);
  expect(uncaught).toHaveLength(1);
  expect(uncaught[0]).toThrow("mine");
});
