/** What a hub says when it is asked how it is. */
import { expect, test } from "vitest";
import { joinWithin } from "../../dist/host/local-join.js";
import { Hub } from "../../dist/hub/hub.js";
import { OwnProcess } from "../../dist/hub/own-process.js";
import { LocalLink } from "../../dist/link/local.js";
import { Member } from "../../dist/member/member.js";

const MAX_MESSAGE_BYTES = 2 ** 16;
const BLOCKED_MS = 50;

function openHub(): Hub {
  const limits = {
    maxMessageBytes: MAX_MESSAGE_BYTES,
    maxBacklogBytes: 2 ** 24,
    stallTimeout: 60_000,
    journalBytes: 2 ** 20,
  };
  const ignore = () => {};
  return new Hub(limits, {
    onJoin: ignore,
    onLeave: ignore,
    onStalled: ignore,
    onJournalFull: ignore,
    onError: ignore,
  });
}

/** A member of the hub that asks. */
function asker(hub: Hub) {
  const member = new Member({
    connect: () => true,
    disconnect: () => {},
    connected: false,
    looksOn: false,
  });
  const ignore = () => {};
  const port = member.open("/", 0, {
    recovery: undefined,
    onBroadcast: ignore,
    onCommand: ignore,
    onRequest: ignore,
    onBroadcastWithAck: ignore,
    reportRooms: ignore,
    onRecoverable: ignore,
    onTaken: ignore,
    onError: ignore,
  });
  joinWithin(hub, member, 1);
  return { member, close: () => port.close() };
}

test("who has too many members to tell of says so, and keeps the link", async () => {
  const hub = openHub();
  const { member, close } = asker(hub);
  expect((await member.hubStats(5_000)).members).toHaveLength(1);
  for (let i = 0; i < 3_000; i++) hub.admit({ workerId: i, pid: 1_000_000 + i }, (to) => new LocalLink(to));
  await expect(member.hubStats(5_000)).rejects.toMatchObject({ code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE" });
  expect(member.state).toBe("joined");
  close();
  await hub.close();
});

test("a process that is blocked again and again says how late it was in that second", async () => {
  const own = new OwnProcess();
  expect(own.stats).toMatchObject({ loopP50Ms: 0, loopP99Ms: 0 });
  while (own.stats.loopP50Ms < BLOCKED_MS / 2) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS);
    await new Promise((done) => setTimeout(done, 1));
  }
  expect(own.stats.loopP99Ms).toBeGreaterThanOrEqual(own.stats.loopP50Ms);
  expect(own.stats.rssBytes).toBeGreaterThan(own.stats.heapBytes);
  own.close();
  own.close();
});
