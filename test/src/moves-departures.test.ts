/** Workers that close their last server while sessions move, and go on without. */
import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";

const start = startsClusters({ workers: 1, moves: true, io: { connectionStateRecovery: {} } }, (cluster) =>
  cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());

/** A client of the first of two workers, and why it was disconnected. */
async function startWithClient() {
  const cluster = await start();
  const client = await clients.connect(cluster.url);
  const disconnects: string[] = [];
  client.socket.on("disconnect", (reason) => disconnects.push(reason));
  const b = await cluster.fork();
  await cluster.untilJoined();
  return { cluster, a: cluster.a, b, client, disconnects };
}

/** Begins to move all sessions; gives what comes of it. */
function beginMoves(
  { primary }: TestCluster,
  method: "retire" | "moveSessions",
  from: RemoteWorker,
  to: RemoteWorker,
) {
  const result = primary.run(
    (ctx, name, source, target) => ctx.router[name]({ id: source }, { id: target }),
    method,
    from.workerId,
    to.workerId,
  );
  // Whoever awaits it does so later.
  result.catch(() => {});
  return result;
}

const untilUnderway = ({ primary }: TestCluster) =>
  primary.run((ctx) => ctx.until(() => ctx.router.stats().moves.underway === 1));

/** Closes the worker's server, and waits until the primary knows. */
const depart = (worker: RemoteWorker) =>
  worker.run(async (ctx) => {
    const noted = new Promise<void>((resolve) => {
      process.on("message", function onMessage(message: { "holdfast:sticky"?: number[] }) {
        // The kind of the answer to `departed`, as docs/protocol.md has it.
        if (message["holdfast:sticky"]?.[0] !== 26) return;
        process.off("message", onMessage);
        resolve();
      });
    });
    await ctx.io.close();
    await noted;
  });

/** Settles when nobody but node:cluster listens for messages in the worker. */
const untilReleased = (worker: RemoteWorker) =>
  worker.run((ctx) => ctx.until(() => process.listenerCount("message") === 1));

/** Sets up a server in the worker, which has none. */
const setUpAnew = (worker: RemoteWorker) =>
  worker.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupWorker(new Server(server));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

/** Closes a worker's server. The primary retires the first worker when it hears of that, or when it knows. */
async function retireAsItDeparts(
  cluster: TestCluster,
  departing: RemoteWorker,
  successor: RemoteWorker,
  when: "hears" | "knows",
) {
  const result = cluster.primary.run(
    (ctx, from, to, order) =>
      new Promise((resolve) => {
        const begin = () => {
          const retired = ctx.router.retire({ id: from }, { id: to });
          resolve(retired.catch(({ code }: { code: string }) => code));
        };
        ctx.cluster.prependListener("message", (_worker, message: { "holdfast:sticky"?: number[] }) => {
          // The kind of what a worker says without servers, as docs/protocol.md has it.
          if (message["holdfast:sticky"]?.[0] !== 38) return;
          if (order === "hears") begin();
          else setImmediate(begin);
        });
      }),
    cluster.a.workerId,
    successor.workerId,
    when,
  );
  await departing.run(async (ctx) => void (await ctx.io.close()));
  return result;
}

const NONE = { total: 0, moved: 0, lost: 0, closed: 0, left: {} };

test("no session moves to a worker that closes its server, and goes on without", async () => {
  const { cluster, b, disconnects } = await startWithClient();
  const c = await cluster.fork();
  await cluster.untilJoined();
  expect(await retireAsItDeparts(cluster, b, b, "hears")).toBe("HOLDFAST_ERR_NO_WORKER");
  expect(await retireAsItDeparts(cluster, c, c, "knows")).toBe("HOLDFAST_ERR_NO_WORKER");
  expect(disconnects).toEqual([]);
});

test("a worker that closes its server, and goes on without, has retired at once", async () => {
  const cluster = await start({ workers: 2 });
  expect(await retireAsItDeparts(cluster, cluster.a, cluster.b, "hears")).toEqual({
    outcome: "done",
    ...NONE,
  });
});

test("a worker that closes its server while there is no router says so to the next one, and is heard", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  await cluster.primary.run((ctx) => ctx.router.close());
  await a.run((ctx) => ctx.io.close());
  const answer = cluster.primary.run(
    async (ctx, from, to) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const router = setupPrimary(ctx.httpServer);
      await router.ready(1);
      return router.retire({ id: from }, { id: to }).catch(({ code }: { code: string }) => code);
    },
    b.workerId,
    a.workerId,
  );
  expect(await answer).toBe("HOLDFAST_ERR_NO_WORKER");
  expect(await untilReleased(a)).toBe(true);
});

test.each(["retire", "moveSessions"] as const)(
  "%s() from a worker that closes its server while its last session is on its way lets that get there",
  async (method) => {
    const { cluster, a, b, disconnects } = await startWithClient();
    await b.stop();
    const result = beginMoves(cluster, method, a, b);
    await untilUnderway(cluster);
    await depart(a);
    await b.resume();
    expect(await result).toMatchObject({ outcome: "done", moved: 1, lost: 0, closed: 0 });
    expect(await untilReleased(a)).toBe(true);
    expect(disconnects).toEqual([]);
  },
);

test("a session that comes to a worker that has closed its server is no connection there", async () => {
  const { cluster, a, b } = await startWithClient();
  const file = join(tmpdir(), `hf-${randomUUID()}`);
  const isBusy = b.next("busy");
  const departed = b.run(async (ctx, path) => {
    const { existsSync } = await ctx.import("node:fs");
    ctx.emit("busy");
    await new Promise(setImmediate);
    while (!existsSync(path));
    await ctx.io.close();
  }, file);
  await isBusy;
  const result = beginMoves(cluster, "moveSessions", a, b);
  await untilUnderway(cluster);
  writeFileSync(file, "");
  await departed;
  rmSync(file);
  expect(await result).toMatchObject({ moved: 0, lost: 1 });
  await setUpAnew(b);
  const connections = cluster.primary.run(async (ctx, id) => {
    await ctx.router.ready(2);
    const { workers } = ctx.router.stats() as { workers: { workerId: number; connections: number }[] };
    return workers.find(({ workerId }) => workerId === id)?.connections;
  }, b.workerId);
  expect(await connections).toBe(0);
});

test("a worker that had no server when it was to retire has retired, also when it has one again", async () => {
  const { cluster, a, b } = await startWithClient();
  // The one that is to get the sessions is told first, so that the other one departs meanwhile.
  await b.stop();
  const result = beginMoves(cluster, "retire", a, b);
  await depart(a);
  expect(await result).toMatchObject({ outcome: "done", moved: 0 });
  await b.resume();
  await cluster.primary.run((ctx) => ctx.router.close());
  await setUpAnew(a);
  const candidates = cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const router = setupPrimary(ctx.httpServer);
    let ready = 0;
    router.on("worker:ready", () => ready++);
    await ctx.until(() => ready === 2);
    return router.stats().workers.map(({ workerId }: { workerId: number }) => workerId);
  });
  expect(await candidates).toEqual([b.workerId]);
});

test("a worker that closes its server before it has heard of the router gets no sessions", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      if (ctx.cluster.worker?.id !== 1) void ctx.io.close();
    },
  });
  const b = await cluster.fork();
  const answer = cluster.primary.run(
    (ctx, from, to) =>
      ctx.until(() =>
        ctx.router.retire({ id: from }, { id: to }).then(
          // It has not said everything yet.
          ({ outcome }: { outcome: string }) => (outcome === "successor-gone" ? undefined : outcome),
          ({ code }: { code: string }) => code,
        ),
      ),
    cluster.a.workerId,
    b.workerId,
  );
  expect(await answer).toBe("HOLDFAST_ERR_NO_WORKER");
  expect(await untilReleased(b)).toBe(true);
});

/** Less than ws waits for the answer to a close frame. */
const WAITS_MS = 25_000;

test.each([
  ["source", "done"],
  ["successor", "successor-gone"],
] as const)(
  "nobody is left hanging when the %s closes its server amid moves",
  { timeout: WAITS_MS },
  async (who, outcome) => {
    const cluster = await start({
      setUpWorker: (ctx) => {
        let moved = 0;
        const close = () => {
          ctx.store.closed ??= ctx.io.close();
        };
        ctx.io.on("connection", (socket) => {
          socket.on("handover", () => ++moved === 5 && ctx.store.closing === "source" && close());
          if (socket.recovered && ++moved === 5 && ctx.store.closing === "successor") close();
        });
      },
    });
    const all = await Promise.all(Array.from({ length: 30 }, () => clients.connect(cluster.url)));
    const b = await cluster.fork();
    await cluster.untilJoined();
    const { a } = cluster;
    const [closing, living] = who === "source" ? [a, b] : [b, a];
    await closing.run((ctx, what) => {
      ctx.store.closing = what;
    }, who);
    expect(await beginMoves(cluster, "retire", a, b)).toMatchObject({ outcome });
    await closing.run((ctx) => ctx.store.closed.then(() => true));
    const up = await living.run((ctx) => [...ctx.io.of("/").sockets.keys()]);
    const others = all.filter(({ id }) => !up.includes(id));
    await Promise.all(
      others.map(({ socket }) => socket.connected && new Promise((done) => socket.once("disconnect", done))),
    );
    // Some have moved to the successor by then, and some have not left the source.
    expect(others.length).toBeGreaterThan(0);
    expect(up.length).toBe(30 - others.length);
  },
);
