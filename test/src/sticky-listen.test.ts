/** A worker's server counts as listening where the router's does, whatever the application calls, in any order. */
import type { AddressInfo, Server as NetServer } from "node:net";
import { freePort, httpRequest } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";

/** The workers' own server plays no part; each test sets up a second one. */
const start = startsClusters({ workers: 1, adapter: false });

const ask = async (port: number): Promise<string> =>
  (await httpRequest(`http://127.0.0.1:${port}/here`)).text;

/** The primary's second router; its server listens if there is a port. */
const addRouter = (cluster: TestCluster, port?: number): Promise<void> =>
  cluster.primary.run(async (ctx, place) => {
    const { createServer } = await ctx.import("node:net");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    ctx.store.second = server;
    ctx.store.router = setupPrimary(server, { name: "second" });
    if (place !== undefined) await new Promise<void>((done) => server.listen(place, "127.0.0.1", done));
  }, port);

const portOfRouter = (cluster: TestCluster): Promise<number> =>
  cluster.primary.run((ctx) => (ctx.store.second.address() as AddressInfo).port);

const ORDERS = ["set up", "set up, listen", "listen, set up", "await listening, set up"] as const;
type Order = (typeof ORDERS)[number];

/** Sets a second server up in the worker and tells what it says of itself. */
const setUp = (worker: RemoteWorker, order: Order, port: number): Promise<[boolean, string[]]> =>
  worker.run(
    async (ctx, which, place) => {
      const { createServer } = await ctx.import("node:http");
      const { Server } = await ctx.import("socket.io");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      const server = createServer((request, response) => void response.end(request.url));
      const events: string[] = [];
      ctx.store.second = server;
      ctx.store.events = events;
      server.on("listening", () => events.push("event"));
      server.on("error", (error: NodeJS.ErrnoException) => events.push(error.code ?? error.message));
      const listen = () =>
        new Promise<void>((resolve) => {
          server.listen(place, () => {
            events.push("callback");
            resolve();
          });
        });
      const isFirst = which.startsWith("set up");
      if (isFirst) ctx.store.sticky = setupWorker(new Server(server), { name: "second" });
      const listened = which === "set up" ? undefined : listen();
      if (which.startsWith("await")) await listened;
      if (!isFirst) ctx.store.sticky = setupWorker(new Server(server), { name: "second" });
      await listened;
      return [server.listening, events] as [boolean, string[]];
    },
    order,
    port,
  );

const addressIn = (worker: RemoteWorker): Promise<AddressInfo | string | null> =>
  worker.run((ctx) => (ctx.store.second as NetServer).address());

/** What calling `listen()` once more gives. */
const again = (worker: RemoteWorker): Promise<string> =>
  worker.run((ctx) => {
    try {
      ctx.store.second.listen(0);
      return "nothing";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? "";
    }
  });

describe.each(ORDERS)("%s", (order) => {
  const events = order === "set up" ? [] : ["event", "callback"];

  test("where the router's server listens", async () => {
    const cluster = await start();
    const worker = cluster.worker(0);
    await addRouter(cluster, 0);
    const port = await portOfRouter(cluster);
    await cluster.primary.run((ctx) => {
      ctx.store.told = [];
      ctx.cluster.on("listening", (from, address) => ctx.store.told.push([from.id, address.port]));
    });
    expect(await setUp(worker, order, port)).toEqual([true, events]);
    if (order !== "set up") {
      // As for node:cluster's own servers, for those who wait for it.
      const told = cluster.primary.run((ctx) => ctx.until(() => ctx.store.told.length > 0 && ctx.store.told));
      expect(await told).toEqual([[worker.workerId, port]]);
    }
    expect(await ask(port)).toBe("/here");
    expect(await addressIn(worker)).toEqual({ address: "127.0.0.1", family: "IPv4", port });
    if (order !== "set up") expect(await again(worker)).toBe("ERR_SERVER_ALREADY_LISTEN");
  });

  test("where it will listen when the workers are ready", async () => {
    const cluster = await start({ workers: 2 });
    await addRouter(cluster);
    const port = await freePort();
    const ready = cluster.primary.run(
      (ctx, place) =>
        ctx.store.router
          .ready(2)
          .then(() => new Promise<void>((done) => ctx.store.second.listen(place, "127.0.0.1", done))),
      port,
    );
    const states = await Promise.all(cluster.workers.map((worker) => setUp(worker, order, port)));
    expect(states).toEqual([
      [true, events],
      [true, events],
    ]);
    await ready;
    const served = new Set<string>();
    for (let i = 0; i < 4; i++) served.add(await ask(port));
    expect([...served]).toEqual(["/here"]);
    const { workers } = await cluster.primary.run((ctx) => ctx.store.router.stats());
    const handedOver = workers.map((worker: { handedOver: number }) => worker.handedOver);
    expect(handedOver.every((count: number) => count > 0)).toBe(true);
    expect(handedOver[0] + handedOver[1]).toBe(4);
    for (const worker of cluster.workers) {
      await worker.run(
        (ctx, expected) => ctx.until(() => ctx.store.second.address()?.port === expected),
        port,
      );
      expect(await worker.run((ctx) => ctx.store.events)).toEqual(events);
    }
  });

  test("and its close() and drain() end it", async () => {
    const cluster = await start();
    const worker = cluster.worker(0);
    await addRouter(cluster, 0);
    const port = await portOfRouter(cluster);
    await setUp(worker, order, port);
    expect(await ask(port)).toBe("/here");
    await worker.run((ctx) => ctx.store.sticky.drain());
    expect(await worker.run((ctx) => [ctx.store.second.listening, ctx.store.events])).toEqual([
      false,
      events,
    ]);
    const { workers } = await cluster.primary.run((ctx) => ctx.store.router.stats());
    expect(workers).toEqual([]);
  });
});

test("what it wanted is its address until the router's server listens", async () => {
  const cluster = await start();
  const worker = cluster.worker(0);
  await addRouter(cluster);
  await setUp(worker, "set up, listen", 3000);
  expect(await addressIn(worker)).toEqual({ address: "::", family: "IPv6", port: 3000 });
});

test.each(["set up, listen", "listen, set up"] as const)(
  "what its callback throws is uncaught, and it listens: %s",
  async (order) => {
    const cluster = await start();
    await addRouter(cluster, 0);
    const port = await portOfRouter(cluster);
    await cluster.primary.run((ctx) => {
      ctx.store.told = new Promise((resolve) => ctx.cluster.once("listening", resolve));
    });
    const thrown = cluster.worker(0).run(async (ctx, isFirst) => {
      const { createServer } = await ctx.import("node:http");
      const { Server } = await ctx.import("socket.io");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      const uncaught = new Promise<string>((resolve) => {
        process.once("uncaughtException", ({ message }, origin) => resolve(`${message}, ${origin}`));
      });
      const server = createServer((request, response) => void response.end(request.url));
      const listen = () =>
        server.listen(0, () => {
          throw new Error("of the callback");
        });
      if (!isFirst) listen();
      setupWorker(new Server(server), { name: "second" });
      if (isFirst) listen();
      return uncaught;
    }, order.startsWith("set up"));
    expect(await thrown).toBe("of the callback, uncaughtException");
    expect(await ask(port)).toBe("/here");
    // Where node:cluster had begun to listen for it, it is its own listener that is not called.
    if (order.startsWith("set up")) await cluster.primary.run(async (ctx) => void (await ctx.store.told));
  },
);

test("the address may be the path of a Unix socket", async () => {
  const cluster = await start();
  await addRouter(cluster);
  await setUp(cluster.worker(0), "set up", 0);
  const path = `${cluster.directory}/router.sock`;
  await cluster.primary.run(
    (ctx, file) => new Promise<void>((done) => ctx.store.second.listen(file, done)),
    path,
  );
  const address = cluster.worker(0).run((ctx) => ctx.until(() => ctx.store.second.address()));
  expect(await address).toBe(path);
});

test("a worker that is forked later may listen first, too", async () => {
  const cluster = await start({ workers: 0 });
  await addRouter(cluster, 0);
  const port = await portOfRouter(cluster);
  const worker = await cluster.fork();
  expect(await setUp(worker, "await listening, set up", port)).toEqual([true, ["event", "callback"]]);
  expect(await ask(port)).toBe("/here");
});

test("a port of its own that node:cluster opened is left to the router", async () => {
  const cluster = await start();
  const worker = cluster.worker(0);
  await addRouter(cluster, 0);
  const own = await freePort();
  await setUp(worker, "await listening, set up", own);
  const port = await portOfRouter(cluster);
  expect(await ask(port)).toBe("/here");
  await expect(ask(own)).rejects.toThrow("ECONNREFUSED");
});

test("a port that it has for itself alone stays open", async () => {
  const cluster = await start();
  await addRouter(cluster, 0);
  const own = await cluster.worker(0).run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer((request, response) => void response.end(request.url));
    await new Promise<void>((done) => server.listen({ port: 0, host: "127.0.0.1", exclusive: true }, done));
    setupWorker(new Server(server), { name: "second" });
    return (server.address() as AddressInfo).port;
  });
  expect(await ask(await portOfRouter(cluster))).toBe("/here");
  expect(await ask(own)).toBe("/here");
});

test("other servers of a worker listen as ever", async () => {
  const cluster = await start();
  await addRouter(cluster, 0);
  const listen = (place: number) =>
    cluster.worker(0).run(async (ctx, port) => {
      const { createServer } = await ctx.import("node:http");
      const server = createServer((_, response) => void response.end("metrics"));
      const error = new Promise<string>((resolve) => server.once("error", ({ message }) => resolve(message)));
      const done = new Promise<number>((resolve) => {
        server.listen(port, () => resolve((server.address() as AddressInfo).port));
      });
      return Promise.race([done, error]);
    }, place);
  const port = await listen(0);
  expect(await ask(Number(port))).toBe("metrics");
  // The router's, which is there for this worker, too.
  expect(await listen(cluster.port)).toBe(cluster.port);
});

test.each(["set up, listen", "await listening, set up"] as const)(
  "without a router, %s opens the port",
  async (order) => {
    const cluster = await start({ sticky: false });
    const port = await freePort();
    await setUp(cluster.worker(0), order, port);
    expect(await ask(port)).toBe("/here");
    const events = await cluster.worker(0).run((ctx) => ctx.store.events);
    expect(events).toEqual(["event", "callback"]);
  },
);

test("who listens there and is not set up is named", { timeout: 60_000 }, async () => {
  const cluster = await start({ workers: 0 });
  await addRouter(cluster, 0);
  const port = await portOfRouter(cluster);
  const warned = cluster.primary.run(
    (ctx) =>
      new Promise((resolve) =>
        ctx.store.router.once("warning", (warning: Error & { code: string }) =>
          resolve([warning.code, warning.message]),
        ),
      ),
  );
  await cluster.primary.run((ctx, place) => {
    ctx.cluster.setupPrimary({
      exec: process.execPath,
      args: [],
      execArgv: ["--eval", `require("http").createServer().listen(${place})`],
    });
    ctx.cluster.fork();
  }, port);
  expect(await warned).toEqual([
    "HOLDFAST_ERR_NOT_SET_UP",
    expect.stringContaining("Call setupWorker(io) there"),
  ]);
  await cluster.primary.run(
    (ctx) =>
      new Promise<void>((resolve) => {
        ctx.cluster.once("exit", () => resolve());
        for (const worker of Object.values(ctx.cluster.workers ?? {})) worker?.kill("SIGKILL");
      }),
  );
});

// node:cluster answers each of them: https://nodejs.org/api/cluster.html#how-it-works
test.each([
  ["at a port of its own", "0"],
  ["where nobody can", "{ path: '/dev/null/' + process.pid }"],
])("a worker that dies as it listens %s does not end the primary", { timeout: 120_000 }, async (_, place) => {
  const cluster = await start({ workers: 1 });
  await cluster.primary.run((ctx, where) => {
    ctx.cluster.setupPrimary({
      exec: process.execPath,
      args: [],
      execArgv: [
        "--eval",
        `require("net").createServer().on("error", () => {}).listen(${where}); process.kill(process.pid, "SIGKILL")`,
      ],
    });
  }, place);
  const forkTwo = () =>
    cluster.primary.run(async (ctx) => {
      const workers = [ctx.cluster.fork(), ctx.cluster.fork()];
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve))));
    });
  // Each has the whole time that a call may take, on a machine that is busy with other tests.
  for (let forked = 0; forked < 60; forked += 2) await forkTwo();
  const { status } = await httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`);
  expect(status).toBe(200);
  expect(cluster.output).toBe("");
});

test.each(["before the router", "after it"])(
  "other errors of a worker that is forked right %s are the application's, as without a router",
  { timeout: 60_000 },
  async (when) => {
    const cluster = await start({ workers: 1 });
    const told = await cluster.primary.run(async (ctx, order) => {
      const { once } = await ctx.import("node:events");
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const { createServer } = await ctx.import("node:net");
      await ctx.router.close();
      const early = order === "before the router" ? ctx.cluster.fork() : undefined;
      const router = setupPrimary(createServer(), { name: "another" });
      const worker = early ?? ctx.cluster.fork();
      const told: string[] = [];
      const reject = ({ message }: Error) => void told.push(`rejected: ${message}`);
      // Before our own listener is there, and after that.
      const first = once(worker, "never").catch(reject);
      await new Promise((resolve) => worker.on("online", resolve));
      const emit = (message: string) => {
        try {
          worker.process.emit("error", new Error(message));
        } catch (error) {
          told.push(`thrown: ${(error as Error).message}`);
        }
      };
      emit("a");
      await first;
      emit("b");
      worker.prependOnceListener("error", reject);
      emit("c");
      const lost = Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" });
      worker.process.emit("error", lost);
      const second = once(worker, "never").catch(reject);
      emit("d");
      await second;
      worker.on("error", ({ message }) => told.push(`heard: ${message}`));
      emit("e");
      worker.process.emit("error", lost);
      await router.close();
      told.push(String(worker.listenerCount("error")));
      worker.process.kill("SIGKILL");
      return told;
    }, when);
    expect(told).toEqual([
      "rejected: a",
      "thrown: b",
      "rejected: c",
      "rejected: d",
      "heard: e",
      "heard: write EPIPE",
      "1",
    ]);
  },
);

test("without routers, errors of workers are not listened for", { timeout: 60_000 }, async () => {
  const cluster = await start({ workers: 1 });
  const counts = () =>
    cluster.primary.run((ctx) =>
      Object.values(ctx.cluster.workers ?? {}).flatMap((worker) => [
        worker?.listenerCount("error"),
        worker?.process.listenerCount("error"),
      ]),
    );
  const before = await counts();
  await cluster.primary.run((ctx) => ctx.router.close());
  expect([before, await counts()]).toEqual([
    [0, 2],
    [0, 1],
  ]);
});
