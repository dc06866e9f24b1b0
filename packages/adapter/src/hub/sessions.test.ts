import { beforeEach, describe, expect, test } from "vitest";
import { type Owner, Sessions } from "../../dist/hub/sessions.js";

const NAMESPACE = 1;
const DURATION_MS = 1000;
const [one, other] = [{ workerId: 1 }, { workerId: 2 }];

let now: number;
let sessions: Sessions;

beforeEach(() => {
  now = 5_000;
  sessions = new Sessions(() => now);
  sessions.openNamespace(NAMESPACE, DURATION_MS);
});

function open(handle: number, owner: Owner = one, privateId = `p${handle}`) {
  return sessions.open(owner, handle, { namespaceId: NAMESPACE, privateId, sid: `s${handle}` });
}

describe("a session", () => {
  test("is known by private id, and by its owner's handle only to its owner", () => {
    const session = open(1);
    expect(session?.state).toBe("live");
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
    expect(sessions.find(2, "p1")).toBeUndefined();
    expect(sessions.find(NAMESPACE, "p2")).toBeUndefined();
    expect(sessions.owned(one, 1)).toBe(session);
    expect(sessions.owned(other, 1)).toBeUndefined();
  });

  test("that is suspended and claimed by another is nothing to its old owner", () => {
    const session = open(1);
    if (!session) throw new Error("not opened");
    sessions.suspend(session);
    expect(sessions.owned(one, 1)).toBeUndefined();
    sessions.claim(session, other, 7);
    expect(session.state).toBe("claimed");
    expect(sessions.owned(other, 7)).toBe(session);
    expect([...sessions.of(one)]).toEqual([]);
    expect([...sessions.of(other)]).toEqual([session]);
  });

  test("that was suspended can be opened again by who had it last, and by nobody while it has an owner", () => {
    const session = open(1);
    if (!session) throw new Error("not opened");
    const returned = { workerId: 1 };
    expect(open(1, returned)).toBeUndefined();
    sessions.suspend(session);
    expect(open(9, other, "p1")).toBeUndefined();
    expect(open(1, other)).toBeUndefined();
    expect(open(9, returned, "p1")).toBeUndefined();
    expect(open(1, returned)).toBe(session);
    expect(session.state).toBe("live");
    expect(sessions.owned(returned, 1)).toBe(session);
    sessions.suspend(session);
    sessions.claim(session, other, 9);
    sessions.suspend(session);
    expect(open(1, returned)).toBeUndefined();
    expect(open(9, other, "p1")).toBe(session);
  });

  test("expires so long after it was suspended, and a claim that came to nothing does not prolong it", () => {
    const session = open(1);
    if (!session) throw new Error("not opened");
    now += 10 * DURATION_MS;
    sessions.expire();
    sessions.suspend(session);
    now += DURATION_MS - 1;
    sessions.claim(session, other, 2);
    sessions.suspend(session);
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
    now += 2;
    expect(sessions.find(NAMESPACE, "p1")).toBeUndefined();
    expect(sessions.size).toBe(0);
  });
});

test("10,000 sessions that never return are gone after the limit, and with them their namespace's claim", () => {
  for (let i = 0; i < 10_000; i++) open(i);
  for (const session of sessions.of(one)) sessions.suspend(session);
  expect([sessions.size, sessions.suspendedSize]).toEqual([10_000, 10_000]);
  now += DURATION_MS;
  sessions.expire();
  expect(sessions.size).toBe(10_000);
  now += 1;
  sessions.expire();
  expect([sessions.size, sessions.suspendedSize]).toEqual([0, 0]);
  expect(sessions.hasAny(NAMESPACE)).toBe(false);
});
