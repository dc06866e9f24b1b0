/** The last router is closed while sessions move, or while connections go from one worker to another. */
import { Agent, type IncomingMessage, request } from "node:http";
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
const agents = closedAfterEach({
  one: new Agent({ keepAlive: true, maxSockets: 1 }),
  close() {
    this.one.destroy();
  },
});

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

test("one that is set up while an earlier one is being closed gets all workers", async () => {
  const { cluster, successor, disconnects, where } = await startWithSuccessor(20);
  const { a } = cluster;
  const outcome = await cluster.primary.run(
    async (ctx, one, other) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const retired = ctx.router.retire({ id: one }, { id: other }, { window: 2 });
      const closed = ctx.router.close();
      const next = setupPrimary(ctx.httpServer);
      await Promise.all([closed, next.ready(2)]);
      const first = await retired;
      const { outcome } = await next.retire({ id: one }, { id: other });
      return [first.outcome, outcome];
    },
    a.workerId,
    successor.workerId,
  );
  expect(outcome).toEqual(["router-closed", "done"]);
  expect(new Set(await where())).toEqual(new Set([successor.workerId]));
  expect(disconnects).toEqual([]);
});

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

/** The ids of sessions of two workers; the connection on which the first one began is kept. */
async function startWithKept() {
  const cluster = await start({ workers: 2 });
  const begin = async (agent?: Agent) => {
    const { text } = await httpRequest(`${cluster.url}${HANDSHAKE}`, agent ? { agent } : {});
    const { sid } = JSON.parse(text.slice(1)) as { sid: string };
    const isAtA = await cluster.a.run((ctx, id) => {
      const { clients: sessions } = ctx.io.engine as unknown as { clients: object };
      return id in sessions;
    }, sid);
    return { sid, isAtA };
  };
  const own = await begin(agents.one);
  let other = await begin();
  while (other.isAtA === own.isAtA) other = await begin();
  return { cluster, sids: [other.sid, own.sid, other.sid] };
}

/** The answers to a packet of each session, and to an upgrade of the last, over the connection that is kept. */
async function askOverKept({ url }: TestCluster, sids: string[]): Promise<string[]> {
  const answers: string[] = [];
  for (const sid of sids) {
    const options = { method: "POST", agent: agents.one };
    const { status, text } = await httpRequest(`${url}${HANDSHAKE}&sid=${sid}`, options, "3");
    answers.push(`${status} ${text}`);
  }
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  const path = `/socket.io/?EIO=4&transport=websocket&sid=${sids.at(-1)}`;
  const upgraded = new Promise<IncomingMessage>((resolve, reject) => {
    request(`${url}${path}`, { agent: agents.one, headers })
      .on("upgrade", resolve)
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
  const answer = await within(upgraded, "answer to the upgrade");
  answer.socket.destroy();
  return [...answers, `${answer.statusCode}`];
}

const OK = ["200 ok", "200 ok", "200 ok", "101"];

test("without a router, a connection that is kept reaches sessions of other workers", async () => {
  const { cluster, sids } = await startWithKept();
  await cluster.primary.run((ctx) => ctx.router.close());
  expect(await askOverKept(cluster, sids)).toEqual(OK);
});

test("when its router is closed and others are not, so does a connection that is kept", async () => {
  const { cluster, sids } = await startWithKept();
  await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    setupPrimary(createServer(), { name: "another" });
    await ctx.router.close();
  });
  expect(await askOverKept(cluster, sids)).toEqual(OK);
});

test("without a router, a worker that takes no more connections waits for no answer of one", async () => {
  const cluster = await start({ workers: 2 });
  await cluster.primary.run((ctx) => ctx.router.close());
  await cluster.a.run((ctx) => ctx.sticky.close());
  await cluster.b.run((ctx) => ctx.sticky.drain());
  expect([await failuresOf(cluster.a), await failuresOf(cluster.b)]).toEqual([[], []]);
});
