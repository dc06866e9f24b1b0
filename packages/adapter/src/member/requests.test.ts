import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import type { HoldfastError, RequestError } from "../../dist/errors.js";
import { Requests } from "../../dist/member/requests.js";

const B = { id: 2, workerId: 20, pid: 200 };
const C = { id: 3, workerId: 30, pid: 300 };

function start(requests: Requests, owner = {}) {
  const responses: unknown[] = [];
  const settled: (RequestError | HoldfastError | undefined)[] = [];
  const id = requests.open(owner, {
    timeoutMs: 1000,
    onResponse: (value) => responses.push(value),
    onSettled: (error) => settled.push(error),
  });
  return { id, responses, settled };
}

describe("Requests", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("settles when all that were asked have answered", () => {
    const requests = new Requests();
    const { id, responses, settled } = start(requests);
    requests.asked(id, [B, C]);
    requests.answered(id, "b");
    requests.finished(id, B.id);
    expect(settled).toEqual([]);
    requests.answered(id, "c");
    requests.finished(id, C.id);
    expect([responses, settled, requests.size]).toEqual([["b", "c"], [undefined], 0]);
    vi.advanceTimersByTime(5000);
    expect(settled).toHaveLength(1);
  });

  test("settles at once when nobody was asked", () => {
    const requests = new Requests();
    const { id, settled } = start(requests);
    requests.asked(id, []);
    expect(settled).toEqual([undefined]);
  });

  test("settles when the last one missing leaves, without an error", () => {
    const requests = new Requests();
    const { id, settled } = start(requests);
    requests.asked(id, [B, C]);
    requests.finished(id, B.id);
    requests.left(99);
    expect(settled).toEqual([]);
    requests.left(C.id);
    expect(settled).toEqual([undefined]);
  });

  test("says that another host is missing which has not said whom it has asked", () => {
    const requests = new Requests();
    const { id, settled } = start(requests);
    requests.sending(id);
    requests.asked(id, [B, { id: 4, workerId: 0, pid: 0 }]);
    vi.advanceTimersByTime(1000);
    const message = "No answer within 1000 ms from worker 20 (pid 200), another host.";
    expect(settled[0]?.message).toBe(message);
  });

  test("ends at the deadline with who is missing and what came", () => {
    const requests = new Requests();
    const { id, settled } = start(requests);
    requests.asked(id, [B, C]);
    requests.answered(id, "b");
    requests.finished(id, B.id);
    vi.advanceTimersByTime(1000);
    expect(settled).toMatchObject([{ code: "HOLDFAST_ERR_REQUEST_TIMEOUT", missing: [C], responses: ["b"] }]);
    requests.answered(id, "late");
    requests.finished(id, C.id);
    expect(settled).toHaveLength(1);
  });

  test("says so when the primary itself was silent", () => {
    const requests = new Requests();
    const { settled } = start(requests);
    vi.advanceTimersByTime(1000);
    expect(settled).toMatchObject([{ code: "HOLDFAST_ERR_REQUEST_TIMEOUT", missing: [] }]);
    expect(settled[0]?.message).toContain("primary");
  });

  test("reports a member that failed, after the others have answered", () => {
    const requests = new Requests();
    const { id, settled } = start(requests);
    requests.asked(id, [B, C]);
    requests.failed(id, B.id, "no.");
    expect(settled).toEqual([]);
    requests.answered(id, "c");
    requests.finished(id, C.id);
    expect(settled).toMatchObject([
      { code: "HOLDFAST_ERR_REQUEST_FAILED", message: "no.", responses: ["c"] },
    ]);
  });

  test("fails the requests of one owner, or all", () => {
    const requests = new Requests();
    const owner = {};
    const mine = start(requests, owner);
    const other = start(requests);
    requests.fail("HOLDFAST_ERR_CLOSED", "closed", owner);
    expect(mine.settled).toMatchObject([{ code: "HOLDFAST_ERR_CLOSED" }]);
    expect(other.settled).toEqual([]);
    requests.fail("HOLDFAST_ERR_LINK_LOST", "lost");
    expect(other.settled).toMatchObject([{ code: "HOLDFAST_ERR_LINK_LOST" }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("one callback that throws keeps nobody else from being told, and is uncaught", () => {
    const requests = new Requests();
    const throwing = requests.open(
      {},
      {
        timeoutMs: 1000,
        onResponse: () => {
          throw new Error("from onResponse");
        },
        onSettled: () => {
          throw new Error("from onSettled");
        },
      },
    );
    const other = start(requests);
    const uncaught = uncaughtOf(() => {
      for (const id of [throwing, other.id]) requests.asked(id, [B]);
      requests.answered(throwing, "b");
      requests.left(B.id);
    });
    expect(other.settled).toEqual([undefined]);
    expect(requests.size).toBe(0);
    expect(uncaught.map((run) => expect(run).toThrow(/from on/))).toHaveLength(2);
  });
});
