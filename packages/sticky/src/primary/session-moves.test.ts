/** The primary's part in moves, with workers that say what the test has them say. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type MovingWorker, SessionMoves } from "../../dist/primary/session-moves.js";
import { type MoveMessage, NEVER } from "../../dist/wire/move-messages.js";
import { NO_OWNER } from "../../dist/wire/owner-mark.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => void vi.useRealTimers());

const COUNTS = { total: 0, moved: 0, lost: 0, closed: 0, left: {} };

/** Moves between so many workers. */
function movesOf(count: number) {
  const untaken: Record<number, number> = {};
  /** Those whose servers are closed, and those whose processes have ended. */
  const departed = new Set<number>();
  const dead = new Set<number>();
  const worker = (workerId: number): MovingWorker => ({
    workerId,
    get untaken() {
      return untaken[workerId] ?? 0;
    },
    isUsable: () => !dead.has(workerId),
    hand: () => {},
    withdraw: () => {},
  });
  const workers = Array.from({ length: count }, (_, i) => worker(i + 1));
  const sent: string[] = [];
  /** The numbers of the tasks that workers were given, in order. */
  const tasks: number[] = [];
  const moves = new SessionMoves({
    find: (workerId) => workers.find((each) => each.workerId === workerId),
    lives: (workerId) => !departed.has(workerId) && !dead.has(workerId),
    workers: () => workers,
    send: (workerId, message: MoveMessage) => {
      sent.push(`${message.kind} to ${workerId}`);
      if (message.kind === "moveSessions") tasks.push(message.task);
      if (message.kind === "giving" || message.kind === "given") {
        moves.onMessage(workerId, { kind: "heardOf", giver: message.giver }, undefined);
      }
    },
    onStopped: () => {},
  });
  return { untaken, departed, dead, moves, sent, tasks };
}

/** The first of two workers has given all its sessions to the second. */
async function given() {
  const { untaken, moves, sent, tasks } = movesOf(2);
  const order = { successors: [2], heir: 2, limit: 9, window: 8, drainMs: 0, spreadMs: 0 };
  const result = moves.start(1, order);
  await vi.advanceTimersByTimeAsync(0);
  const [task = 0] = tasks;
  const empty = () => {
    moves.onMessage(1, { kind: "moveReport", task, state: "empty", ...COUNTS }, undefined);
    return vi.advanceTimersByTimeAsync(0);
  };
  const over = () => {
    moves.onMessage(1, { kind: "moveReport", task, state: "over", ...COUNTS }, undefined);
    return result;
  };
  return { task, untaken, moves, sent, empty, over };
}

test("a worker is let go when it has all connections that were on their way to it", async () => {
  const { untaken, moves, sent, empty, over } = await given();
  untaken[1] = 2;
  await empty();
  expect([moves.hasGiven(1), moves.ownerOf(1)]).toEqual([true, 2]);
  await vi.advanceTimersByTimeAsync(900);
  untaken[1] = 1;
  await vi.advanceTimersByTimeAsync(900);
  expect(sent).not.toContain("letGo to 1");
  untaken[1] = 0;
  await vi.advanceTimersByTimeAsync(5);
  expect(sent.slice(-3)).toEqual(["given to 1", "given to 2", "letGo to 1"]);
  expect(await over()).toMatchObject({ outcome: "done" });
  moves.close();
});

test("one that takes none any more is let go all the same", async () => {
  const { untaken, moves, sent, empty, over } = await given();
  untaken[1] = 1;
  await empty();
  await vi.advanceTimersByTimeAsync(1_005);
  expect(sent.at(-1)).toBe("letGo to 1");
  await over();
  moves.close();
});

test("where tasks of a worker that is gone overlap, each counts its own moves, and ends when these have", async () => {
  const { moves, tasks } = movesOf(3);
  const common = { limit: 9, window: 8, spreadMs: 0 };
  const ended: number[] = [];
  const results = [
    moves.start(1, { ...common, successors: [2], heir: NO_OWNER, drainMs: NEVER }),
    moves.start(1, { ...common, successors: [2, 3], heir: 2, drainMs: 0 }),
  ].map((result, i) => result.finally(() => ended.push(i + 1)));
  await vi.advanceTimersByTimeAsync(0);
  const offer = { successor: 2, name: "default", carrier: "polls", part: "AA==", peer: undefined } as const;
  // The one without an heir is given to the worker first.
  const [first = 0, second = 0] = tasks;
  const offered = [second, second, first].map(
    (task, i) => ({ kind: "moveOffered", move: i + 1, task, ...offer }) as const,
  );
  for (const each of offered) moves.onMessage(1, each, undefined);
  moves.onGone(1);
  // The numbers of moves here go on from those of tasks.
  const land = async (nth: number, isUp: boolean) => {
    const move = Math.max(first, second) + nth;
    moves.onMessage(2, { kind: "moveLanded", ends: [{ move, isUp }] }, undefined);
    await vi.advanceTimersByTimeAsync(0);
    return [...ended];
  };
  expect(await land(1, true)).toEqual([]);
  expect(await land(3, true)).toEqual([1]);
  expect(await land(2, false)).toEqual([1, 2]);
  expect(await Promise.all(results)).toMatchObject([
    { outcome: "worker-gone", counts: { total: 1, moved: 1, lost: 0 } },
    { outcome: "worker-gone", counts: { total: 2, moved: 1, lost: 1 } },
  ]);
  moves.close();
});

test("a router that is closed stops what moves, and lets a worker without sessions finish", async () => {
  const { moves, tasks, sent } = movesOf(3);
  const common = { limit: 9, window: 8, spreadMs: 0, drainMs: 0 };
  const moving = moves.start(1, { ...common, successors: [3], heir: 3 });
  const empty = moves.start(2, { ...common, successors: [3], heir: 3 });
  await vi.advanceTimersByTimeAsync(0);
  const [first = 0, second = 0] = tasks;
  const report = (workerId: number, task: number, state: "empty" | "over") =>
    moves.onMessage(workerId, { kind: "moveReport", task, state, ...COUNTS }, undefined);
  report(2, second, "empty");
  moves.stop();
  expect(sent.filter((each) => each.startsWith("stopMoves"))).toEqual(["stopMoves to 1"]);
  report(1, first, "over");
  expect(await moving).toMatchObject({ outcome: "router-closed" });
  await vi.advanceTimersByTimeAsync(5);
  expect(sent.at(-1)).toBe("letGo to 2");
  expect(moves.underway).toBe(1);
  report(2, second, "over");
  expect(await empty).toMatchObject({ outcome: "done" });
  expect(moves.underway).toBe(0);
  moves.close();
});

test("a worker that says nothing is waited for no longer than some seconds, and what is known of its sessions counts", async () => {
  const { moves, tasks } = movesOf(2);
  const order = { limit: 9, window: 8, spreadMs: 0, drainMs: 0, successors: [2], heir: 2 };
  const moving = moves.start(1, order);
  await vi.advanceTimersByTimeAsync(0);
  const [task = 0] = tasks;
  const offer = { successor: 2, name: "default", carrier: "polls", part: "AA==", peer: undefined } as const;
  for (const move of [1, 2]) moves.onMessage(1, { kind: "moveOffered", move, task, ...offer }, undefined);
  moves.onMessage(2, { kind: "moveLanded", ends: [{ move: task + 1, isUp: true }] }, undefined);
  moves.onMessage(2, { kind: "moveLanded", ends: [{ move: task + 2, isUp: false }] }, undefined);
  moves.stop();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(await moving).toMatchObject({ outcome: "router-closed", counts: { total: 2, moved: 1, lost: 1 } });
  expect(moves.underway).toBe(0);
  moves.close();
});

test("what a worker says of a task of an earlier router ends none of a later one", async () => {
  const earlier = await given();
  earlier.moves.close();
  const later = await given();
  later.moves.onMessage(1, { kind: "moveReport", task: earlier.task, state: "over", ...COUNTS }, undefined);
  expect(later.moves.underway).toBe(1);
  expect(await later.over()).toMatchObject({ outcome: "done" });
  later.moves.close();
});

test("sessions on their way to a worker whose servers are closed are lost at once, and others are offered in vain", async () => {
  const { departed, moves, tasks, sent } = movesOf(2);
  const order = { limit: 9, window: 8, spreadMs: 0, drainMs: NEVER, successors: [2], heir: NO_OWNER };
  const moving = moves.start(1, order);
  await vi.advanceTimersByTimeAsync(0);
  const [task = 0] = tasks;
  const offer = { successor: 2, name: "default", carrier: "polls", part: "AA==", peer: undefined } as const;
  const offerNth = (move: number) =>
    moves.onMessage(1, { kind: "moveOffered", move, task, ...offer }, undefined);
  offerNth(1);
  departed.add(2);
  moves.onDeparted(2);
  offerNth(2);
  await vi.advanceTimersByTimeAsync(5);
  expect(sent.filter((each) => each === "moveConnection to 2").length).toBe(1);
  expect(sent).toContain("stopMoves to 1");
  moves.onMessage(1, { kind: "moveReport", task, state: "over", ...COUNTS }, undefined);
  expect(await moving).toMatchObject({ outcome: "successor-gone", counts: { total: 2, moved: 0, lost: 2 } });
  expect(moves.underway).toBe(0);
  moves.close();
});

test("a worker that dies before it could begin has not retired", async () => {
  const { dead, moves, sent } = movesOf(2);
  const order = { limit: 9, window: 8, spreadMs: 0, drainMs: 0, successors: [2], heir: 2 };
  const retired = moves.start(1, order);
  dead.add(1);
  await vi.advanceTimersByTimeAsync(5);
  expect(sent).toContain("giving to 2");
  // Its channel ends later.
  moves.onGone(1);
  expect(await retired).toMatchObject({ outcome: "worker-gone" });
  moves.close();
});
