/** Connection state recovery over several hosts: one order, and clients that come back anywhere. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { type RemoteWorker, TestCluster, untilServers } from "./harness/cluster.js";
import type { ClusterConfig, WorkerContext } from "./harness/context.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const hasRedis = findRedisServer() !== undefined;
const NOWHERE = "http://127.0.0.1:9";
const clients = closedAfterEach(new RecoveringClients());

let redis: RedisServer;
/** Two hosts of two workers each, which tests share; the last one ends a host. */
let one: TestCluster;
let two: TestCluster;

async function startHost(
  backplane: ClusterConfig["backplane"] = { url: redis.url, app: "test", timeout: 20_000 },
): Promise<TestCluster> {
  return TestCluster.start({
    sticky: false,
    workers: 2,
    io: { connectionStateRecovery: {} },
    backplane,
  });
}

/** A way to Redis that takes connections and brings nothing until it is opened. */
async function closedWayTo(port: number) {
  const waiting: Socket[] = [];
  const ends = new Set<Socket>();
  let isOpen = false;
  const join = (socket: Socket) => {
    const redisEnd = connect(port, "127.0.0.1").on("error", () => socket.destroy());
    ends.add(redisEnd);
    socket.pipe(redisEnd).pipe(socket);
  };
  const server = createServer((socket) => {
    ends.add(socket.on("error", () => {}));
    if (isOpen) join(socket);
    else waiting.push(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open() {
      isOpen = true;
      for (const socket of waiting.splice(0)) join(socket);
    },
    close() {
      server.close();
      for (const end of ends) end.destroy();
    },
  };
}

/** For a worker: says "asked" when a client asks for a session. */
function tellWhenAsked(ctx: WorkerContext): void {
  const { adapter } = ctx.io.of("/");
  const restore = adapter.restoreSession.bind(adapter);
  adapter.restoreSession = (...session) => {
    ctx.emit("asked");
    return restore(...session);
  };
}

/** A socket's rooms and data, as its worker has them. */
async function stateOf(worker: RemoteWorker, id: string): Promise<unknown> {
  return worker.run((ctx, sid) => {
    const socket = ctx.io.sockets.sockets.get(sid);
    return (
      socket && {
        rooms: [...socket.rooms].filter((room) => room !== sid),
        data: socket.data,
        recovered: socket.recovered,
      }
    );
  }, id);
}

/** Gives the socket a room and data, and waits until the hub knows. */
async function settle(worker: RemoteWorker, id: string, name: string): Promise<void> {
  await worker.run(
    async (ctx, sid, value) => {
      const socket = ctx.io.sockets.sockets.get(sid);
      if (!socket) throw new Error("no socket");
      await socket.join([value, 7 as never]);
      socket.data.name = value;
      await ctx.dataTold(socket);
      ctx.io.to(sid).emit("hello");
    },
    id,
    name,
  );
}

describe.skipIf(!hasRedis)("over two hosts", () => {
  beforeAll(async () => {
    redis = await RedisServer.start();
    [one, two] = await Promise.all([startHost(), startHost()]);
    const workers = [...one.workers, ...two.workers];
    await untilServers(workers, workers.length);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([one?.close(), two?.close()]);
    await redis?.close();
  });

  test("all clients get recoverable packets of all workers in one order", async () => {
    const workers = [one.a, one.b, two.a, two.b];
    const all = await Promise.all(workers.map(({ url }) => clients.connect(url)));
    await Promise.all(
      workers.map((worker, i) =>
        worker.run(async (ctx, sender) => {
          for (let n = 0; n < 100; n++) {
            ctx.io.emit("n", sender, n);
            if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
        }, i),
      ),
    );
    await Promise.all(all.flatMap((client) => workers.map((_, i) => client.has("n", i, 99))));
    const [first, ...others] = all.map((client) => client.of("n"));
    expect(first).toHaveLength(400);
    for (const other of others) expect(other).toEqual(first);
  });

  test("a client comes back to another host, with its rooms and data, and gets what it missed", async () => {
    const client = await clients.connect(one.a.url);
    const { id } = client;
    await settle(one.a, id, "Ada");
    await client.has("hello");
    client.goesTo(NOWHERE);
    const back = client.connected();
    client.leave(NOWHERE);
    await one.a.run(async (ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
    await one.b.run((ctx) => {
      for (let i = 0; i < 50; i++) ctx.io.to("Ada").emit("missed", i);
      ctx.io.to("nobody").emit("missed", "no");
    });
    await two.b.run((ctx) => {
      ctx.io.to(7 as never).emit("seven");
      ctx.io.to("7").emit("no");
      ctx.io.emit("last");
    });
    client.goesTo(two.a.url);
    expect(await back).toEqual({ id, recovered: true });
    await client.has("last");
    expect(client.of("missed")).toEqual(Array.from({ length: 50 }, (_, i) => [i]));
    expect(client.of("seven")).toHaveLength(1);
    expect(client.of("no")).toEqual([]);
    expect(await stateOf(two.a, id)).toEqual({ rooms: ["Ada", 7], data: { name: "Ada" }, recovered: true });
  });

  test("a client comes back while its old connection still looks alive on the other host", async () => {
    const client = await clients.connect(one.b.url);
    const { id } = client;
    await settle(one.b, id, "Bob");
    await client.has("hello");
    expect(await client.abandon(two.b.url)).toEqual({ id, recovered: true });
    await one.b.run(async (ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
    expect(await client.drop(one.a.url)).toEqual({ id, recovered: true });
    expect(await client.drop(two.a.url)).toEqual({ id, recovered: true });
    expect(await stateOf(two.a, id)).toMatchObject({ rooms: ["Bob", 7], data: { name: "Bob" } });
  });

  test("a host that starts later has what was placed before it, however long it takes to read that", async () => {
    const client = await clients.connect(one.a.url);
    const { id } = client;
    await settle(one.a, id, "Eve");
    await client.has("hello");
    client.goesTo(NOWHERE);
    const back = client.connected();
    client.leave(NOWHERE);
    await one.a.run(async (ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
    await two.a.run((ctx) => void ctx.io.to("Eve").emit("missed", 1));
    const way = await closedWayTo(redis.port);
    const three = await startHost({ url: way.url, app: "test", timeout: 30_000 });
    try {
      const asked = three.a.next("asked");
      await three.a.run(tellWhenAsked);
      client.goesTo(three.a.url);
      await asked;
      way.open();
      expect(await back).toEqual({ id, recovered: true });
      await client.has("missed", 1);
    } finally {
      client.socket.disconnect();
      await three.close();
      way.close();
    }
  });

  test("a host is killed right after many joins of a client, the last one awaited: it comes back with all rooms", async () => {
    const three = await startHost();
    try {
      const client = await clients.connect(three.a.url);
      const { id } = client;
      await settle(three.a, id, "Zoe");
      await client.has("hello");
      client.goesTo(NOWHERE);
      const back = client.connected();
      await three.a.run(async (ctx, sid) => {
        const socket = ctx.io.sockets.sockets.get(sid);
        for (let i = 0; i < 30_000; i++) void socket?.join(`room ${i}`);
        await socket?.join("last");
        // The hub.
        process.kill(process.ppid, "SIGKILL");
      }, id);
      await three.close();
      client.goesTo(two.a.url);
      expect(await back).toEqual({ id, recovered: true });
      const rooms = ["Zoe", 7, ...Array.from({ length: 30_000 }, (_, i) => `room ${i}`), "last"];
      expect(await stateOf(two.a, id)).toEqual({ rooms, data: { name: "Zoe" }, recovered: true });
    } finally {
      await three.close();
    }
  });

  test("all processes of a host are killed: its clients come back to another one, and nothing is lost", async () => {
    const all = await Promise.all(
      Array.from({ length: 6 }, (_, i) => clients.connect((i % 2 ? one.a : one.b).url)),
    );
    const ids = all.map(({ id }) => id);
    await Promise.all(all.map(({ id }, i) => settle(i % 2 ? one.a : one.b, id, `name ${i}`)));
    await Promise.all(all.map((client) => client.has("hello")));
    await two.a.run((ctx) => void ctx.io.emit("before"));
    await Promise.all(all.map((client) => client.has("before")));
    for (const client of all) client.goesTo(NOWHERE);
    const back = all.map((client) => client.connected());
    await one.close();
    await two.a.run((ctx) => {
      for (let i = 0; i < 20; i++) ctx.io.emit("n", i);
    });
    for (const [i, client] of all.entries()) client.goesTo((i % 2 ? two.a : two.b).url);
    expect(await Promise.all(back)).toEqual(ids.map((id) => ({ id, recovered: true })));
    await Promise.all(all.map((client) => client.has("n", 19)));
    for (const client of all) expect(client.of("n")).toEqual(Array.from({ length: 20 }, (_, i) => [i]));
    // The host was taken for gone when its lease was over.
    await untilServers(two.workers, 2);
  });
});

test.skipIf(!hasRedis)(
  "a client comes back to a worker whose packet has no place yet, and gets it",
  async () => {
    const slowRedis = await RedisServer.start();
    const patient = { url: slowRedis.url, app: "test", timeout: 30_000, lease: 60_000 };
    const host = await startHost(patient);
    try {
      await untilServers(host.workers, 2);
      const client = await clients.connect(host.b.url);
      const { id } = client;
      await settle(host.b, id, "Kim");
      await client.has("hello");
      client.goesTo(NOWHERE);
      const back = client.connected();
      client.leave(NOWHERE);
      await host.b.run(async (ctx, sid) => ctx.until(() => !ctx.io.sockets.sockets.has(sid)), id);
      const asked = host.a.next("asked");
      await host.a.run(tellWhenAsked);
      slowRedis.stop();
      await host.a.run((ctx) => void ctx.io.to("Kim").emit("n", 1));
      client.goesTo(host.a.url);
      await asked;
      // What the hub answers to this comes after its answer to what was asked before.
      await untilServers([host.a], 2);
      slowRedis.resume();
      expect(await back).toEqual({ id, recovered: true });
      await host.b.run((ctx) => void ctx.io.to("Kim").emit("n", 2));
      await client.has("n", 2);
      expect(client.of("n")).toEqual([[1], [2]]);
    } finally {
      slowRedis.resume();
      await host.close();
      await slowRedis.close();
    }
  },
);
