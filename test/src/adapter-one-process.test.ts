/** One process without a cluster: the adapter behaves as in a cluster of one, and needs nothing. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const start = startsClusters({ sticky: false, single: true });
const clients = closedAfterEach(new Clients());
const recovering = closedAfterEach(new RecoveringClients());

test("broadcasts, rooms and requests are those of one server; nobody is warned, nothing is written or listens", async () => {
  const cluster = await start();
  const { a } = cluster;
  const [one, two] = [await clients.connectTo(a), await clients.connectTo(a)];
  const got = [one.next("all"), two.next("all"), two.next("room")];
  const told = await a.run(async (ctx, id) => {
    await ctx.io.sockets.sockets.get(id)?.join("r");
    ctx.io.emit("all", 1);
    ctx.io.to("r").emit("room", new Uint8Array([1]));
    const sockets = await ctx.io.fetchSockets();
    return {
      ids: sockets.map(({ id }) => id),
      servers: await ctx.io.of("/").adapter.serverCount(),
      others: await ctx.io.serverSideEmitWithAck("who"),
      listening: process.getActiveResourcesInfo().filter((name) => /Server|PipeWrap/.test(name)),
    };
  }, two.id);
  expect(await Promise.all(got)).toEqual([[1], [1], [Buffer.from([1])]]);
  expect(told).toEqual({
    ids: [one.id, two.id],
    servers: 1,
    others: [],
    // The application's HTTP server, and the IPC channel of the one who runs the test.
    listening: ["PipeWrap", "TCPServerWrap"],
  });
  expect(one.received("room")).toEqual([]);
  expect(readdirSync(cluster.directory)).toEqual([]);
  expect(cluster.output).toBe("");
});

test("a client that comes back gets its session and what it has missed", async () => {
  const { a } = await start({ io: { connectionStateRecovery: {} } });
  const client = await recovering.connect(a.url);
  await a.run((ctx) => void ctx.io.emit("n", 1));
  await client.has("n", 1);
  const { id } = client;
  client.goesTo("http://127.0.0.1:9");
  const back = client.connected();
  client.leave("http://127.0.0.1:9");
  await a.run((ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
  await a.run((ctx) => void ctx.io.emit("n", 2));
  client.goesTo(a.url);
  expect(await back).toEqual({ id, recovered: true });
  await client.has("n", 2);
});

test.each(["before", "after"])(
  "setupPrimary() %s createAdapter() in a process that forks nobody",
  async (when) => {
    const cluster = await start({
      setUpWorker: async (ctx) => {
        const { createAdapter, setupPrimary } = await ctx.import("@holdfast/adapter");
        if (process.env.WHEN === "before") ctx.store.hub = setupPrimary();
        const { Server } = await ctx.import("socket.io");
        ctx.store.io = new Server({ path: "/late" });
        ctx.store.io.adapter(createAdapter());
        if (process.env.WHEN === "after") ctx.store.hub = setupPrimary();
      },
      env: { WHEN: when },
    });
    const { a } = cluster;
    const client = await clients.connectTo(a);
    const got = [client.next("own"), client.next("primary")];
    const told = await a.run(async (ctx) => {
      await ctx.until(() => ctx.store.hub.stats().namespaces === 2);
      ctx.io.emit("own");
      ctx.store.hub.emitter().emit("primary");
      const { members } = ctx.store.hub.stats();
      return members.map(({ link, workerId }: { link: string; workerId: number }) => [link, workerId]);
    });
    await Promise.all(got);
    expect(told).toEqual([["local", 0]]);
    // When the primary's hub is closed, the process has one of its own again.
    const sockets = await a.run(async (ctx) => {
      await ctx.store.hub.close();
      return (await ctx.io.fetchSockets()).map(({ id }) => id);
    });
    expect(sockets).toEqual([client.id]);
    expect(cluster.output).toBe("");
  },
);

test("a process whose servers are closed ends by itself", async () => {
  const cluster = await start({ io: { connectionStateRecovery: {} } });
  const { a } = cluster;
  await clients.connectTo(a);
  await a.run((ctx) => {
    void ctx.io.close().then(() => ctx.release());
  });
  await a.gone;
  expect(cluster.output).toBe("");
});

test("in a worker thread, every entry point says where it belongs", async () => {
  const { a } = await start();
  const file = new URL("../dist/fixtures/in-thread.js", import.meta.url).href;
  const outcomes = await a.run(async (ctx, url) => {
    const { Worker } = (await ctx.import("node:worker_threads")) as typeof import("node:worker_threads");
    return new Promise((resolve, reject) => {
      new Worker(new URL(url)).once("message", resolve).once("error", reject);
    });
  }, file);
  expect(outcomes).toEqual(
    ["createAdapter", "setupPrimary"].map((name) => ({
      code: "HOLDFAST_ERR_WORKER_THREAD",
      message: expect.stringMatching(
        new RegExp(`^${name}\\(\\) was called in a worker thread\\. Call it in`),
      ),
    })),
  );
});
