/** What the hub tells of itself: counts that never fall, what became of clients that came back, diagnostics channels. */
import type { PrimaryStats } from "@holdfast/adapter";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters({ sticky: false, io: { connectionStateRecovery: {} } }, (cluster) =>
  cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());

const stats = (cluster: TestCluster): Promise<PrimaryStats> => cluster.primary.run((ctx) => ctx.hub.stats());

test("the totals of all members go on when a worker is gone", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  const client = await clients.connectTo(b);
  const got = client.next("news");
  await a.run((ctx) => void ctx.io.emit("news", 1));
  await got;
  const before = await stats(cluster);
  expect(before.totals).toMatchObject({ joined: 2, left: 0, cutOff: 0 });
  expect(before.totals.framesOut).toBe(before.members.reduce((sum, { framesOut }) => sum + framesOut, 0));
  await b.kill();
  await cluster.primary.run((ctx) => ctx.until(() => ctx.hub.stats().totals.left === 1));
  const after = await stats(cluster);
  expect(after.members).toHaveLength(1);
  for (const name of ["framesIn", "bytesIn", "framesOut", "bytesOut"] as const) {
    expect(after.totals[name]).toBeGreaterThanOrEqual(before.totals[name]);
  }
});

test("restored and declined sessions are counted and told, with the packets that were sent again", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b, primary } = cluster;
  await primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.told = [];
    for (const name of ["restore", "decline"]) {
      subscribe(`holdfast:adapter:${name}`, (message) =>
        ctx.store.told.push({ name, ...(message as object) }),
      );
    }
  });
  const client = await clients.connectTo(a, { reconnection: true, reconnectionDelay: 10 });
  const { id } = client;
  const first = client.next("news");
  await b.run((ctx) => void ctx.io.emit("news", 1));
  await first;
  // It comes back to the other worker, and has missed one packet.
  const missed = client.next("missed");
  const { manager, url } = { manager: client.socket.io, url: b.url };
  manager.reconnectionDelay(600_000);
  manager.engine.close();
  await primary.run((ctx) => ctx.until(() => ctx.hub.stats().recovery.suspended === 1));
  await b.run((ctx) => void ctx.io.emit("missed", 2));
  await primary.run((ctx) => ctx.until(() => ctx.hub.stats().recovery.packets >= 2));
  (manager as unknown as { uri: string }).uri = url;
  manager.connect();
  client.socket.connect();
  await missed;
  expect(client.id).toBe(id);
  expect(client.socket.recovered).toBe(true);

  const stranger = await clients.connectTo(a, { auth: { pid: "nobody", offset: "nowhere" } });
  expect(stranger.socket.recovered).toBe(false);
  const { recovery } = await stats(cluster);
  expect(recovery).toMatchObject({ restored: 1, resent: 1 });
  expect(recovery.declined).toEqual({ unknown: 0, cut: 0, overtaken: 0, "too-large": 0 });
  const told = await primary.run((ctx) => ctx.store.told);
  expect(told).toEqual([
    { name: "restore", member: expect.objectContaining({ workerId: b.workerId }), sid: id, packets: 1 },
  ]);
});

test("joins and ends are told on their channels, in the primary and in workers; and printed once in the log", async () => {
  const cluster = await start({ workers: 1, env: { DEBUG: "holdfast:adapter:*", NO_COLOR: "1" } });
  const { a, primary } = cluster;
  await primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.told = [];
    for (const name of ["join", "leave"]) {
      subscribe(`holdfast:adapter:${name}`, (message) =>
        ctx.store.told.push({ name, ...(message as object) }),
      );
    }
  });
  const member = { id: 1, workerId: a.workerId, pid: a.pid };
  await a.kill();
  await cluster.fork();
  const told = await primary.run((ctx) => ctx.until(() => ctx.store.told.length === 2 && ctx.store.told));
  expect(told).toEqual([
    { name: "leave", member },
    { name: "join", member: expect.objectContaining({ id: 2 }), link: expect.stringMatching(/pipe|ipc/) },
  ]);
  await cluster.waitForOutput("holdfast:adapter:member joined as member 2 over");
  expect(cluster.output.split("member 1 (worker 1) left")).toHaveLength(2);
});
