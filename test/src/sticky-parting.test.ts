/** Workers that do not know yet that nobody answers them any more: what they give to the primary meanwhile. */
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { keepsAgents, startsClusters } from "./harness/after-each.js";
import { HANDSHAKE, type Kept, keptAmid, upgradeOver } from "./harness/kept-connection.js";

const start = startsClusters(
  {
    workers: 1,
    moves: true,
    io: { connectionStateRecovery: {} },
    setUpWorker: (ctx) => {
      ctx.httpServer.keepAliveTimeout = 600_000;
    },
  },
  (cluster) => cluster.untilJoined(),
);
const agents = keepsAgents();
const startWithKept = (count: number) =>
  start({ workers: 2 }).then((cluster) => keptAmid(cluster, count, agents));

test("what a worker gives away that stood still while the last router was closed is not left open", async () => {
  const { cluster, all } = await startWithKept(1);
  const [{ agent, other, ownAt }] = all as [Kept];
  await ownAt.stop();
  const answer = upgradeOver(agent, cluster.url, other).catch(({ code }: { code: string }) => code);
  const before = await cluster.primary.run(async (ctx) => {
    // The request is there before the news.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await ctx.router.close();
    return ctx.cluster.listenerCount("message");
  });
  await ownAt.resume();
  // The worker may have heard first that there is no router: then it relays.
  expect(["ECONNRESET", 101]).toContain(await answer);
  const isReleased = cluster.primary.run(
    (ctx, listening) => ctx.until(() => ctx.cluster.listenerCount("message") === listening - 1),
    before,
  );
  expect(await isReleased).toBe(true);
});

test("what comes to a worker that has departed, after the last router has ended its wait, is not left open", async () => {
  const cluster = await start({ adapter: false, moves: false });
  const { a, primary } = cluster;
  const { text } = await httpRequest(`${cluster.url}${HANDSHAKE}`);
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  await a.run((ctx) => ctx.until(() => ctx.sticky.stats().connections === 0));
  const isBusy = a.next("busy");
  const closed = a.run(async (ctx) => {
    // The kind of what it says without servers, as docs/protocol.md has it. Longer than a router that is closed waits.
    ctx.afterSaying(38, () => ctx.block(3_000));
    ctx.emit("busy");
    await new Promise(setImmediate);
    // So long that the connection is on its way here.
    ctx.block(1_500);
    ctx.httpServer.close();
  });
  await isBusy;
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}&sid=${sid}`).catch(
    ({ code }: { code: string }) => code,
  );
  await primary.run(async (ctx) => {
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 2);
    await ctx.router.close();
  });
  await closed;
  expect(await answer).toBe("ECONNRESET");
});

test("a departure that a worker has said twice is one", async () => {
  const cluster = await start({ adapter: false, moves: false });
  const { a, primary } = cluster;
  const before = await primary.run(async (ctx) => {
    await ctx.router.close();
    return ctx.cluster.listenerCount("message");
  });
  const isBusy = a.next("busy");
  const closed = a.run(async (ctx) => {
    ctx.emit("busy");
    await new Promise(setImmediate);
    // So long that there is another router, of which it reads behind that.
    ctx.block(1_500);
    ctx.httpServer.close();
  });
  await isBusy;
  const after = await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    let departures = 0;
    const onMessage = (_worker: unknown, message: { "holdfast:sticky"?: number[] }) => {
      // The kind of what it says without servers, as docs/protocol.md has it.
      if (message["holdfast:sticky"]?.[0] === 38) departures++;
    };
    ctx.cluster.on("message", onMessage);
    const second = setupPrimary(ctx.httpServer);
    await ctx.until(() => departures === 2);
    ctx.cluster.off("message", onMessage);
    await second.close();
    return ctx.cluster.listenerCount("message");
  });
  await closed;
  expect(after).toBe(before);
});

test("a worker that departs while it gives connections away says so when they are gone", async () => {
  const { cluster, all } = await startWithKept(40);
  const { a, primary } = cluster;
  const own = all.filter(({ ownAt }) => ownAt === a);
  expect(own.length).toBeGreaterThan(2);
  const isBusy = primary.next("busy");
  const kinds = primary.run(async (ctx, count) => {
    const heard: number[] = [];
    ctx.cluster.on("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
      const [kind = 0] = message["holdfast:sticky"] ?? [];
      // Of a connection that is given away, and of the last word, as docs/protocol.md has them.
      if (kind === 19 || kind === 39) heard.push(kind);
    });
    ctx.emit("busy");
    await new Promise(setImmediate);
    ctx.block(1_500);
    return ctx.until(() => heard.length > count && heard);
  }, own.length);
  await isBusy;
  const answers = Promise.all(own.map((kept) => upgradeOver(kept.agent, cluster.url, kept.other)));
  await a.run(async (ctx, count) => {
    await ctx.until(() => ctx.sticky.stats().moved === count);
    ctx.httpServer.close();
  }, own.length);
  expect(await kinds).toEqual([...own.map(() => 19), 39]);
  expect(await answers).toEqual(own.map(() => 101));
});

test("a worker that is killed before it knows that the last router is closed is not waited for", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.a.stop();
  const lost = httpRequest(`${cluster.url}${HANDSHAKE}`).catch(({ code }: { code: string }) => code);
  const listening = await cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    await ctx.router.close();
    return ["message", "disconnect", "exit"].map((event) => ctx.cluster.listenerCount(event));
  });
  await cluster.a.kill();
  expect(await lost).toBe("ECONNRESET");
  const isReleased = cluster.primary.run(
    (ctx, counts) =>
      ctx.until(() =>
        ["message", "disconnect", "exit"].every(
          (event, i) => ctx.cluster.listenerCount(event) === (counts[i] as number) - 1,
        ),
      ),
    listening,
  );
  expect(await isReleased).toBe(true);
});
