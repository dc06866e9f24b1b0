/** The last router is closed, and others come: while sessions move, connections go from worker to worker, and workers close. */
import { Agent } from "node:http";
import type { AddressInfo } from "node:net";
import { httpRequest } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { closedAfterEach, keepsAgents, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import { HANDSHAKE, type Kept, keptAmid, upgradeOver } from "./harness/kept-connection.js";

const start = startsClusters(
  {
    workers: 1,
    moves: true,
    io: { connectionStateRecovery: {} },
    setUpWorker: async (ctx) => {
      const { subscribe } = await ctx.import("node:diagnostics_channel");
      ctx.store.failures = [];
      subscribe("holdfast:sticky:failure", (message) => ctx.store.failures.push(message));
      ctx.httpServer.keepAliveTimeout = 600_000;
      ctx.io.on("connection", (socket) => {
        socket.on("where", (answer) => answer(ctx.cluster.worker?.id));
      });
    },
  },
  (cluster) => cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());
const agents = keepsAgents();

/** So many clients of the first worker, why they were disconnected, and the worker that is to get them. */
async function startWithSuccessor(count: number) {
  const cluster = await start();
  const all = await Promise.all(Array.from({ length: count }, () => clients.connect(cluster.url)));
  const disconnects: string[] = [];
  for (const { socket } of all) socket.on("disconnect", (reason) => disconnects.push(reason));
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const where = () => Promise.all(all.map(({ socket }) => socket.emitWithAck("where") as Promise<number>));
  return { cluster, successor, disconnects, where };
}

/** Closes the router as soon as one session has moved; gives what came of all. */
const closeAmidMoves = (
  cluster: TestCluster,
  method: "retire" | "moveSessions",
  from: RemoteWorker,
  to: RemoteWorker,
) =>
  cluster.primary.run(
    async (ctx, name, one, other) => {
      const { subscribe, unsubscribe } = await ctx.import("node:diagnostics_channel");
      const landed = new Promise<void>((resolve) => {
        const onLanded = () => {
          unsubscribe("holdfast:sticky:landed", onLanded);
          resolve(ctx.router.close());
        };
        subscribe("holdfast:sticky:landed", onLanded);
      });
      const result = await ctx.router[name]({ id: one }, { id: other }, { window: 2 });
      await landed;
      const late = await ctx.router[name]({ id: one }, { id: other }).catch(
        ({ code }: { code: string }) => code,
      );
      return { result, late };
    },
    method,
    from.workerId,
    to.workerId,
  );

const openRouter = ({ primary }: TestCluster) =>
  primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    ctx.store.second = setupPrimary(ctx.httpServer);
    await ctx.store.second.ready(2);
  });

const failuresOf = (worker: RemoteWorker) => worker.run((ctx) => ctx.store.failures);

test.each(["retire", "moveSessions"] as const)(
  "a router that is closed during %s() leaves sessions where they are, or where they were going",
  async (method) => {
    const { cluster, successor, disconnects, where } = await startWithSuccessor(40);
    const { a } = cluster;
    const { result, late } = await closeAmidMoves(cluster, method, a, successor);
    expect(result).toMatchObject({ outcome: "router-closed", lost: 0, closed: 0 });
    expect(result.moved).toBeGreaterThan(0);
    expect(result.moved).toBeLessThan(40);
    expect(late).toBe("HOLDFAST_ERR_CLOSED");
    const at = await where();
    expect(at.filter((id) => id === successor.workerId)).toHaveLength(result.moved);
    expect(at.filter((id) => id === a.workerId)).toHaveLength(40 - result.moved);
    // Another router goes on with the rest.
    await openRouter(cluster);
    const rest = await cluster.primary.run(
      (ctx, from, to) => ctx.store.second.retire({ id: from }, { id: to }),
      a.workerId,
      successor.workerId,
    );
    expect(rest).toMatchObject({ outcome: "done", moved: 40 - result.moved, lost: 0, closed: 0 });
    expect(new Set(await where())).toEqual(new Set([successor.workerId]));
    expect(disconnects).toEqual([]);
    expect([await failuresOf(a), await failuresOf(successor)]).toEqual([[], []]);
  },
);

test("one that is set up while sessions of an earlier one are on their way lets them get there", async () => {
  const { cluster, successor, disconnects, where } = await startWithSuccessor(60);
  const { a } = cluster;
  const results = await cluster.primary.run(
    async (ctx, one, other) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const { subscribe, unsubscribe } = await ctx.import("node:diagnostics_channel");
      const closed = new Promise<void>((resolve) => {
        let landed = 0;
        const onLanded = () => {
          if (++landed < 10) return;
          unsubscribe("holdfast:sticky:landed", onLanded);
          resolve(ctx.router.close());
          ctx.store.second = setupPrimary(ctx.httpServer);
          ctx.store.second.on("worker:ready", () => ready++);
        };
        subscribe("holdfast:sticky:landed", onLanded);
      });
      let ready = 0;
      const first = await ctx.router.retire({ id: one }, { id: other }, { window: 16 });
      await Promise.all([closed, ctx.until(() => ready === 2)]);
      return [first, await ctx.store.second.retire({ id: one }, { id: other })];
    },
    a.workerId,
    successor.workerId,
  );
  expect(results).toMatchObject([
    { outcome: "router-closed", lost: 0, closed: 0 },
    { outcome: "done", lost: 0, closed: 0 },
  ]);
  expect(results[0].moved + results[1].moved).toBe(60);
  expect(results[0].moved).toBeGreaterThanOrEqual(10);
  expect(new Set(await where())).toEqual(new Set([successor.workerId]));
  expect(disconnects).toEqual([]);
});

/** A connection waits for as long as a worker may take to start. */
const PATIENT = { workerTimeout: 30_000 };

const startWithKept = (count: number) =>
  start({ workers: 2 }).then((cluster) => keptAmid(cluster, count, agents));

/** The answer to a packet of a session, over the connection that is kept. */
async function post({ url }: TestCluster, { agent }: Kept, sid: string): Promise<string> {
  const { status, text } = await httpRequest(`${url}${HANDSHAKE}&sid=${sid}`, { method: "POST", agent }, "3");
  return `${status} ${text}`;
}

/** The answers of both workers to what comes over the connection that is kept. */
async function askOverKept(cluster: TestCluster, kept: Kept): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const sid of [kept.other, kept.own, kept.other]) answers.push(await post(cluster, kept, sid));
  return [...answers, await upgradeOver(kept.agent, cluster.url, kept.other)];
}

const OK = ["200 ok", "200 ok", "200 ok", 101];

test("without a router, a connection that is kept reaches sessions of other workers", async () => {
  const { cluster, all } = await startWithKept(1);
  await cluster.primary.run((ctx) => ctx.router.close());
  expect(await askOverKept(cluster, all[0] as Kept)).toEqual(OK);
});

test("when its router is closed and others are not, so does a connection that is kept", async () => {
  const { cluster, all } = await startWithKept(1);
  await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    setupPrimary(createServer(), { name: "another" });
    await ctx.router.close();
  });
  expect(await askOverKept(cluster, all[0] as Kept)).toEqual(OK);
});

test("without a router, a worker that takes no more connections waits for no answer of one", async () => {
  const cluster = await start({ workers: 2 });
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.run((ctx) => ctx.sticky.close());
  await cluster.b.run((ctx) => ctx.sticky.drain());
  expect([await failuresOf(cluster.a), await failuresOf(cluster.b)]).toEqual([[], []]);
});

test.each([
  "closed",
  "closed, and so is another one at once",
  "closed, and so is another one a moment later",
])("connections that workers are giving to each other get there when the last router is %s", async (how) => {
  const { cluster, all } = await startWithKept(24);
  await cluster.primary.run(async (ctx, what) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    let given = 0;
    // The kind of a connection that is given back, as docs/protocol.md has it.
    ctx.cluster.prependListener("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
      if (message["holdfast:sticky"]?.[0] !== 19 || ++given !== 5) return;
      ctx.store.closed = ctx.router.close();
      if (what === "closed") return;
      const second = setupPrimary(ctx.httpServer);
      const close = () => {
        ctx.store.closed = second.close();
      };
      if (what.endsWith("at once")) close();
      else setImmediate(close);
    });
  }, how);
  const answers = await Promise.all(all.map((kept) => upgradeOver(kept.agent, cluster.url, kept.other)));
  await cluster.primary.run((ctx) => ctx.until(() => ctx.store.closed?.then(() => true)));
  expect(answers).toEqual(new Array(24).fill(101));
});

test("a connection that came late, and of which no router says whose it is, is closed", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.a.stop();
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`).catch(({ code }: { code: string }) => code);
  const closed = cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    // Later, the worker takes it for late.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await ctx.router.close();
  });
  await closed;
  await cluster.a.resume();
  expect(await answer).toBe("ECONNRESET");
});

test("nor does a router of another version say it, whose welcome comes meanwhile", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.a.stop();
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`).catch(({ code }: { code: string }) => code);
  await cluster.primary.run(async (ctx, id) => {
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    // Later, the worker takes it for late.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await ctx.router.close();
    // The kind of that message, as docs/protocol.md has it, and a version to come.
    ctx.cluster.workers?.[id]?.send({ "holdfast:sticky": [1, 1_000, "", "", "", 1] });
  }, cluster.a.workerId);
  await cluster.a.resume();
  expect(await answer).toBe("ECONNRESET");
});

/** Requests that the worker's lane has, while the worker stands still. */
async function startWithWaiting(count: number) {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.a.stop();
  const statuses = Promise.all(
    Array.from({ length: count }, async () => {
      const { status } = await httpRequest(`${cluster.url}${HANDSHAKE}`);
      return status;
    }),
  );
  await cluster.primary.run(
    (ctx, all) => ctx.until(() => ctx.router.stats().workers[0]?.handedOver === all),
    count,
  );
  return { cluster, statuses };
}

test.each(["at once", "a moment later"])(
  "connections on their way to a worker get there when the router is closed, and another one comes %s",
  async (when) => {
    const { cluster, statuses } = await startWithWaiting(20);
    await cluster.primary.run(async (ctx, how) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      void ctx.router.close();
      if (how === "a moment later") await new Promise((resolve) => setImmediate(resolve));
      setupPrimary(ctx.httpServer);
    }, when);
    await cluster.a.resume();
    expect(await statuses).toEqual(new Array(20).fill(200));
  },
);

test("a worker that closes before it hears of the router that has taken over leaves its connections to others", async () => {
  const { cluster, statuses } = await startWithWaiting(20);
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    void ctx.router.close();
    setupPrimary(ctx.httpServer, { workerTimeout: 30_000 });
  });
  const closed = cluster.a.run((ctx) => {
    void ctx.io.close();
  });
  await cluster.fork();
  await cluster.a.resume();
  await closed;
  expect(await statuses).toEqual(new Array(20).fill(200));
});

test("connections that are given to each other are counted once, whoever takes them when the router is closed", async () => {
  const { cluster, all } = await startWithKept(40);
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const onGiven = async (_worker: unknown, message: { "holdfast:sticky"?: number[] }) => {
      if (message["holdfast:sticky"]?.[0] !== 19) return;
      ctx.cluster.off("message", onGiven);
      await ctx.router.close();
      ctx.store.second = setupPrimary(ctx.httpServer);
    };
    ctx.cluster.prependListener("message", onGiven);
  });
  const upgraded = await Promise.all(all.map((kept) => upgradeOver(kept.agent, cluster.url, kept.other)));
  expect(upgraded).toEqual(new Array(40).fill(101));
  await cluster.primary.run((ctx) => ctx.until(() => ctx.store.second?.ready(2).then(() => true)));
  for (const agent of agents) agent.destroy();
  for (const worker of cluster.workers) {
    await worker.run((ctx) => ctx.until(() => ctx.sticky.stats().connections === 0));
  }
  const isZero = cluster.primary.run((ctx) =>
    ctx.until(() =>
      ctx.store.second.stats().workers.every(({ connections }: { connections: number }) => connections === 0),
    ),
  );
  expect(await isZero).toBe(true);
  const { slots } = (await cluster.primary.run((ctx) => ctx.store.second.stats())) as PrimaryStats;
  for (const { handedOver, closed } of slots) expect(closed).toBe(handedOver);
});

/** Has the worker await a message of the primary, by its kind as docs/protocol.md has it: `ctx.store.told`. */
const expectMessage = (worker: RemoteWorker, expected: number): Promise<void> =>
  worker.run((ctx, kind) => {
    ctx.store.told = new Promise<void>((resolve) => {
      process.on("message", (message: { "holdfast:sticky"?: number[] }) => {
        if (message["holdfast:sticky"]?.[0] === kind) resolve();
      });
    });
  }, expected);
const UNROUTED = 27;
const NOTED = 26;

/** Ends the worker's server, and sets another one up as soon as the worker was told what it expects; gives its port. */
const setUpAnew = (worker: RemoteWorker): Promise<number> =>
  worker.run(async (ctx) => {
    await ctx.store.told;
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    await ctx.io.close();
    const server = createServer();
    ctx.store.second = setupWorker(new Server(server));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  });

test.each(["closed", "closed, and one of another name comes", "closed, and one of another name stays"])(
  "a server that a worker sets up after its router is %s listens itself",
  async (what) => {
    const cluster = await start({ adapter: false, moves: false });
    await expectMessage(cluster.a, UNROUTED);
    await cluster.primary.run(async (ctx, how) => {
      const { createServer } = await ctx.import("node:http");
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      if (how.endsWith("stays")) setupPrimary(createServer(), { name: "another" });
      const closed = ctx.router.close();
      if (how.endsWith("comes")) setupPrimary(createServer(), { name: "another" });
      await closed;
      await new Promise((resolve) => ctx.httpServer.close(resolve));
    }, what);
    const port = await setUpAnew(cluster.a);
    expect((await httpRequest(`http://127.0.0.1:${port}${HANDSHAKE}`)).status).toBe(200);
  },
);

/** Closes the worker's server, and waits until the primary knows. */
async function depart(worker: RemoteWorker): Promise<void> {
  await expectMessage(worker, NOTED);
  await worker.run(async (ctx) => {
    await ctx.io.close();
    await ctx.store.told;
  });
}

test.each(["stays", "takes over"])(
  "a connection for a worker that has departed is closed where its router is closed, and another one %s",
  async (what) => {
    const { cluster, all } = await startWithKept(1);
    const [kept] = all as [Kept];
    await depart(kept.otherAt);
    await expectMessage(kept.ownAt, UNROUTED);
    await cluster.primary.run(async (ctx, how) => {
      const { createServer } = await ctx.import("node:http");
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const open = () => setupPrimary(createServer(), { name: "another" });
      if (how === "stays") open();
      const closed = ctx.router.close();
      if (how === "takes over") open();
      await closed;
    }, what);
    await kept.ownAt.run((ctx) => ctx.store.told);
    const answer = upgradeOver(kept.agent, cluster.url, kept.other).catch(
      ({ code }: { code: string }) => code,
    );
    expect(["ECONNRESET", 400]).toContain(await answer);
  },
);

test("a worker that is set up while the last router is being closed is none of it", async () => {
  const cluster = await start({ workers: 2 });
  await depart(cluster.a);
  const { text } = await httpRequest(`${cluster.url}${HANDSHAKE}`);
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  // As long as this one does not answer, the router is being closed.
  await cluster.b.stop();
  await cluster.primary.run((ctx) => {
    ctx.store.closed = ctx.router.close();
  });
  const port = await setUpAnew(cluster.a);
  await cluster.primary.run((ctx) => ctx.store.closed);
  await cluster.b.resume();
  const agent = new Agent({ keepAlive: true });
  agents.push(agent);
  const there = { url: `http://127.0.0.1:${port}` };
  expect(await upgradeOver(agent, there.url, sid)).toBe(101);
  await cluster.a.run((ctx) => ctx.store.second.close());
  expect(await failuresOf(cluster.a)).toEqual([]);
});

test("a worker that closes before it hears that the last router is closed waits for no answer of that", async () => {
  const cluster = await start({ workers: 2 });
  await cluster.a.stop();
  const left = cluster.a.run((ctx) => ctx.sticky.close());
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.resume();
  await left;
  expect(await failuresOf(cluster.a)).toEqual([]);
});

test("a late connection to a worker that departs before it has read of it goes to another one", async () => {
  const cluster = await start({ adapter: false, moves: false, stickyOptions: PATIENT });
  const isBusy = cluster.a.next("busy");
  const closed = cluster.a.run((ctx) => {
    ctx.emit("busy");
    // So long that a connection that comes first is late, and not so long that the router takes it back.
    ctx.block(1_500);
    void ctx.io.close();
  });
  await isBusy;
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`);
  await cluster.fork();
  await closed;
  expect((await answer).status).toBe(200);
});

test.each(["its handle", "its server"])(
  "a worker whose end was noted, and that sets up a server and closes %s at once, gets no connections",
  async (what) => {
    const cluster = await start({ adapter: false, moves: false, stickyOptions: { workerTimeout: 100 } });
    await depart(cluster.a);
    await cluster.a.run(async (ctx, closes) => {
      const { createServer } = await ctx.import("node:http");
      const { Server } = await ctx.import("socket.io");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      const io = new Server(createServer());
      const sticky = setupWorker(io);
      await sticky.close();
      if (closes === "its server") await io.close();
    }, what);
    expect((await httpRequest(`${cluster.url}${HANDSHAKE}`)).status).toBe(503);
    expect(await cluster.primary.run((ctx) => ctx.router.stats().workers)).toEqual([]);
  },
);

test("a connection that waits for a worker goes to another router of that name when its own is closed", async () => {
  const cluster = await start({ adapter: false, moves: false, stickyOptions: PATIENT });
  await depart(cluster.a);
  const answer = httpRequest(`${cluster.url}${HANDSHAKE}`);
  const isElsewhere = cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.until(() => ctx.router.stats().waiting === 1);
    const other = setupPrimary(createServer(), { workerTimeout: 30_000 });
    await ctx.router.close();
    return other.stats().waiting;
  });
  expect(await isElsewhere).toBe(1);
  await cluster.fork();
  expect((await answer).status).toBe(200);
});

test("a worker that was set up again while nobody answered ends its listening with its server", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.a.stop();
  const again = cluster.a.run(async (ctx) => {
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    void ctx.sticky.close();
    ctx.store.second = setupWorker(ctx.io);
  });
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.resume();
  await again;
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await setupPrimary(ctx.httpServer).ready(1);
  });
  const listening = cluster.a.run(async (ctx) => {
    const before = process.listenerCount("message");
    await ctx.io.close();
    return ctx.until(() => process.listenerCount("message") === before - 1);
  });
  expect(await listening).toBe(true);
});

test("a worker that is told of its leaving before it knows that nobody read of an earlier one ends its listening", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.run(async (ctx) => {
    const { Server } = await ctx.import("node:net");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    // By which it asks whether the primary has read so far.
    const { listen } = Server.prototype;
    const questions: (() => void)[] = [];
    Server.prototype.listen = function (this: InstanceType<typeof Server>, ...args: unknown[]) {
      questions.push(() => listen.apply(this, args as [object]));
      return this;
    };
    ctx.store.ask = () => {
      Server.prototype.listen = listen;
      for (const question of questions) question();
      return questions.length;
    };
    void ctx.sticky.close();
    setupWorker(ctx.io);
  });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await setupPrimary(ctx.httpServer).ready(1);
  });
  const isReleased = cluster.a.run(async (ctx) => {
    const before = process.listenerCount("message");
    const left = new Promise<void>((resolve) => {
      const onMessage = (message: Record<string, unknown[]>) => {
        if (message["holdfast:sticky"]?.[0] !== 3) return;
        process.off("message", onMessage);
        resolve();
      };
      process.on("message", onMessage);
    });
    await ctx.io.close();
    await left;
    if ((ctx.store.ask as () => number)() !== 1) throw new Error("it has not asked once");
    return ctx.until(() => process.listenerCount("message") === before - 1);
  });
  expect(await isReleased).toBe(true);
});

test("what was asked for a server before is no answer for the next one of that name", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const serverClosed = new Promise((resolve) => ctx.httpServer.once("close", resolve));
    const closed = ctx.sticky.close();
    // Asks once more whether all has been read, in the turn in which the first answer comes.
    process.prependOnceListener("internalMessage" as "message", () => void ctx.httpServer.close());
    await closed;
    ctx.store.second = setupWorker(new Server(createServer()));
    await serverClosed;
    // It is answered behind the second question.
    const later = createServer();
    await new Promise<void>((resolve) => later.listen(0, "127.0.0.1", resolve));
    later.close();
  });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await setupPrimary(ctx.httpServer).ready(1);
  });
  const order = cluster.a.run(async (ctx) => {
    const heard: string[] = [];
    process.on("message", (message: { "holdfast:sticky"?: number[] }) => {
      // The kind of the answer to `leaving`, as docs/protocol.md has it.
      if (message["holdfast:sticky"]?.[0] === 3) heard.push("left");
    });
    await ctx.store.second.close();
    return [...heard, "closed"];
  });
  expect(await order).toEqual(["left", "closed"]);
});
