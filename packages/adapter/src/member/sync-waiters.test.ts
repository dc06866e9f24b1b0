import { expect, test } from "vitest";
import { SyncWaiters } from "../../dist/member/sync-waiters.js";

/** Names of the promises that have settled, in order. */
function settledOf(promises: Record<string, Promise<void>>): string[] {
  const settled: string[] = [];
  for (const [name, promise] of Object.entries(promises)) void promise.then(() => settled.push(name));
  return settled;
}

const microtasks = () => new Promise(setImmediate);

test("each waits for the last frame that was written after it came", async () => {
  const waiters = new SyncWaiters();
  const first = waiters.next();
  expect(waiters.next()).toBe(first);
  expect([waiters.nextSequence(), waiters.nextSequence()]).toEqual([1, 2]);
  waiters.written();
  expect(waiters.last).toBe(first);
  const second = waiters.next();
  expect(waiters.nextSequence()).toBe(3);
  waiters.written();
  expect(waiters.last).toBe(second);

  const settled = settledOf({ first, second });
  waiters.synced(1);
  await microtasks();
  expect(settled).toEqual([]);
  waiters.synced(2);
  await microtasks();
  expect(settled).toEqual(["first"]);
  waiters.synced(3);
  await microtasks();
  expect(settled).toEqual(["first", "second"]);
  expect(waiters.last).toBeUndefined();
});

test("the hub need not answer when nobody waits", async () => {
  const waiters = new SyncWaiters();
  expect(waiters.nextSequence()).toBe(0);
  waiters.written();
  expect(waiters.last).toBeUndefined();

  const nothingToWrite = waiters.next();
  waiters.written();
  await nothingToWrite;
});

test("sequence numbers go on behind the last that the field holds", async () => {
  const waiters = new SyncWaiters(0xfffffffe);
  const before = waiters.next();
  expect(waiters.nextSequence()).toBe(0xffffffff);
  waiters.written();
  const after = waiters.next();
  expect(waiters.nextSequence()).toBe(1);
  waiters.written();

  const settled = settledOf({ before, after });
  waiters.synced(0xffffffff);
  await microtasks();
  expect(settled).toEqual(["before"]);
  waiters.synced(1);
  await microtasks();
  expect(settled).toEqual(["before", "after"]);
});

test("nobody waits for a hub that is gone", async () => {
  const waiters = new SyncWaiters();
  const written = waiters.next();
  waiters.nextSequence();
  waiters.written();
  const coming = waiters.next();
  waiters.release();
  await Promise.all([written, coming]);
  expect(waiters.last).toBeUndefined();
});
