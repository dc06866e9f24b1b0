/** The last router is closed while sessions move, or while connections go from one worker to another. */
import { Agent, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { httpRequest, within } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";

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
const agents: Agent[] = closedAfterEach(
  Object.assign([], {
    close(this: Agent[]) {
      for (const agent of this.splice(0)) agent.destroy();
    },
  }),
);

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

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

/** The id of a session that began on a connection that is kept, and that of another worker's session. */
interface Kept {
  readonly agent: Agent;
  readonly own: string;
  readonly other: string;
}

async function startWithKept(count: number): Promise<{ cluster: TestCluster; all: Kept[] }> {
  const cluster = await start({ workers: 2 });
  const begin = async (agent?: Agent) => {
    const { text } = await httpRequest(`${cluster.url}${HANDSHAKE}`, agent ? { agent } : {});
    return (JSON.parse(text.slice(1)) as { sid: string }).sid;
  };
  const all: Kept[] = [];
  while (all.length < count) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    const pair = { agent, own: await begin(agent), other: await begin() };
    const atA = await cluster.a.run(
      (ctx, sids) => {
        const { clients: sessions } = ctx.io.engine as unknown as { clients: object };
        return sids.filter((sid) => sid in sessions).length;
      },
      [pair.own, pair.other],
    );
    if (atA === 1) all.push(pair);
  }
  return { cluster, all };
}

/** The answer to a packet of a session, over the connection that is kept. */
async function post({ url }: TestCluster, { agent }: Kept, sid: string): Promise<string> {
  const { status, text } = await httpRequest(`${url}${HANDSHAKE}&sid=${sid}`, { method: "POST", agent }, "3");
  return `${status} ${text}`;
}

/** The status of the answer to an upgrade of the other worker's session, over the connection that is kept. */
async function upgrade({ url }: TestCluster, { agent, other }: Kept): Promise<number | undefined> {
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  const upgraded = new Promise<IncomingMessage>((resolve, reject) => {
    request(`${url}/socket.io/?EIO=4&transport=websocket&sid=${other}`, { agent, headers })
      .on("upgrade", resolve)
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
  const answer = await within(upgraded, "answer to the upgrade");
  answer.socket.destroy();
  return answer.statusCode;
}

/** The answers of both workers to what comes over the connection that is kept. */
async function askOverKept(cluster: TestCluster, kept: Kept): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const sid of [kept.other, kept.own, kept.other]) answers.push(await post(cluster, kept, sid));
  return [...answers, await upgrade(cluster, kept)];
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

test("connections that workers are giving to each other as the last router is closed get there", async () => {
  const { cluster, all } = await startWithKept(24);
  await cluster.primary.run((ctx) => {
    let given = 0;
    // The kind of a connection that is given back, as docs/protocol.md has it.
    ctx.cluster.prependListener("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
      if (message["holdfast:sticky"]?.[0] !== 19 || ++given !== 5) return;
      ctx.store.closed = ctx.router.close();
    });
  });
  const answers = await Promise.all(all.map((kept) => upgrade(cluster, kept)));
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

test("without a router, a server that a worker sets up after that listens itself", async () => {
  const cluster = await start({ adapter: false, moves: false });
  await cluster.primary.run(async (ctx) => {
    await ctx.router.close();
    await new Promise((resolve) => ctx.httpServer.close(resolve));
  });
  const port = await cluster.a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    await ctx.io.close();
    const server = createServer();
    setupWorker(new Server(server));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  });
  expect((await httpRequest(`http://127.0.0.1:${port}${HANDSHAKE}`)).status).toBe(200);
});

test.each(["its handle", "its server"])(
  "a worker whose end was noted, and that sets up a server and closes %s at once, gets no connections",
  async (what) => {
    const cluster = await start({ adapter: false, moves: false, stickyOptions: { workerTimeout: 100 } });
    await cluster.a.run(async (ctx, closes) => {
      const { createServer } = await ctx.import("node:http");
      const { Server } = await ctx.import("socket.io");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      // The kind of the answer to "departed".
      const noted = new Promise<void>((resolve) => {
        process.on("message", (message: { "holdfast:sticky"?: number[] }) => {
          if (message["holdfast:sticky"]?.[0] === 26) resolve();
        });
      });
      await ctx.io.close();
      await noted;
      const io = new Server(createServer());
      const sticky = setupWorker(io);
      await sticky.close();
      if (closes === "its server") await io.close();
    }, what);
    expect((await httpRequest(`${cluster.url}${HANDSHAKE}`)).status).toBe(503);
    expect(await cluster.primary.run((ctx) => ctx.router.stats().workers)).toEqual([]);
  },
);
