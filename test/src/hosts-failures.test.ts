/** What clients see when Redis, or a host, fails. */
import { hostname } from "node:os";
import type { HostDirectory } from "@holdfast/adapter";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const hasRedis = findRedisServer() !== undefined;
const clients = closedAfterEach(new RecoveringClients());

/** Two hosts of two workers each, which tests share; each test leaves them joined. */
let redis: RedisServer;
let one: TestCluster;
let two: TestCluster;

async function startHost(): Promise<TestCluster> {
  return TestCluster.start({
    sticky: false,
    workers: 2,
    io: { connectionStateRecovery: {} },
    // Longer than a Redis takes to start again, or a busy host to be heard.
    backplane: { url: redis.url, app: "test", timeout: 6_000 },
  });
}

/** @returns what was told on the channel since, in the primary */
async function listen({ primary }: TestCluster, channel: string): Promise<() => Promise<object[]>> {
  await primary.run(async (ctx, name) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store[name] = [];
    subscribe(`holdfast:adapter:${name}`, (message) => {
      const { error, ...told } = message as { error?: { code: string } };
      ctx.store[name].push({ ...told, ...(error && { error: { code: error.code } }) });
    });
  }, channel);
  return () => primary.run((ctx, name) => ctx.store[name] as object[], channel);
}

const allWorkers = () => [...one.workers, ...two.workers];

describe.skipIf(!hasRedis)("two hosts", () => {
  beforeAll(async () => {
    redis = await RedisServer.start();
    [one, two] = await Promise.all([startHost(), startHost()]);
    await untilServers(allWorkers(), 4);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([one?.close(), two?.close()]);
    await redis?.close();
  });

  test("Redis is down and back with its data: recoverable events come once, in one order", async () => {
    const [a, b] = [await clients.connect(one.a.url), await clients.connect(two.b.url)];
    const emit = (cluster: TestCluster, sender: string) =>
      cluster.a.run((ctx, name) => {
        for (let i = 0; i < 10; i++) ctx.io.emit("n", name, i);
      }, sender);
    await Promise.all([emit(one, "before"), redis.kill(), emit(two, "before too")]);
    await emit(one, "while it was down");
    await redis.start();
    await emit(two, "after");
    const senders = ["before", "before too", "while it was down", "after"];
    for (const client of [a, b]) for (const sender of senders) await client.has("n", sender, 9);
    expect(a.of("n")).toEqual(b.of("n"));
    expect(a.of("n")).toHaveLength(40);
    await untilServers(allWorkers(), 4);
  });

  test("Redis does not answer: each host goes on alone, and they find each other again", async () => {
    await two.primary.run((ctx) => (ctx.hub.hosts as HostDirectory).publish("two"));
    const addresses = () =>
      one.primary.run((ctx) => (ctx.hub.hosts as HostDirectory).others.map(({ address }) => address));
    await one.primary.run((ctx) => ctx.until(() => ctx.hub.hosts.others[0]?.address === "two"));
    const [a, b] = [await clients.connect(one.a.url), await clients.connect(two.b.url)];
    const told = await listen(one, "backplane");
    redis.stop();
    try {
      // Not recoverable: at once. Recoverable: when nobody waits for Redis any more.
      await one.b.run((ctx) => {
        ctx.io.emit("on its way");
        ctx.io.volatile.emit("now");
      });
      await a.has("now");
      await one.b.run((ctx) => void ctx.io.emit("later"));
      await a.has("on its way");
      await a.has("later");
      await untilServers(one.workers, 2);
      expect(b.received).toEqual([]);
      // Who is reached on another way still is.
      expect(await addresses()).toEqual(["two"]);
    } finally {
      redis.resume();
    }
    await untilServers(allWorkers(), 4);
    await one.primary.run((ctx) => ctx.until(() => ctx.hub.hosts.others[0]?.address === "two"));
    await one.a.run((ctx) => void ctx.io.emit("together"));
    await Promise.all([a.has("together"), b.has("together")]);
    expect(b.of("later")).toEqual([]);
    // Redis may have read it before it stood still.
    expect(a.of("on its way")).toHaveLength(1);
    expect(b.of("on its way").length).toBeLessThanOrEqual(1);
    expect(await told()).toMatchObject([
      { state: "alone", error: { code: "HOLDFAST_ERR_BACKPLANE_DOWN" } },
      { state: "joined" },
    ]);
  });

  test("a primary stands still while Redis answers it: it does not take Redis for silent", async () => {
    const [client, other] = [await clients.connect(one.a.url), await clients.connect(two.a.url)];
    const told = await listen(one, "backplane");
    redis.stop();
    await one.a.run((ctx) => void ctx.io.emit("n", 1));
    // The hub has it, and has sent it, unless something that it has sent before is on its way to Redis.
    await untilServers([one.a], 4);
    await one.primary.run(() => {});
    await one.primary.stop();
    try {
      redis.resume();
      await untilServers(two.workers, 2);
      await two.a.run((ctx) => void ctx.io.emit("n", 2));
    } finally {
      await one.primary.resume();
    }
    await untilServers(allWorkers(), 4);
    await Promise.all([client, other].flatMap((each) => [each.has("n", 1), each.has("n", 2)]));
    expect(client.of("n")).toHaveLength(2);
    expect(other.of("n")).toEqual(client.of("n"));
    expect(await told()).not.toContainEqual(expect.objectContaining({ state: "alone" }));
  });

  test("a primary stands still for longer than its lease: its clients recover elsewhere, and it comes back", async () => {
    const client = await clients.connect(one.a.url);
    const { id } = client;
    await one.a.run(async (ctx, sid) => {
      const socket = ctx.io.sockets.sockets.get(sid);
      await socket?.join("tea");
      ctx.io.to("tea").emit("n", 0);
    }, id);
    await client.has("n", 0);
    const told = await listen(two, "host");
    await one.primary.stop();
    try {
      await untilServers(two.workers, 2);
      await two.a.run((ctx) => void ctx.io.to("tea").emit("n", 1));
      expect(await client.abandon(two.b.url)).toEqual({ id, recovered: true });
      await client.has("n", 1);
    } finally {
      await one.primary.resume();
    }
    await untilServers(allWorkers(), 4);
    // The session is the other host's: the old socket is closed.
    await one.a.run(async (ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
    await one.b.run((ctx) => void ctx.io.to("tea").emit("n", 2));
    await client.has("n", 2);
    expect(client.of("n")).toEqual([[0], [1], [2]]);
    const { name } = await one.primary.run((ctx) => ctx.hub.stats().hosts);
    expect(await told()).toEqual([
      { name, hostname: hostname(), state: "silent" },
      { name, hostname: hostname(), state: "joined" },
    ]);
  });
});
