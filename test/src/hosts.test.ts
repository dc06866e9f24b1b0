/** Several hosts, each a cluster with a hub of its own, over a real Redis. */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { HostDirectory, PrimaryStats } from "@holdfast/adapter";
import { createEmitter } from "@holdfast/adapter/redis-streams";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import msgpackParser from "socket.io-msgpack-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";

const hasRedis = findRedisServer() !== undefined;
const clients = closedAfterEach(new Clients());

/** Two hosts of two workers each, which tests share. */
let redis: RedisServer;
let one: TestCluster;
let two: TestCluster;

/** Starts both, and waits until all workers know of all. */
async function startHosts(config: ClusterConfig): Promise<void> {
  redis = await RedisServer.start();
  const host = {
    sticky: false,
    workers: 2,
    backplane: { url: redis.url, app: "test", lease: 30_000, timeout: 20_000 },
    ...config,
  } as const;
  [one, two] = await Promise.all([TestCluster.start(host), TestCluster.start(host)]);
  const workers = [...one.workers, ...two.workers];
  await untilServers(workers, workers.length);
}

async function endHosts(): Promise<void> {
  await Promise.all([one?.close(), two?.close()]);
  await redis?.close();
}

describe.skipIf(!hasRedis)("two hosts", () => {
  beforeAll(async () => {
    await startHosts({
      hubOptions: { maxMessageBytes: 2 ** 20 },
      setUpWorker: ({ io }) => void io.on("sum", (value, answer) => answer(value + 1)),
    });
  }, 180_000);
  afterAll(endHosts);

  test("a broadcast reaches all hosts, and one to a room those that are in it", async () => {
    const [a, b, c] = [
      await clients.connectTo(one.a),
      await clients.connectTo(two.a),
      await clients.connectTo(two.b),
    ];
    await two.a.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("tea"), b.id);
    const got = [b.next("tea"), a.next("all"), b.next("all"), c.next("all")];
    await one.b.run((ctx) => {
      ctx.io.to("tea").emit("tea", 1, Buffer.from("x"));
      ctx.io.emit("all", 2);
    });
    expect(await Promise.all(got)).toEqual([[1, Buffer.from("x")], [2], [2], [2]]);
    expect(c.received("tea")).toEqual([]);
  });

  test("requests of every kind reach all hosts", async () => {
    const all = await Promise.all([one.a, one.b, two.a, two.b].map((worker) => clients.connectTo(worker)));
    for (const client of all) client.socket.on("question", (answer: (value: number) => void) => answer(7));
    expect(await one.a.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id).sort())).toEqual(
      all.map(({ id }) => id).sort(),
    );
    expect(await two.b.run(async (ctx) => await ctx.io.timeout(5_000).emitWithAck("question"))).toEqual([
      7, 7, 7, 7,
    ]);
    expect(await one.b.run(async (ctx) => await ctx.io.serverSideEmitWithAck("sum", 1))).toEqual([2, 2, 2]);
    expect(await one.b.run(async (ctx) => await ctx.io.of("/").adapter.serverCount())).toBe(4);
  });

  test("sockets of other hosts join, leave and are disconnected; what is sent behind it counts on that", async () => {
    const [a, b] = [await clients.connectTo(one.a), await clients.connectTo(two.a)];
    const got = [a.next("in"), b.next("in")];
    await one.b.run((ctx) => {
      ctx.io.socketsJoin("tea");
      ctx.io.to("tea").emit("in", 1);
    });
    expect(await Promise.all(got)).toEqual([[1], [1]]);
    const [fence, gone] = [b.next("fence"), a.next("disconnect")];
    await two.b.run((ctx, id) => {
      ctx.io.in(id).socketsLeave("tea");
      ctx.io.to("tea").emit("out", 2);
      ctx.io.emit("fence");
    }, b.id);
    await fence;
    expect(b.received("out")).toEqual([]);
    await two.b.run((ctx, id) => ctx.io.in(id).disconnectSockets(), a.id);
    await gone;
  });

  test("a join that was awaited counts on every host", async () => {
    const b = await clients.connectTo(two.a);
    for (let i = 0; i < 50; i++) {
      await two.a.run((ctx, id, room) => ctx.io.sockets.sockets.get(id)?.join(room), b.id, `room ${i}`);
      const got = b.next("hi");
      await one.a.run((ctx, room) => void ctx.io.to(room).emit("hi", room), `room ${i}`);
      expect(await got).toEqual([`room ${i}`]);
    }
  });

  test("a namespace that one host has, and an event for this worker alone", async () => {
    await two.a.run((ctx) => void ctx.io.of("/only"));
    const client = await clients.connectTo(two.a, {}, "/only");
    await one.a.run((ctx) => void ctx.io.of("/only"));
    await untilServers([one.a, two.a], 2, "/only");
    const got = client.next("hi");
    await one.a.run((ctx) => {
      ctx.io.of("/only").local.emit("hi", "local");
      ctx.io.of("/only").emit("hi", 1);
    });
    expect(await got).toEqual([1]);
  });

  test("a process that serves nobody emits to the clients of all hosts", async () => {
    const emitter = createEmitter({ url: redis.url, app: "test" });
    const all = await Promise.all([one.a, two.b].map((worker) => clients.connectTo(worker)));
    const [a, b] = all as [TestClient, TestClient];
    const got = all.map((client) => client.next("hi"));
    emitter.socketsJoin("tea");
    emitter.to("tea").emit("hi", 1, Buffer.from("x"));
    expect(await Promise.all(got)).toEqual([
      [1, Buffer.from("x")],
      [1, Buffer.from("x")],
    ]);
    const last = b.next("last");
    emitter.in(a.id).socketsLeave("tea");
    emitter.to("tea").emit("rest");
    emitter.except(a.id).emit("last");
    const gone = a.next("disconnect");
    emitter.in(a.id).disconnectSockets();
    await emitter.close();
    await emitter.close();
    for (const use of [() => emitter.emit("late"), () => emitter.to("tea"), () => emitter.of("/news")]) {
      expect(use).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_CLOSED" }));
    }
    await Promise.all([last, gone]);
    expect([a.received("rest"), b.received("rest"), a.received("last")]).toEqual([[], [[]], []]);
    expect(() => createEmitter({ url: redis.url, app: "test", colour: 1 } as never)).toThrow(/colour/);
    expect(() => createEmitter({ url: redis.url, app: "test", parser: 1 } as never)).toThrow(/parser/);
  });

  test("it emits with the parser that the servers have", async () => {
    const place = { url: redis.url, app: "parser" };
    const parser = "socket.io-msgpack-parser";
    const host = await TestCluster.start({ sticky: false, workers: 1, parser, backplane: place });
    const emitter = createEmitter({ ...place, parser: msgpackParser });
    try {
      await untilServers([host.a], 1);
      const client = await clients.connectTo(host.a, { parser: msgpackParser });
      const got = client.next("hi");
      emitter.emit("hi", 1, Buffer.from("x"));
      expect(await got).toEqual([1, Buffer.from("x")]);
    } finally {
      await Promise.all([emitter.close(), host.close()]);
    }
  });

  test("what was emitted right before close() arrives, also if Redis takes a second for it", async () => {
    const emitter = createEmitter({ url: redis.url, app: "test", timeout: 30_000 });
    const client = await clients.connectTo(one.a);
    const first = client.next("first");
    emitter.emit("first");
    await first;
    redis.stop();
    emitter.emit("last");
    const closed = emitter.close();
    const isClosed = closed.then(() => "closed");
    // Longer than a goodbye may take.
    expect(await Promise.race([isClosed, sleep(1_000, "open")])).toBe("open");
    redis.resume();
    await closed;
    await client.untilReceived("last");
  });

  test("what is larger than hosts allow themselves arrives, and so does what follows", async () => {
    const emitter = createEmitter({ url: redis.url, app: "test" });
    const all = await Promise.all([one.a, two.b].map((worker) => clients.connectTo(worker)));
    const got = all.map((client) => client.next("then"));
    emitter.emit("large", "x".repeat(2 ** 20));
    emitter.emit("then");
    await Promise.all(got);
    expect(all.map((client) => client.received("large").length)).toEqual([1, 1]);
    await emitter.close();
  });

  test("a host's statistics tell of the others, and of the way to them", async () => {
    const [first, second] = await Promise.all(
      [one, two].map(({ primary }) =>
        primary.run(async (ctx) => {
          const hosts = () => (ctx.hub.stats() as PrimaryStats).hosts;
          // One that Redis kept waiting for longer than its lease has another name now; the former one is known for a while.
          await ctx.until(() => hosts()?.others.length === 1);
          return hosts();
        }),
      ),
    );
    if (!first || !second) throw new Error("There are no statistics of hosts.");
    expect(first).toMatchObject({ state: "joined", backlogBytes: 0, dropped: 0, missed: 0 });
    expect(first.others.map(({ name }) => name)).toEqual([second.name]);
    expect(second.others.map(({ name }) => name)).toEqual([first.name]);
    expect(first.others[0]?.namespaces).toBeGreaterThan(0);
    expect(first.others[0]).toMatchObject({ hostname: hostname(), members: 2 });
    expect(first.name.startsWith(`${hostname()}.`)).toBe(true);
    expect(first.batches).toBeGreaterThan(0);
    expect(first.widened).toBeLessThanOrEqual(first.batches);
    expect(first.roundTripMs).toBeGreaterThan(0);
    expect(first.inboxLagMs).toBeGreaterThanOrEqual(0);
    expect(first.inboxBytes).toBeGreaterThanOrEqual(0);
  });

  test("what a host publishes of its address, the others find, and all have one secret", async () => {
    const seen = one.primary.next("seen");
    await one.primary.run((ctx) => {
      const known = ctx.hub.hosts as HostDirectory;
      known.on("change", () => ctx.emit("seen", { others: known.others, secret: known.secret }));
    });
    const own = await two.primary.run(async (ctx) => {
      const known = ctx.hub.hosts as HostDirectory;
      await known.ready();
      await known.publish("10.0.0.2:7000");
      return { name: known.name, secret: known.secret };
    });
    expect(await seen).toEqual({
      others: [{ name: own.name, address: "10.0.0.2:7000" }],
      secret: own.secret,
    });
    const tooLong = await two.primary.run((ctx) =>
      (ctx.hub.hosts as HostDirectory).publish("x".repeat(513)).catch(({ code }) => code as string),
    );
    expect(tooLong).toBe("HOLDFAST_ERR_INVALID_OPTION");
  });

  test("a host that says goodbye is not waited for any more", async () => {
    await two.primary.run(async (ctx) => await ctx.hub.close());
    await untilServers(one.workers, 2);
    expect(await one.a.run(async (ctx) => (await ctx.io.fetchSockets()).length)).toBe(0);
    const hosts = await one.primary.run((ctx) => (ctx.hub.stats() as PrimaryStats).hosts);
    expect(hosts?.others).toEqual([]);
    expect(await one.primary.run((ctx) => (ctx.hub.hosts as HostDirectory).others)).toEqual([]);
  });
});
