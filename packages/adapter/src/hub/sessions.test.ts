import { beforeEach, describe, expect, test } from "vitest";
import type { SessionHolder } from "../../dist/hub/session.js";
import { Sessions } from "../../dist/hub/sessions.js";

const NAMESPACE = 1;
const DURATION_MS = 1000;
const HOST = "here";
const [one, other] = [
  { host: HOST, workerId: 1 },
  { host: HOST, workerId: 2 },
];

let now: number;
let sessions: Sessions<SessionHolder>;

beforeEach(() => {
  now = 5_000;
  sessions = new Sessions(() => now);
  sessions.openNamespace(NAMESPACE, DURATION_MS);
});

function open(
  handle: number,
  holder: SessionHolder = one,
  privateId = `p${handle}`,
  namespaceId = NAMESPACE,
) {
  const session = sessions.open(holder, handle, { namespaceId, privateId, sid: `s${handle}` });
  if (!session) throw new Error("not opened");
  return session;
}

function isOpened(handle: number, holder: SessionHolder, privateId: string): boolean {
  return sessions.open(holder, handle, { namespaceId: NAMESPACE, privateId, sid: "s" }) !== undefined;
}

/** Gives a session that nobody has to a holder. */
function claim(session: ReturnType<typeof open>, holder: SessionHolder, handle: number): void {
  sessions.reserve(session);
  sessions.claim(session, holder, handle);
}

function expire(): void {
  for (const _ of sessions.expire());
}

describe("a session", () => {
  test("is known by private id, and by its holder's handle only to its holder and in its namespace", () => {
    const session = open(1);
    expect([session.state, session.holder]).toEqual(["live", one]);
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
    expect(sessions.find(2, "p1")).toBeUndefined();
    expect(sessions.find(NAMESPACE, "p2")).toBeUndefined();
    expect(sessions.held(one, NAMESPACE, 1)).toBe(session);
    expect(sessions.held(one, 2, 1)).toBeUndefined();
    expect(sessions.held(other, NAMESPACE, 1)).toBeUndefined();
  });

  test("that is suspended and claimed by another is nothing to its old holder", () => {
    const session = open(1);
    sessions.suspend(session);
    expect([session.state, session.holder]).toEqual(["suspended", undefined]);
    expect(sessions.held(one, NAMESPACE, 1)).toBeUndefined();
    claim(session, other, 7);
    expect([session.state, session.holder]).toEqual(["claimed", other]);
    expect(sessions.held(other, NAMESPACE, 7)).toBe(session);
    expect(sessions.release(one)).toEqual([]);
    expect(session.state).toBe("claimed");
    sessions.settle(session);
    expect(session.state).toBe("live");
  });

  test("that was suspended can be opened again by who had it last, and by nobody while it has a holder", () => {
    const session = open(1);
    const returned = { host: HOST, workerId: 1 };
    expect(isOpened(1, returned, "p1")).toBe(false);
    sessions.suspend(session);
    expect(isOpened(9, other, "p1")).toBe(false);
    expect(isOpened(1, other, "p1")).toBe(false);
    expect(isOpened(9, returned, "p1")).toBe(false);
    expect(isOpened(1, { host: "elsewhere", workerId: 1 }, "p1")).toBe(false);
    expect(open(1, returned)).toBe(session);
    expect(session.state).toBe("live");
    expect(sessions.held(returned, NAMESPACE, 1)).toBe(session);
    sessions.suspend(session);
    claim(session, other, 9);
    sessions.suspend(session);
    expect(isOpened(1, returned, "p1")).toBe(false);
    expect(open(9, other, "p1")).toBe(session);
  });

  test("expires so long after it was suspended, and a claim that came to nothing does not prolong it", () => {
    const session = open(1);
    now += 10 * DURATION_MS;
    expire();
    sessions.suspend(session);
    now += DURATION_MS - 1;
    claim(session, other, 2);
    sessions.suspend(session);
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
    now += 2;
    expect(sessions.find(NAMESPACE, "p1")).toBeUndefined();
    expect(sessions.size).toBe(0);
  });

  test("does not expire while somebody waits for it", () => {
    const session = open(1);
    sessions.suspend(session);
    now += DURATION_MS;
    sessions.reserve(session);
    now += DURATION_MS;
    expire();
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
    expect([session.state, sessions.size, sessions.suspendedSize]).toEqual(["restoring", 1, 1]);
    sessions.suspend(session);
    expect(sessions.find(NAMESPACE, "p1")).toBeUndefined();
    expect(sessions.suspendedSize).toBe(0);
  });
});

describe("a holder that is gone", () => {
  test("has let go of all its sessions, or of those of a namespace", () => {
    sessions.openNamespace(2, DURATION_MS);
    const [here, there, foreign] = [open(1), open(2, one, "p2", 2), open(3, other)];
    expect(sessions.release(one, 2)).toEqual([]);
    expect([here.state, there.state, foreign.state]).toEqual(["live", "suspended", "live"]);
    expect(sessions.held(one, 2, 2)).toBeUndefined();
    sessions.release(one);
    expect([here.state, there.state, foreign.state]).toEqual(["suspended", "suspended", "live"]);
    expect([here.holder, sessions.size, sessions.suspendedSize]).toEqual([undefined, 3, 2]);
    sessions.forget(here);
    claim(there, other, 8);
    expect([sessions.size, sessions.suspendedSize]).toEqual([2, 0]);
    expect(sessions.held(other, 2, 8)).toBe(there);
  });

  test("has its sessions expire as if each had been suspended then", () => {
    const [early, claimed] = [open(1), open(2)];
    sessions.suspend(claimed);
    now += DURATION_MS / 2;
    claim(claimed, one, 2);
    expect(sessions.release(one)).toEqual([claimed]);
    now += DURATION_MS / 2 + 1;
    expect(sessions.find(NAMESPACE, "p1")).toBe(early);
    expect(sessions.find(NAMESPACE, "p2")).toBeUndefined();
    now += DURATION_MS / 2;
    expire();
    expect([sessions.size, sessions.suspendedSize]).toEqual([0, 0]);
  });

  test("lets go of a namespace, or of all, without a look at its sessions", () => {
    sessions.openNamespace(2, DURATION_MS);
    const opened = Array.from({ length: 1_000 }, (_, i) => open(i));
    const inOther = open(0, one, "p0", 2);
    let looks = 0;
    for (const session of opened) {
      const { holding } = session;
      Object.defineProperty(session, "holding", { get: () => ++looks && holding, set: () => looks++ });
    }
    sessions.release(one, 2);
    expect([inOther.state, looks]).toEqual(["suspended", 0]);
    sessions.release(one);
    expect(looks).toBe(0);
    expect(new Set(opened.map(({ state }) => state))).toEqual(new Set(["suspended"]));
  });

  test("can come back and open them again", () => {
    const session = open(1);
    sessions.release(one);
    const returned = { host: HOST, workerId: 1 };
    expect(isOpened(1, other, "p1")).toBe(false);
    expect(open(1, returned)).toBe(session);
    expect([session.state, sessions.suspendedSize]).toEqual(["live", 0]);
    now += 2 * DURATION_MS;
    expire();
    expect(sessions.find(NAMESPACE, "p1")).toBe(session);
  });
});

test.each(["one by one", "at once"])(
  "10,000 sessions that are suspended %s and never return are gone after the limit, and with them their namespace's claim",
  (how) => {
    const opened = Array.from({ length: 10_000 }, (_, i) => open(i));
    if (how === "at once") sessions.release(one);
    else for (const session of opened) sessions.suspend(session);
    expect([sessions.size, sessions.suspendedSize]).toEqual([10_000, 10_000]);
    now += DURATION_MS;
    expire();
    expect(sessions.size).toBe(10_000);
    now += 1;
    expire();
    expect([sessions.size, sessions.suspendedSize]).toEqual([0, 0]);
    expect(sessions.hasAny(NAMESPACE)).toBe(false);
  },
);
