/** A router that takes over from one that is being closed, and counts what its workers have. */
import { Agent } from "node:http";
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { keepsAgents, startsClusters } from "./harness/after-each.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters(
  {
    workers: 1,
    adapter: false,
    setUpWorker: ({ httpServer }) => {
      httpServer.keepAliveTimeout = 600_000;
    },
  },
  ({ primary, workers }) => primary.run((ctx, all) => ctx.router.ready(all), workers.length),
);
const agents = keepsAgents();

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

/** Settles when the second router counts so many connections of its first worker. */
const untilCounted = ({ primary }: TestCluster, count: number) =>
  primary.run(
    (ctx, open) => ctx.until(() => ctx.store.second.stats().workers[0]?.connections === open),
    count,
  );

test("a late connection is counted, also where its worker sets another server up before it hears of the router", async () => {
  const cluster = await start();
  const { a, primary } = cluster;
  const isBusy = a.next("busy");
  const isReady = a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    // Behind its question whose the late connection is.
    const { send } = process;
    process.send = function (
      this: NodeJS.Process,
      message: { "holdfast:sticky"?: number[] },
      ...rest: never[]
    ) {
      const isSent = send?.call(this, message, ...rest) ?? false;
      // The kind of that question, as docs/protocol.md has it.
      if (message["holdfast:sticky"]?.[0] !== 20 || ctx.store.second) return isSent;
      ctx.store.second = setupWorker(new Server(createServer()), { name: "second" });
      return isSent;
    };
    ctx.emit("busy");
    await new Promise(setImmediate);
    // So long that a connection that comes first is late, and not so long that the router takes it back.
    const end = performance.now() + 1_500;
    while (performance.now() < end);
  });
  await isBusy;
  const agent = new Agent({ keepAlive: true });
  agents.push(agent);
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`, { agent });
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    // The worker goes on meanwhile, and what it says is read behind the takeover.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const end = performance.now() + 1_200;
    while (performance.now() < end);
    void ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  await isReady;
  expect((await answer).status).toBe(200);
  await untilCounted(cluster, 1);
  agent.destroy();
  expect(await untilCounted(cluster, 0)).toBe(true);
});

test.each(["at once", "when it is being closed"])(
  "a late connection to a worker that is busy while another router takes over %s is counted once",
  async (when) => {
    const cluster = await start();
    const isBusy = cluster.a.next("busy");
    const free = cluster.a.run((ctx) => {
      ctx.emit("busy");
      // So long that the connection is late, and not so long that the router takes it back.
      const end = performance.now() + 1_500;
      while (performance.now() < end);
    });
    await isBusy;
    const agent = new Agent({ keepAlive: true });
    agents.push(agent);
    const answer = httpRequest(`${cluster.url}${HANDSHAKE}`, { agent });
    await cluster.primary.run(async (ctx, how) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
      void ctx.router.close();
      if (how !== "at once") await new Promise((resolve) => setTimeout(resolve, 100));
      ctx.store.second = setupPrimary(ctx.httpServer);
    }, when);
    expect((await answer).status).toBe(200);
    await free;
    await untilCounted(cluster, 1);
    agent.destroy();
    expect(await untilCounted(cluster, 0)).toBe(true);
  },
);

test("a worker has what the next router brings at once, though nobody says whose its late connection is", async () => {
  const cluster = await start();
  await cluster.a.stop();
  const late = httpRequest(`${cluster.url}${HANDSHAKE}`).catch(({ code }: { code: string }) => code);
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await ctx.router.close();
  });
  await cluster.primary.run((ctx) => {
    ctx.store.asked = new Promise<void>((resolve) => {
      ctx.cluster.on("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
        // The kind of the question whose a connection is, as docs/protocol.md has it.
        if (message["holdfast:sticky"]?.[0] === 20) resolve();
      });
    });
  });
  await cluster.a.resume();
  // There is no router that would hear it.
  await cluster.primary.run((ctx) => ctx.store.asked);
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    setupPrimary(ctx.httpServer, { workerTimeout: 1_000 });
  });
  expect((await httpRequest(`${cluster.url}${HANDSHAKE}`)).status).toBe(200);
  expect(await late).toBe("ECONNRESET");
});

test("a worker whose slot another one has got from the next router gets one that nobody has", async () => {
  const cluster = await start({ workers: 2 });
  await cluster.b.stop();
  await cluster.primary.run(async (ctx, first) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    void ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer, {
      slotOf: (id: number) => (id === first ? 1 : undefined),
    });
    await ctx.store.second.ready(1);
  }, cluster.a.workerId);
  await cluster.b.resume();
  const slots = cluster.primary.run(async (ctx) => {
    await ctx.store.second.ready(2);
    return ctx.store.second.stats().workers.map(({ slot }: { slot: number }) => slot);
  });
  expect(await slots).toEqual([1, 0]);
});

test("a router that takes over from one that is being closed gives the workers the slots that it wants", async () => {
  const cluster = await start({ workers: 2 });
  const slots = await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const told: number[][] = [];
    let router = ctx.router;
    const before = router.stats().workers.map(({ slot }: { slot: number }) => slot);
    void router.close();
    router = setupPrimary(ctx.httpServer, { slotOf: () => undefined });
    await router.ready(2);
    const kept = router.stats().workers.map(({ slot }: { slot: number }) => slot);
    for (const offset of [10, 20]) {
      void router.close();
      router = setupPrimary(ctx.httpServer, { slotOf: (id: number) => id + offset });
      await router.ready(2);
      told.push(router.stats().workers.map(({ slot }: { slot: number }) => slot));
    }
    return { told, before, kept };
  });
  const ids = cluster.workers.map(({ workerId }) => workerId);
  expect(slots.kept).toEqual(slots.before);
  expect(slots.told).toEqual([10, 20].map((offset) => ids.map((id) => id + offset)));
});
