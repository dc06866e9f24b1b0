/** The primary's part in moves, with workers that say what the test has them say. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type MovingWorker, SessionMoves } from "../../dist/primary/session-moves.js";
import type { MoveMessage } from "../../dist/wire/move-messages.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => void vi.useRealTimers());

const COUNTS = { total: 0, moved: 0, lost: 0, closed: 0, left: {} };

/** Two workers, the first of which has given all its sessions to the second. */
async function given() {
  const untaken = { 1: 0, 2: 0 } as Record<number, number>;
  const worker = (workerId: number): MovingWorker => ({
    workerId,
    get untaken() {
      return untaken[workerId] ?? 0;
    },
    isUsable: () => true,
    hand: () => {},
    withdraw: () => {},
  });
  const workers = [worker(1), worker(2)];
  const sent: string[] = [];
  const moves = new SessionMoves({
    find: (workerId) => workers.find((each) => each.workerId === workerId),
    workers: () => workers,
    send: (workerId, message: MoveMessage) => {
      sent.push(`${message.kind} to ${workerId}`);
      if (message.kind === "giving" || message.kind === "given") {
        moves.onMessage(workerId, { kind: "heardOf", giver: message.giver }, undefined);
      }
    },
    onStopped: () => {},
  });
  const task = { successors: [2], heir: 2, limit: 9, window: 8, drainMs: 0, spreadMs: 0 };
  const result = moves.start(1, task);
  await vi.advanceTimersByTimeAsync(0);
  const empty = () => {
    moves.onMessage(1, { kind: "moveReport", task: 1, state: "empty", ...COUNTS }, undefined);
    return vi.advanceTimersByTimeAsync(0);
  };
  const over = () => {
    moves.onMessage(1, { kind: "moveReport", task: 1, state: "over", ...COUNTS }, undefined);
    return result;
  };
  return { untaken, moves, sent, empty, over };
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
