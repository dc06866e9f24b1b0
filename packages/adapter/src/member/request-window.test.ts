import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HoldfastError } from "../../dist/errors.js";
import { Requests } from "../../dist/member/requests.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import { ResponseFlag } from "../../dist/wire/frame.js";
import { packValue } from "../../dist/wire/values.js";

const B = { id: 2, workerId: 20, pid: 200 };
const C = { id: 3, workerId: 30, pid: 300 };
const TIMEOUT_MS = 10_000;

let requests: Requests;
/** Queries that went on the wire, in order. */
let sent: number[];
let settled: Map<number, string>;

beforeEach(() => {
  vi.useFakeTimers();
  requests = new Requests();
  sent = [];
  settled = new Map();
});
afterEach(() => {
  vi.useRealTimers();
});

function query({ owner = {}, timeoutMs = TIMEOUT_MS } = {}): number {
  const id = requests.open(owner, {
    timeoutMs,
    onResponse: () => {},
    onSettled: (error) => settled.set(id, error?.code ?? "answered"),
  });
  requests.enqueue(id, () => {
    if (requests.sending(id)) sent.push(id);
  });
  return id;
}

function queries(count: number, options = {}): number[] {
  return Array.from({ length: count }, () => query(options));
}

/** The last answer of a member, of about so many bytes. */
function answer(id: number, member: { readonly id: number }, bytes = 100): void {
  const value = packValue(Buffer.alloc(bytes));
  const frame = Buffer.alloc(12 + value.length);
  frame.writeUInt32LE(1, 0);
  frame.writeUInt32LE(id, 4);
  frame.writeUInt32LE(member.id, 8);
  value.copy(frame, 12);
  requests.onResponse(ResponseFlag.final, new FieldReader(frame, 0, frame.length));
}

/** All that is sent is answered, until nothing more is. @returns the most that was on its way */
function answerAll(bytes: number): number {
  let most = 0;
  for (let at = 0; at < sent.length; at++) {
    most = Math.max(most, sent.length - at);
    const id = sent[at] as number;
    requests.asked(id, [B, C]);
    answer(id, B, bytes / 2);
    answer(id, C, bytes / 2);
  }
  return most;
}

describe("queries wait for their turn", () => {
  test("all are sent and answered in order, few at a time", () => {
    const ids = queries(5_000);
    expect(sent.length).toBeLessThan(10);
    expect(answerAll(1_000)).toBe(32);
    expect(sent).toEqual(ids);
    expect([...settled.values()]).toEqual(ids.map(() => "answered"));
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
  });

  test("one at a time when answers are large, and more again when they are small", () => {
    queries(1);
    answerAll(20_000_000);
    sent = [];
    queries(10);
    expect(sent).toHaveLength(1);
    answerAll(3_000_000);
    sent = [];
    queries(50);
    expect(answerAll(100)).toBeGreaterThan(1);
  });

  test("one whose time is over while it waits is never sent, and says so", () => {
    const first = queries(4);
    const late = queries(3, { timeoutMs: 500 });
    const last = query();
    expect(sent).toEqual(first);
    const message = new Promise<string>((resolve) => {
      const id = requests.open(
        {},
        { timeoutMs: 600, onResponse: () => {}, onSettled: (error) => resolve(error?.message ?? "") },
      );
      requests.enqueue(id, () => sent.push(id));
    });
    vi.advanceTimersByTime(600);
    expect(late.map((id) => settled.get(id))).toEqual(Array(3).fill("HOLDFAST_ERR_REQUEST_TIMEOUT"));
    answerAll(100);
    expect(sent).toEqual([...first, last]);
    return expect(message).resolves.toContain("was not sent within 600 ms");
  });

  test("the deadline counts from the call, not from the sending", () => {
    queries(4);
    const waiting = query();
    vi.advanceTimersByTime(TIMEOUT_MS - 1);
    expect(settled.size).toBe(0);
    vi.advanceTimersByTime(1);
    expect(settled.get(waiting)).toBe("HOLDFAST_ERR_REQUEST_TIMEOUT");
  });

  test("an adapter that is closed settles its own, waiting or sent, and the others go on", () => {
    const owner = {};
    queries(4, { owner });
    const waiting = queries(20, { owner });
    const others = queries(5);
    requests.fail("HOLDFAST_ERR_CLOSED", "closed", owner);
    expect(waiting.map((id) => settled.get(id))).toEqual(Array(20).fill("HOLDFAST_ERR_CLOSED"));
    answerAll(100);
    expect(sent.slice(4)).toEqual(others);
  });

  test("a lost link settles all without sending one more", () => {
    queries(5_000);
    const before = sent.length;
    requests.fail("HOLDFAST_ERR_LINK_LOST", "lost");
    expect([sent.length, settled.size, requests.size]).toEqual([before, 5_000, 0]);
  });

  test("without a hub each is refused at its turn", () => {
    const ids = Array.from({ length: 5_000 }, () => {
      const id = requests.open(
        {},
        {
          timeoutMs: TIMEOUT_MS,
          onResponse: () => {},
          onSettled: (error) => settled.set(id, error?.code ?? ""),
        },
      );
      requests.enqueue(id, () => requests.reject(id, new HoldfastError("HOLDFAST_ERR_NO_HUB", "none")));
      return id;
    });
    expect(ids.map((id) => settled.get(id))).toEqual(ids.map(() => "HOLDFAST_ERR_NO_HUB"));
  });

  test("what waits only for a silent member does not keep the others", () => {
    const ids = queries(200);
    for (let second = 0; second < 2; second++) {
      for (const id of sent) requests.asked(id, [B, C]);
      for (const id of sent) answer(id, B);
      vi.advanceTimersByTime(2_000);
    }
    // C is known to be silent by now.
    for (let at = 0; at < sent.length; at++) {
      requests.asked(sent[at] as number, [B, C]);
      answer(sent[at] as number, B);
    }
    expect(sent).toEqual(ids);
    // It wakes, and all of them are answered.
    for (const id of ids) answer(id, C);
    expect([...settled.values()]).toEqual(ids.map(() => "answered"));
  });

  test("a busy member is not a silent one", () => {
    queries(200);
    const FIRST = 4;
    let asked = 0;
    for (let answered = 0; answered < 8; answered++) {
      for (; asked < sent.length; asked++) requests.asked(sent[asked] as number, [C]);
      vi.advanceTimersByTime(900);
      answer(sent[answered] as number, C, 1_000_000);
    }
    // Each answer has made room for one, and those that wait longest have kept their places.
    expect([settled.size, sent.length]).toEqual([8, FIRST + 8]);
  });
});
