/** The checker itself: histories without fault pass, and each kind of fault is found, in random ones as well. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClientHistory, type Connect, check, type Message, recoveredShare } from "./history-check.js";

type Event = Message | Connect;

const connect = (recovered: boolean): Connect => ({ type: "connect", recovered });
const client = (name: string, rooms: string[], ...events: Event[]): ClientHistory => ({
  client: name,
  rooms,
  events,
});

/** Everything that was placed, in order: sender, number, room. */
const ORDER: Message[] = (
  [
    ["a", 1, "x"],
    ["b", 1, undefined],
    ["a", 2, "y"],
    ["a", 3, "x"],
    ["b", 2, "x"],
    ["a", 4, "x"],
  ] as const
).map(([sender, number, room], i) => ({ type: "message", sender, number, room, place: i + 1 }));
const at = (place: number) => ORDER[place - 1] as Message;
/** A client in room y, so that every place is somebody's. */
const OTHER = client("other", ["y"], at(2), at(3));

function kinds(...clients: ClientHistory[]): string[] {
  return [...new Set(check([OTHER, ...clients]).map(({ kind }) => kind))];
}

describe("histories without fault", () => {
  test("of several clients in different rooms, with recoveries", () => {
    const one = client("1", ["x"], connect(false), at(1), connect(true), at(2), at(4), at(5), at(6));
    expect(check([one, OTHER])).toEqual([]);
  });

  test("with a client that comes late and one that goes early", () => {
    const whole = client("1", ["x"], at(1), at(2), at(4), at(5), at(6));
    expect(kinds(whole, client("2", ["x"], at(4), at(5)), client("3", ["x"], at(1)))).toEqual([]);
  });

  test("with a new session, which may have missed something", () => {
    const whole = client("1", ["x"], at(1), at(2), at(4), at(5), at(6));
    expect(kinds(whole, client("2", ["x"], at(1), connect(false), at(6)))).toEqual([]);
  });
});

test("with a greeting, a new session is owed what comes after it, and nothing before", () => {
  const whole = client("1", ["x"], at(1), at(2), at(4), at(5), at(6));
  const greeted = (...events: Event[]) => ({ ...client("2", ["x", "y"], ...events), greetingRoom: "y" });
  expect(kinds(whole, greeted(connect(false), at(1), at(3), at(4), at(5)))).toEqual([]);
  expect(kinds(whole, greeted(connect(false), at(1), at(4)))).toEqual([]);
  expect(kinds(whole, greeted(connect(false), at(1), at(3), at(5)))).toEqual(["lost"]);
});

describe("faults", () => {
  const whole = client("whole", ["x"], at(1), at(2), at(4), at(5), at(6));

  test("a lost message", () => {
    expect(kinds(whole, client("1", ["x"], at(1), connect(true), at(6)))).toEqual(["lost"]);
  });

  test("a message that nobody got", () => {
    expect(kinds(client("1", ["x"], at(1), at(2), at(4), at(6)))).toEqual(["lost"]);
  });

  test("a message that came twice, in one session or in two", () => {
    expect(kinds(whole, client("1", ["x"], at(1), connect(true), at(1), at(2)))).toEqual(["doubled"]);
    expect(kinds(whole, client("1", ["x"], at(1), connect(false), at(1)))).toEqual(["doubled"]);
  });

  test("a message that was placed twice", () => {
    const again: Message = { ...at(6), place: 7 };
    expect(kinds(whole, client("1", ["x"], at(5), at(6), again))).toContain("doubled");
  });

  test("messages of one sender or of two in another order at one client", () => {
    const swapped = client("1", ["x"], at(1), at(2), at(5), at(4), at(6));
    expect(kinds(whole, swapped)).toEqual(["reordered"]);
  });

  test("a place that stands for two messages, as without a common order", () => {
    const [four, five]: [Message, Message] = [
      { ...at(4), place: 5 },
      { ...at(5), place: 4 },
    ];
    expect(kinds(whole, client("1", ["x"], at(1), at(2), five, four, at(6)))).toContain("reordered");
  });

  test("a sender's messages placed in another order than sent", () => {
    const first: Message = { ...at(4), place: 1 };
    const second: Message = { ...at(1), place: 2 };
    expect(check([client("1", ["x"], first, second)]).map(({ kind }) => kind)).toContain("reordered");
  });

  test("a message to a room that the client is not in", () => {
    expect(kinds(whole, client("1", ["x"], at(2), at(3)))).toEqual(["foreign"]);
  });
});

test("any history passes, and with one message taken out, doubled or moved it does not", () => {
  const sends = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("x", "y")), {
    minLength: 12,
    maxLength: 60,
  });
  fc.assert(
    fc.property(sends, fc.nat(), (made, seed) => {
      const numbers = new Map<string, number>();
      const all = made.map(([sender, room], i): Message => {
        const number = (numbers.get(sender) ?? 0) + 1;
        numbers.set(sender, number);
        return { type: "message", sender, number, room, place: i + 1 };
      });
      const witness = client("witness", ["x", "y"], ...all);
      const judge = (events: Message[]) =>
        check([witness, client("1", ["x", "y"], ...events)]).map(({ kind }) => kind);
      expect(judge(all)).toEqual([]);

      const index = 1 + (seed % (all.length - 2));
      const chosen = all[index] as Message;
      expect(judge(all.toSpliced(index, 1))).toEqual(["lost"]);
      expect(judge(all.toSpliced(index, 0, chosen))).toEqual(["doubled"]);
      expect(judge([chosen, ...all.toSpliced(index, 1)])).toContain("reordered");
      expect(check([witness, client("1", [], ...all)]).map(({ kind }) => kind)).toContain("foreign");
    }),
  );
});

test("the share of recovered reconnections does not count first connections", () => {
  const histories = [
    client("1", [], connect(false), connect(true), connect(false)),
    client("2", [], connect(false), connect(true)),
  ];
  expect(recoveredShare(histories)).toEqual({ recovered: 2, of: 3 });
});
