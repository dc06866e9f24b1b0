/** What joining costs on the link: one report for all rooms of a turn, in one write. */
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { ClusterConfig, WorkerContext } from "./harness/context.js";
import { craftedNames, keyWithoutSecret } from "./harness/crafted-names.js";

const ROOMS = 10_000;
/** The whole numbers belong to `npm run test:links`. */
const WHOLE = process.env.HOLDFAST_WIDE === "1";

const start = startsClusters({ sticky: false }, (cluster) => cluster.untilJoined());
const clients = closedAfterEach(new Clients());

/** From now on `ctx.store.writes` has the size of each write to the hub, in bytes of frames. */
async function watchWrites(ctx: WorkerContext): Promise<void> {
  const writes: number[] = [];
  ctx.store.writes = writes;
  const send = process.send as (...args: unknown[]) => boolean;
  process.send = (message: unknown, ...rest: unknown[]) => {
    const { "holdfast:adapter": kind, data } = message as Record<string, string | Uint8Array>;
    if (kind === "frames") {
      writes.push(typeof data === "string" ? Buffer.byteLength(data, "base64") : (data?.length ?? 0));
    }
    return send.call(process, message, ...rest);
  };

  const { Socket } = await ctx.import("node:net");
  // Clients and the test itself are connected over TCP; nothing is printed.
  const isPipe = (socket: unknown) => (socket as import("node:net").Socket).remoteAddress === undefined;
  const { _write, _writev } = Socket.prototype;
  Socket.prototype._write = function (...args) {
    if (isPipe(this)) writes.push((args[0] as Buffer).length);
    _write.apply(this, args);
  };
  Socket.prototype._writev = function (...args) {
    const sizes = args[0].map(({ chunk }) => (chunk as Buffer).length);
    if (isPipe(this)) writes.push(sizes.reduce((sum, size) => sum + size, 0));
    _writev?.apply(this, args);
  };
}

/** What has gone between the hub and a worker. */
function traffic(
  cluster: TestCluster,
  worker: RemoteWorker,
): Promise<{ link: string } & Record<string, number>> {
  return cluster.primary.run(
    (ctx, id) => ctx.hub.stats().members.find(({ workerId }: { workerId: number }) => workerId === id),
    worker.workerId,
  );
}

describe.each<[string, ClusterConfig]>([
  ["pipe", {}],
  ["ipc", { hubOptions: { link: "ipc" } }],
  ["ipc", { hubOptions: { link: "ipc" }, serialization: "advanced" }],
])("over %s, %j", (link, config) => {
  test(`${ROOMS} rooms that a socket joins in one turn are one report, and broadcasts find each`, async () => {
    const cluster = await start(config);
    const { a: sender, b: joiner } = cluster;
    const client = await clients.connectTo(joiner);
    await joiner.run(watchWrites);
    // The hub's answer: it has read everything that went before.
    await joiner.run((ctx) => ctx.io.of("/").adapter.serverCount());
    const before = await traffic(cluster, joiner);
    expect(before.link).toBe(link);

    const joined = await joiner.run(
      async (ctx, id, count) => {
        const socket = ctx.io.sockets.sockets.get(id);
        if (!socket) throw new Error("no socket");
        ctx.store.writes.length = 0;
        const joins = Array.from({ length: count }, (_, i) => socket.join(`room ${i}`));
        const inTheTurn = [...ctx.store.writes];
        await Promise.all(joins);
        return { inTheTurn, writes: ctx.store.writes as number[], rooms: socket.rooms.size };
      },
      client.id,
      ROOMS,
    );
    const after = await traffic(cluster, joiner);
    expect(joined).toEqual({ inTheTurn: [], writes: [expect.any(Number)], rooms: ROOMS + 1 });
    expect(after.framesIn).toBe(Number(before.framesIn) + 1);
    expect(after.bytesIn).toBe(Number(before.bytesIn) + Number(joined.writes[0]));

    const last = client.next("last");
    await sender.run((ctx, count) => {
      ctx.io.to("room of nobody").emit("n", -1);
      for (let i = 0; i < count; i++) ctx.io.to(`room ${i}`).emit("n", i);
      ctx.io.emit("last");
    }, ROOMS);
    await last;
    expect(client.received("n")).toEqual(Array.from({ length: ROOMS }, (_, i) => [i]));
    // Because the hub knows these rooms, not because it sends everything to everybody.
    expect((await traffic(cluster, joiner)).framesOut).toBe(Number(after.framesOut) + ROOMS + 1);
    expect(cluster.output).toBe("");
  });

  test("rooms that were left are forgotten, though the worker has nothing else to say", async () => {
    const cluster = await start({ workers: 1, ...config });
    const { a: worker } = cluster;
    const client = await clients.connectTo(worker);
    const before = await cluster.primary.run((ctx) => ctx.hub.stats().rooms);
    await worker.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      await socket?.join(["a", "b"]);
    }, client.id);
    const { framesOut } = await traffic(cluster, worker);
    await worker.run((ctx, id) => void ctx.io.sockets.sockets.get(id)?.leave("a"), client.id);
    await roomsBecome(cluster, before + 1);
    // Nobody waits for an answer.
    expect((await traffic(cluster, worker)).framesOut).toBe(framesOut);
    // One that is joined meanwhile does not wait for those that are left.
    await worker.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      void socket?.leave("b");
      await socket?.join("c");
    }, client.id);
    expect(await cluster.primary.run((ctx) => ctx.hub.stats().rooms)).toBe(before + 1);
    client.close();
    await roomsBecome(cluster, 0);
  });
});

describe("names that a client has crafted", () => {
  const NAMES = 50_000;
  /** As many as the tables have places for so many keys, or more. */
  const PLACES = 2 ** 18;
  const ROUNDS = WHOLE ? 3 : 1;
  /** Keys that collide cost a hundred times the processor time, of the primary as of the worker. */
  const AT_MOST = 10;

  test("would collide if the hash had no secret", () => {
    const names = craftedNames(NAMES, PLACES);
    expect(new Set(names).size).toBe(NAMES);
    expect(new Set(names.map((name) => keyWithoutSecret(name) % PLACES)).size).toBe(16);
  });

  test(`of ${NAMES} in one message cost neither primary nor worker more than other names do`, async () => {
    const cluster = await start({ workers: 1 });
    const { a: worker, primary } = cluster;
    await worker.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.on("join", async (rooms: string[], joined: () => void) => {
          await socket.join(rooms);
          joined();
        });
      });
    });
    const usage = () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    };
    const cpu = () => Promise.all([primary.run(usage), worker.run(usage)]);
    const costs = async (names: readonly string[]) => {
      const client = await clients.connectTo(worker);
      const before = await cpu();
      await client.socket.timeout(60_000).emitWithAck("join", names);
      const after = await cpu();
      expect(await primary.run((ctx) => ctx.hub.stats().rooms)).toBeGreaterThan(NAMES * 0.999);
      client.close();
      await roomsBecome(cluster, 0);
      return after.map((used, i) => used - Number(before[i]));
    };

    const ordinary = Array.from({ length: NAMES }, (_, i) => `room ${i}`);
    const crafted = craftedNames(NAMES, PLACES);
    const sums = { ordinary: [0, 0], crafted: [0, 0] };
    // The first of all is slower.
    await costs(ordinary);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [kind, names] of [
        ["ordinary", ordinary],
        ["crafted", crafted],
      ] as const) {
        const used = await costs(names);
        sums[kind] = sums[kind].map((sum, i) => sum + Number(used[i]));
      }
    }
    for (const [i, used] of sums.crafted.entries())
      expect(used).toBeLessThan(AT_MOST * Number(sums.ordinary[i]));
  });
});

async function roomsBecome(cluster: TestCluster, expected: number): Promise<void> {
  const become = cluster.primary.run(
    (ctx, count) => ctx.until(() => ctx.hub.stats().rooms === count),
    expected,
  );
  await within(become, `${expected} rooms`);
}

describe("a namespace that is closed", () => {
  const DYNAMIC = { io: { cleanupEmptyChildNamespaces: true }, workers: 1 };
  const CONNECTIONS = 30;
  const RECOVERY = { connectionStateRecovery: { maxDisconnectionDuration: 1 } };

  test.each([
    [WHOLE ? 3_000 : 300, {}],
    [WHOLE ? 1_000 : 100, RECOVERY],
  ] as const)("takes its rooms back: %d of them, %j", async (namespaces, io) => {
    const cluster = await start({ ...DYNAMIC, io: { ...DYNAMIC.io, ...io } });
    const { a, primary } = cluster;
    const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => clients.connectTo(a)));
    await a.run((ctx) => {
      ctx.io.of(/^\/dynamic-\d+$/).on("connection", (socket) => {
        void socket.join(["a", "b", "c"]);
        socket.on("bye", () => {
          // Nothing of these two was told before the namespace is closed.
          void socket.join("d");
          socket.leave("a");
          socket.disconnect();
        });
      });
    });
    const before = await primary.run(({ hub }) => [hub.stats().namespaces, hub.stats().rooms]);
    const comings = Array.from({ length: namespaces }, (_, i) => {
      // Each packet is shown to every socket of its connection, so there are several.
      const socket = connections[i % CONNECTIONS]?.socket.io.socket(`/dynamic-${i}`);
      socket?.once("connect", () => socket.emit("bye"));
      return new Promise((resolve) => socket?.once("disconnect", resolve));
    });
    await within(Promise.all(comings), "coming and going");
    await primary.run(async (ctx, [spaces, rooms]) => {
      await ctx.until(() => {
        const stats = ctx.hub.stats();
        return stats.namespaces === spaces && stats.rooms === rooms;
      });
    }, before);
  });

  test("so does a second server of the process", async () => {
    const { a, primary } = await start({ workers: 1 });
    const before = await primary.run(({ hub }) => [hub.stats().namespaces, hub.stats().rooms]);
    const port = await a.run(async (ctx) => {
      const [{ Server }, { createServer }, { createAdapter }] = await Promise.all([
        ctx.import("socket.io"),
        ctx.import("node:http"),
        ctx.import("@holdfast/adapter"),
      ]);
      const server = createServer();
      const io = new Server(server);
      io.adapter(createAdapter({ scope: "second" }));
      io.on("connection", (socket) => void socket.join("room"));
      ctx.store.second = io;
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return (server.address() as import("node:net").AddressInfo).port;
    });
    await clients.connect(`http://127.0.0.1:${port}`);
    const during = await primary.run(({ hub }) => [hub.stats().namespaces, hub.stats().rooms]);
    expect(during).toEqual([Number(before[0]) + 1, Number(before[1]) + 2]);
    await a.run((ctx) => ctx.store.second.close());
    await primary.run(async (ctx, [namespaces, rooms]) => {
      await ctx.until(() => {
        const stats = ctx.hub.stats();
        return stats.namespaces === namespaces && stats.rooms === rooms;
      });
    }, before);
  });

  test("settles the joins that somebody waits for, whichever namespace they are of", async () => {
    const { a } = await start(DYNAMIC);
    const other = await clients.connectTo(a);
    await a.run((ctx, id) => {
      ctx.io.of(/^\/dynamic$/).on("connection", (socket) => {
        socket.on("bye", async () => {
          const joins = [socket.join("a"), ctx.io.sockets.sockets.get(id)?.join("b")];
          socket.disconnect();
          await Promise.all(joins);
          ctx.emit("joined");
        });
      });
    }, other.id);
    const client = await clients.connectTo(a, {}, "/dynamic");
    const joined = a.next("joined");
    client.socket.emit("bye");
    await joined;
  });
});
