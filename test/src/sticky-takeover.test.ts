/** A router that takes over from one that is being closed, and counts what its workers have. */
import { Agent } from "node:http";
import { httpRequest } from "@holdfast/harness";
import type { PrimaryStats, SlotStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { keepsAgents, startsClusters } from "./harness/after-each.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import { HANDSHAKE, upgradeOver } from "./harness/kept-connection.js";

interface Engine {
  readonly clients: object;
}

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

/** Settles when the second router counts so many connections of the first worker. */
const untilCounted = ({ a, primary }: TestCluster, count: number) =>
  primary.run(
    (ctx, open, id) =>
      ctx.until(() => {
        const { workers } = ctx.store.second.stats() as PrimaryStats;
        return workers.find((worker) => worker.workerId === id)?.connections === open;
      }),
    count,
    a.workerId,
  );

/** Whether the second router counts those connections of its first worker, and no others, and then that they end. */
async function isCounted(cluster: TestCluster, ...kept: readonly Agent[]): Promise<boolean> {
  await untilCounted(cluster, kept.length);
  for (const agent of kept) agent.destroy();
  return untilCounted(cluster, 0);
}

const slotsOf = ({ primary }: TestCluster) =>
  primary.run((ctx) => (ctx.store.second.stats() as PrimaryStats).slots);

/** An agent that keeps one connection. */
function keptAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  return agent;
}

/** A session that has begun at that worker, on a connection that is kept. */
async function sessionAt({ url }: TestCluster, worker: RemoteWorker): Promise<{ sid: string; agent: Agent }> {
  for (;;) {
    const agent = keptAgent();
    const { text } = await httpRequest(`${url}${HANDSHAKE}`, { agent });
    const { sid } = JSON.parse(text.slice(1)) as { sid: string };
    const isThere = await worker.run((ctx, id) => id in (ctx.io.engine as never as Engine).clients, sid);
    if (isThere) return { sid, agent };
    agent.destroy();
  }
}

/** A packet of a session, over the connection that is kept. */
const post = ({ url }: TestCluster, agent: Agent, sid: string) =>
  httpRequest(`${url}${HANDSHAKE}&sid=${sid}`, { method: "POST", agent }, "3");

test("a late connection is counted, also where its worker sets another server up before it hears of the router", async () => {
  const cluster = await start();
  const { a, primary } = cluster;
  const isBusy = a.next("busy");
  const isReady = a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    // Behind its question whose the late connection is, by its kind as docs/protocol.md has it.
    ctx.afterSaying(20, () => {
      ctx.store.second ??= setupWorker(new Server(createServer()), { name: "second" });
    });
    ctx.emit("busy");
    await new Promise(setImmediate);
    // So long that a connection that comes first is late, and not so long that the router takes it back.
    ctx.block(1_500);
  });
  await isBusy;
  const agent = keptAgent();
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`, { agent });
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    // The worker goes on meanwhile, and what it says is read behind the takeover.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    ctx.block(1_200);
    void ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  await isReady;
  expect((await answer).status).toBe(200);
  expect(await isCounted(cluster, agent)).toBe(true);
});

test.each(["at once", "when it is being closed"])(
  "a late connection to a worker that is busy while another router takes over %s is counted once",
  async (when) => {
    const cluster = await start();
    const isBusy = cluster.a.next("busy");
    const free = cluster.a.run((ctx) => {
      ctx.emit("busy");
      // So long that the connection is late, and not so long that the router takes it back.
      ctx.block(1_500);
    });
    await isBusy;
    const agent = keptAgent();
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
    expect(await isCounted(cluster, agent)).toBe(true);
  },
);

test("what a worker takes while it gives something away is counted by a router that takes over", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b, primary } = cluster;
  const [own, others] = [await sessionAt(cluster, a), await sessionAt(cluster, b)];
  const [first, second] = [keptAgent(), keptAgent()];
  const isBusy = a.next("busy");
  const free = a.run((ctx) => {
    ctx.emit("busy");
    ctx.block(1_000);
  });
  await isBusy;
  const handedOver = await primary.run((ctx, id) => {
    const { workers } = ctx.router.stats() as PrimaryStats;
    return workers.find(({ workerId }) => workerId === id)?.handedOver ?? 0;
  }, a.workerId);
  const answers = [first, second].map((agent) => post(cluster, agent, own.sid));
  await primary.run(
    (ctx, id, count) =>
      ctx.until(() => {
        const { workers } = ctx.router.stats() as PrimaryStats;
        return workers.find(({ workerId }) => workerId === id)?.handedOver === count;
      }),
    a.workerId,
    handedOver + 2,
  );
  // The worker gives its connection to the other one's.
  const upgraded = upgradeOver(own.agent, cluster.url, others.sid);
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    // That the first one has got there is read behind the takeover, and before what is given away.
    ctx.block(1_200);
    void ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  await free;
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
  expect(await upgraded).toBe(101);
  expect(await isCounted(cluster, first, second)).toBe(true);
});

test("what a worker has is counted by a router that hears of its server before the worker hears of the router", async () => {
  const cluster = await start();
  const { a, primary } = cluster;
  const own = await sessionAt(cluster, a);
  own.agent.destroy();
  const isBusy = a.next("busy");
  const free = a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    ctx.emit("busy");
    await new Promise(setImmediate);
    // Longer than a router that is closed waits for it.
    ctx.block(3_000);
    setupWorker(new Server(createServer()), { name: "second" });
  });
  await isBusy;
  const agent = keptAgent();
  const answer = post(cluster, agent, own.sid);
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 2);
    await ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  await free;
  expect((await answer).status).toBe(200);
  expect(await isCounted(cluster, agent)).toBe(true);
  expect((await slotsOf(cluster))[0]).toMatchObject({ handedOver: 2, closed: 2 });
});

test("what a worker has closed between two routers is not counted by the second one", async () => {
  const cluster = await start();
  const own = await sessionAt(cluster, cluster.a);
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.run(async (ctx) => {
    const { once } = await ctx.import("node:events");
    const hasClosed = once(ctx.httpServer, "close");
    ctx.httpServer.closeAllConnections();
    ctx.httpServer.close();
    await hasClosed;
  });
  own.agent.destroy();
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    ctx.store.second = setupPrimary(ctx.httpServer);
    // What the application finds out about the worker when it hears of it.
    ctx.store.second.on("worker:ready", () => {
      const { workers } = ctx.store.second.stats() as PrimaryStats;
      ctx.store.atReady = workers.map(({ connections }) => connections);
    });
  });
  await cluster.a.run(async (ctx) => {
    const { once } = await ctx.import("node:events");
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    ctx.store.server = server;
    // One that listens itself has to leave that to the router before it is ready.
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    setupWorker(new Server(server));
  });
  expect(await untilCounted(cluster, 0)).toBe(true);
  expect(await cluster.primary.run((ctx) => ctx.store.atReady)).toEqual([0]);
});

test("connections that end with the last server of a worker are in no count of the next router", async () => {
  const cluster = await start();
  await sessionAt(cluster, cluster.a);
  await cluster.primary.run((ctx) => {
    ctx.store.closed = new Promise<void>((resolve) => {
      ctx.cluster.prependListener("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
        // The kind of what it says without servers, as docs/protocol.md has it.
        if (message["holdfast:sticky"]?.[0] === 38) resolve(ctx.router.close());
      });
    });
  });
  await cluster.a.run((ctx) => {
    ctx.httpServer.close();
    ctx.httpServer.closeAllConnections();
  });
  const slots = cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.store.closed;
    const { slots: all } = setupPrimary(ctx.httpServer).stats() as PrimaryStats;
    return all.map(({ connections, handedOver, closed }) => [connections, handedOver - closed]);
  });
  expect(await slots).toEqual([[0, 0]]);
});

test("sessions of a worker that gets no more connections are counted on by the next router", async () => {
  const cluster = await start();
  await sessionAt(cluster, cluster.a);
  await cluster.a.run((ctx) => ctx.sticky.close());
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  const untilCountedAs = (reason: string, count: number) =>
    cluster.primary.run(
      (ctx, name, expected) =>
        ctx.until(() => {
          const { sessions } = (ctx.store.second.stats() as PrimaryStats).slots[0] as SlotStats;
          const counts: Record<string, number> = { ...sessions.open, ...sessions.ended };
          return counts[name] === expected && sessions.opened;
        }),
      reason,
      count,
    );
  expect(await untilCountedAs("polling", 1)).toBe(1);
  await cluster.a.kill();
  expect(await untilCountedAs("worker gone", 1)).toBe(1);
});

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
    setupPrimary(ctx.httpServer, { workerTimeout: 1_500 });
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

test("a worker keeps its slot at the next router, whoever is ready first", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b, primary } = cluster;
  const slots = () =>
    primary.run((ctx) => {
      const { workers } = (ctx.store.second ?? ctx.router).stats() as PrimaryStats;
      return Object.fromEntries(workers.map(({ workerId, slot }) => [workerId, slot]));
    });
  const before = await slots();
  const first = before[a.workerId] === 0 ? a : b;
  await first.stop();
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
    await ctx.store.second.ready(1);
  });
  await first.resume();
  await primary.run((ctx) => ctx.store.second.ready(2));
  expect(await slots()).toEqual(before);
});

test("the place of a worker that is sent away is filled, also if it has served an earlier router only", async () => {
  const cluster = await start({ workers: 2 });
  const { primary } = cluster;
  const before = await primary.run((ctx) => (ctx.router.stats() as PrimaryStats).workers);
  const [old, other] = [...before].sort((a, b) => a.slot - b.slot).map(({ workerId }) => workerId);
  const successor = await cluster.fork();
  await primary.run((ctx) => ctx.router.ready(3));
  const leaving = cluster.workers.find(({ workerId }) => workerId === old);
  await leaving?.run((ctx) => ctx.sticky.close());
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
    await ctx.store.second.ready(2);
  });
  await leaving?.run((ctx) => void setImmediate(() => ctx.cluster.worker?.disconnect()));
  const slots = primary.run(
    (ctx, id) =>
      ctx.until(() => {
        const { workers } = ctx.store.second.stats() as PrimaryStats;
        const slot = workers.find(({ workerId }) => workerId === id)?.slot;
        return slot === 0 && workers.map(({ workerId, slot: at }) => [workerId, at]);
      }),
    successor.workerId,
  );
  expect(await slots).toEqual([
    [other, 1],
    [successor.workerId, 0],
  ]);
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
