import fc from "fast-check";
import { expect, test } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { JoiningSockets } from "../../dist/socketio/joining-sockets.js";

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
  const joining = new JoiningSockets();
  const { known, settle } = deferred();
  const written: string[] = [];
  const hold = (offset: string) => joining.hold("a", offset, () => written.push(offset));
  joining.add("a", known, "03");
  hold("05");
  hold("07");
  hold("04");
  hold("06");
  expect([written, joining.concerns("a"), joining.isEmpty]).toEqual([[], true, false]);
  settle();
  await microtasks();
  expect([written, joining.concerns("a"), joining.isEmpty]).toEqual([["04", "05", "06", "07"], false, true]);
  hold("08");
  expect(written.at(-1)).toBe("08");
});

test("what carries no place stays behind what it came after", async () => {
  const joining = new JoiningSockets();
  const { known, settle } = deferred();
  const written: string[] = [];
  const run = (name: string) => () => void written.push(name);
  joining.add("a", known, "03");
  // Nothing is held for either, so nothing has to wait.
  joining.after(new Set(["a", "b"]), (sids) => written.push(`first for ${[...sids].join()}`));
  joining.hold("a", "05", run("05"));
  joining.after(new Set(["a", "b"]), (sids) => written.push(`ack for ${[...sids].join()}`));
  joining.hold("a", "04", run("04"));
  joining.hold("a", "06", run("06"));
  expect(written).toEqual(["first for a,b", "ack for b"]);
  settle();
  await microtasks();
  expect(written.slice(2)).toEqual(["04", "05", "ack for a", "06"]);
});

test("a socket that joins more waits for all of it", async () => {
  const joining = new JoiningSockets();
  const [first, second] = [deferred(), deferred()];
  const written: string[] = [];
  joining.add("a", first.known, "01");
  joining.add("b", first.known, "01");
  joining.add("a", second.known, "02");
  // It has what was placed before its first join, not its last.
  expect([...joining.before("02")]).toEqual(["a", "b"]);
  joining.hold("a", "03", () => written.push("a"));
  joining.hold("b", "03", () => written.push("b"));
  first.settle();
  await microtasks();
  expect([written, [...joining.sids()]]).toEqual([["b"], ["a"]]);
  second.settle();
  await microtasks();
  expect([written, joining.isEmpty]).toEqual([["b", "a"], true]);
});

test("a packet is for those who joined when nothing newer had been delivered, or when another hub was there", () => {
  const joining = new JoiningSockets();
  joining.add("early", deferred().known, "aaaa03");
  joining.add("late", deferred().known, "aaaa07");
  expect([...joining.before("aaaa05")]).toEqual(["early"]);
  expect([...joining.before("aaaa08")]).toEqual(["early", "late"]);
  expect([...joining.before("AAAA09")]).toEqual([]);
  joining.onOtherOrder();
  expect([...joining.before("AAAA01")]).toEqual(["early", "late"]);
});

test("what is held goes when the socket is closed by the server, and not at all when it is gone", async () => {
  const joining = new JoiningSockets();
  const { known, settle } = deferred();
  const written: string[] = [];
  for (const sid of ["closed", "gone", "cleared"]) {
    joining.add(sid, known, "01");
    joining.hold(sid, "02", () => written.push(sid));
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
    fc.nat({ max: 99 }).map((place) => String(place).padStart(2, "0")),
    fc.constant(undefined),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step), async (steps) => {
      const joining = new JoiningSockets();
      const { known, settle } = deferred();
      const written: { place: string | undefined; at: number }[] = [];
      joining.add("a", known, "");
      steps.forEach((place, at) => {
        const write = () => void written.push({ place, at });
        if (place !== undefined) joining.hold("a", place, write);
        else joining.after(new Set(["a"]), write);
      });
      settle();
      await microtasks();
      expect(written).toHaveLength(steps.length);
      const places = written.flatMap(({ place }) => place ?? []);
      expect(places).toEqual(places.toSorted());
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
  const joining = new JoiningSockets((work) => {
    workOff = work;
  });
  const { known, settle } = deferred();
  const written: string[] = [];
  const boom = () => {
    throw new Error("mine");
  };
  for (const sid of ["a", "b"]) joining.add(sid, known, "03");
  joining.hold("a", "04", boom);
  joining.hold("a", "05", () => written.push("a 05"));
  joining.hold("b", "04", () => written.push("b 04"));
  settle();
  await microtasks();
  const uncaught = uncaughtOf(workOff);
  expect([written, joining.isEmpty]).toEqual([["a 05", "b 04"], true]);
  expect(uncaught).toHaveLength(1);
  expect(uncaught[0]).toThrow("mine");
});
