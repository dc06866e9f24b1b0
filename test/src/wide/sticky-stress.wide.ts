/** The router when workers, clients and options fail it: nobody waits for what somebody else causes. */
import { readdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { findPrlimit, httpRequest, RawSocket, withoutDescriptors } from "@holdfast/harness";
import type { ConnectionInfo, PrimaryStats, WorkerInfo } from "@holdfast/sticky";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "../harness/after-each.js";
import type { RemoteWorker, TestCluster } from "../harness/cluster.js";

const hasPrlimit = findPrlimit() !== undefined;

/** Each worker answers plain requests with its id. */
const start = startsClusters({
  workers: 2,
  adapter: false,
  stickyOptions: { loadBalancingMethod: "round-robin" },
  setUpWorker: (ctx) => {
    // What is open is counted, however long the test takes.
    ctx.httpServer.keepAliveTimeout = 0;
    ctx.httpServer.on("request", (request, response) => {
      if (!request.url?.startsWith("/socket.io/")) response.end(String(ctx.cluster.worker?.id));
    });
  },
});

const PATH = "/socket.io/?EIO=4&transport=polling";

const sockets: RawSocket[] = [];
closedAfterEach({
  close() {
    for (const socket of sockets.splice(0)) socket.close();
  },
});

function open(cluster: TestCluster, bytes: string): RawSocket {
  const socket = new RawSocket(cluster.port);
  sockets.push(socket);
  socket.write(bytes);
  return socket;
}

const ask = async (cluster: TestCluster, localAddress = "127.0.0.1"): Promise<number> =>
  Number((await httpRequest(cluster.url, { localAddress })).text);

const askMany = (cluster: TestCluster, count: number): Promise<number[]> =>
  Promise.all(Array.from({ length: count }, () => ask(cluster)));

/** A request on a connection that stays open; its answer has the worker's id in the end. */
const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const idIn = (answer: string): number => Number(/\r\n\r\n(\d+)$/.exec(answer)?.[1]);

const stats = (cluster: TestCluster): Promise<PrimaryStats> =>
  cluster.primary.run((ctx) => ctx.router.stats());

const untilWaiting = (cluster: TestCluster, count: number): Promise<unknown> =>
  cluster.primary.run((ctx, expected) => ctx.until(() => ctx.router.stats().waiting === expected), count);

/** Those to whom something has come, as soon as they are so many: what the router counts is on its way to them. */
async function untilAnswered(asking: readonly RawSocket[], count: number): Promise<RawSocket[]> {
  const answered = () => asking.filter(({ text }) => text !== "");
  await expect.poll(() => answered().length).toBe(count);
  return answered();
}

/** A session of that worker. */
async function sessionOf(cluster: TestCluster, worker: RemoteWorker): Promise<string> {
  for (let i = 0; i < 20; i++) {
    const { text } = await httpRequest(cluster.url + PATH);
    const { sid } = JSON.parse(text.slice(1)) as { sid: string };
    const isThere = await worker.run(
      (ctx, id) => Object.keys((ctx.io.engine as unknown as { clients: object }).clients).includes(id),
      sid,
    );
    if (isThere) return sid;
  }
  throw new Error(`no session came to worker ${worker.workerId}`);
}

/** While `during` runs, the process has not one file descriptor left. */
async function filled(worker: RemoteWorker, during: () => Promise<void>): Promise<void> {
  // What is closing yet would make room later.
  await worker.run((ctx) => ctx.until(() => ctx.sticky.stats().connections === 0));
  const limit = Math.max(...readdirSync(`/proc/${worker.pid}/fd`).map(Number)) + 1;
  const fill = async () => {
    await worker.run(async (ctx) => {
      const { openSync } = await ctx.import("node:fs");
      try {
        for (;;) openSync("/dev/null", "r");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
      }
    });
    await during();
  };
  await withoutDescriptors(worker.pid, fill, limit);
}

describe("while a worker stands still", () => {
  test("its share of the new connections goes to the others, whatever was on its way", async () => {
    const cluster = await start({ workers: 4 });
    await cluster.a.stop();
    // More than fits into one turn of each worker: some wait for it, and one is on the channel.
    const served = await askMany(cluster, 80);
    expect(new Set(served)).toEqual(new Set([cluster.b.workerId, cluster.c.workerId, cluster.d.workerId]));
    const { workers, waiting } = await stats(cluster);
    expect(waiting).toBe(0);
    expect(workers.find(({ workerId }) => workerId === cluster.a.workerId)?.handedOver).toBe(0);
    await cluster.a.resume();
    // It takes part again, and has not touched what was taken back.
    const later = cluster.primary.run((ctx, id) => {
      const handedOver = () =>
        (ctx.router.stats() as PrimaryStats).workers.find((worker) => worker.workerId === id)?.handedOver;
      return ctx.until(() => (handedOver() ?? 0) > 0);
    }, cluster.a.workerId);
    const isServed = cluster.a.run((ctx) => ctx.until(() => ctx.sticky.stats().received > 0));
    let isOver = false;
    void Promise.all([later, isServed]).then(() => {
      isOver = true;
    });
    while (!isOver) await ask(cluster);
  });

  test("a connection that was taken back while it was on the channel is the other worker's alone", async () => {
    const cluster = await start();
    const { a, b } = cluster;
    await a.stop();
    const first = open(cluster, GET);
    const second = open(cluster, GET);
    const answers = await Promise.all([first, second].map((socket) => socket.until(/\r\n\r\n\d+$/)));
    expect(answers.map(idIn)).toEqual([b.workerId, b.workerId]);
    await a.resume();
    // By the time that it answers anything, it has seen what had been on the channel.
    while ((await ask(cluster)) !== a.workerId);
    for (const socket of [first, second]) {
      const before = socket.text.length;
      socket.write(GET);
      await socket.until((text) => /\r\n\r\n\d+$/.test(text.slice(before)));
      expect(idIn(socket.text)).toBe(b.workerId);
    }
  });

  test("requests of its sessions wait for it, and are answered when it goes on", async () => {
    const cluster = await start();
    const sid = await sessionOf(cluster, cluster.a);
    await cluster.a.stop();
    const requests = Array.from({ length: 3 }, () => open(cluster, `GET /?sid=${sid} HTTP/1.1\r\n`));
    // One is on the channel.
    await untilWaiting(cluster, 2);
    // The rest of a request may come while it waits.
    for (const request of requests) request.write("Host: x\r\n\r\n");
    await cluster.a.resume();
    for (const request of requests) {
      expect(idIn(await request.until(/\r\n\r\n\d+$/))).toBe(cluster.a.workerId);
    }
  });

  test("no more wait for it than are allowed, and who leaves is forgotten", async () => {
    const cluster = await start({ stickyOptions: { maxPendingConnections: 20 } });
    const sid = await sessionOf(cluster, cluster.a);
    const descriptors = () => readdirSync(`/proc/${cluster.primary.pid}/fd`).length;
    await cluster.a.stop();
    const before = descriptors();
    const request = `GET /?sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const clients = Array.from({ length: 100 }, () => open(cluster, request));
    const untilEvicted = (count: number) =>
      cluster.primary.run(
        (ctx, expected) => ctx.until(() => ctx.router.stats().refused.evicted === expected),
        count,
      );
    const closed = () => clients.filter(({ socket }) => socket.closed);
    await untilEvicted(80);
    await expect.poll(() => closed().length).toBe(80);
    // Whose request had been read is told, the longest waiting first.
    for (const { text } of closed()) expect(text).toMatch(/^$|^HTTP\/1.1 503 .*Retry-After: /s);
    await untilWaiting(cluster, 19);
    clients.push(open(cluster, request));
    await untilEvicted(81);
    await expect.poll(() => closed().length).toBe(81);
    expect(closed().filter(({ text }) => text !== "").length).toBeGreaterThan(0);
    await untilWaiting(cluster, 19);
    // A new client finds room all the same.
    expect(await ask(cluster)).toBe(cluster.b.workerId);
    for (const client of clients) client.close();
    await untilWaiting(cluster, 0);
    expect((await stats(cluster)).refused["client-closed"]).toBeGreaterThanOrEqual(18);
    // What is on the channel is kept, and a refused client's end may take a moment.
    await cluster.primary.run(async (ctx, limit) => {
      const { readdirSync: list } = await ctx.import("node:fs");
      return ctx.until(() => list("/proc/self/fd").length <= limit);
    }, before + 5);
    await cluster.a.resume();
  });

  test("requests of its sessions are given up after half a minute, and told so", async () => {
    const cluster = await start();
    const sid = await sessionOf(cluster, cluster.a);
    const request = `GET /?sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`;
    await cluster.a.stop();
    // One is on the channel, and stays there.
    const requests = Array.from({ length: 3 }, () => open(cluster, request));
    await untilWaiting(cluster, 2);
    await cluster.primary.run((ctx) => ctx.passTime(24_000));
    // Its timer knows nothing of that, until one is due before the others: it has ended its side.
    open(cluster, request).end();
    await cluster.primary.run((ctx) => ctx.until(() => ctx.router.stats().waiting <= 1));
    for (const { text } of await untilAnswered(requests, 2))
      expect(text).toMatch(/^HTTP\/1.1 503 .*Retry-After: /s);
    await cluster.a.resume();
  });

  test("a client that has only ended its side still gets its answer", async () => {
    const cluster = await start();
    const sid = await sessionOf(cluster, cluster.a);
    await cluster.a.stop();
    const request = `GET /?sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const first = open(cluster, request);
    const second = open(cluster, request);
    await untilWaiting(cluster, 1);
    second.end();
    await cluster.a.resume();
    for (const socket of [first, second]) {
      expect(idIn(await socket.until(/\r\n\r\n\d+$/))).toBe(cluster.a.workerId);
    }
  });

  test("connections wait while there is no other, and go on with it", async () => {
    const cluster = await start({ workers: 1 });
    await cluster.a.stop();
    const asked = askMany(cluster, 4);
    await untilWaiting(cluster, 4);
    await cluster.a.resume();
    expect(await asked).toEqual([1, 1, 1, 1]);
  });
});

describe.each(["least-connection", "round-robin", "random", "hash"])("with %s", (loadBalancingMethod) => {
  test.skipIf(!hasPrlimit)(
    "a worker without descriptors is not asked again, and 503 is the answer when all are so",
    async () => {
      const cluster = await start({ workers: 3, stickyOptions: { loadBalancingMethod } });
      const { a, b, c } = cluster;
      const refuses = async () => {
        const { status, headers } = await httpRequest(cluster.url);
        expect([status, headers["retry-after"]]).toEqual([503, "5"]);
        expect((await stats(cluster)).refused).toMatchObject({ undeliverable: 1 });
      };
      await filled(a, async () => {
        // So many that also at random none of the two others is left out.
        const addresses = Array.from({ length: 40 }, (_, i) => `127.0.0.${i + 1}`);
        const served = await Promise.all(addresses.map((address) => ask(cluster, address)));
        expect(new Set(served)).toEqual(new Set([b.workerId, c.workerId]));
        await filled(b, () => filled(c, refuses));
      });
    },
  );
});

describe("selectWorker", () => {
  /** A second router whose `selectWorker` is the function. */
  const startWith = async (
    selectWorker: (info: ConnectionInfo, log: ConnectionInfo[]) => unknown,
    options: object = {},
  ) => {
    const cluster = await start({ workers: 2 });
    const port = await cluster.primary.run(
      async (ctx, source, more) => {
        const { createServer } = await ctx.import("node:http");
        const { setupPrimary } = await ctx.import("@holdfast/sticky");
        const server = createServer();
        const select = new Function(`return (${source})`)();
        ctx.store.infos = [];
        ctx.store.warnings = [];
        ctx.store.router = setupPrimary(server, {
          ...more,
          selectWorker: (info) => {
            ctx.store.infos.push(info);
            return select(info, ctx.store.infos);
          },
        });
        ctx.store.router.on("warning", (warning: Error & { code: string }) => {
          ctx.store.warnings.push([warning.code, (warning.cause as Error | undefined)?.message]);
        });
        process.on("unhandledRejection", () => ctx.store.warnings.push("unhandled"));
        await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
        return (server.address() as AddressInfo).port;
      },
      selectWorker.toString(),
      options,
    );
    const url = `http://127.0.0.1:${port}`;
    const read = <K extends "infos" | "warnings">(key: K) =>
      cluster.primary.run((ctx, name) => ctx.store[name], key);
    return { cluster, url, read };
  };

  test("may promise its answer", async () => {
    const { url, read } = await startWith(async ({ target }) => (target === "/2" ? 2 : 1));
    for (const id of ["1", "2", "2", "1"]) expect((await httpRequest(`${url}/${id}`)).text).toBe(id);
    expect(await read("warnings")).toEqual([]);
  });

  test.each([
    ["rejects", () => Promise.reject(new Error("no answer")), "no answer"],
    ["throws", () => Promise.resolve().then(() => JSON.parse("{")), expect.stringContaining("JSON")],
    ["names nobody", async () => 99, undefined],
    ["gives nonsense", async () => Object.create(null), undefined],
    // biome-ignore lint/suspicious/noThenProperty: that is what the case is about
    ["is a thenable that throws", () => ({ then: () => JSON.parse("{") }), expect.stringContaining("JSON")],
    ["never answers", () => new Promise(() => {}), undefined],
  ])("that %s is told, and loadBalancingMethod decides", async (_, select, cause) => {
    const { url, read } = await startWith(select, { workerTimeout: 50 });
    expect(["1", "2"]).toContain((await httpRequest(url)).text);
    expect(await read("warnings")).toEqual([["HOLDFAST_ERR_SELECT_WORKER", cause]]);
  });

  test.skipIf(!hasPrlimit)(
    "is asked again with the same connection and the workers that are left",
    async () => {
      const { cluster, url, read } = await startWith(({ workers }) => workers[0]?.workerId);
      const first = cluster.workers.find(({ workerId }) => workerId === 1) as RemoteWorker;
      await filled(first, async () => expect((await httpRequest(`${url}/again`)).text).toBe("2"));
      const infos = (await read("infos")) as ConnectionInfo[];
      const idsOf = (workers: readonly WorkerInfo[]) => workers.map(({ workerId }) => workerId);
      expect(infos.map(({ workers }) => idsOf(workers))).toEqual([[1, 2], [2]]);
      for (const { remoteAddress, target } of infos)
        expect([remoteAddress, target]).toEqual(["127.0.0.1", "/again"]);
      expect(await read("warnings")).toEqual([]);
    },
  );

  test("does not hold a client that leaves", async () => {
    const { cluster, url } = await startWith(() => new Promise(() => {}), { workerTimeout: 60_000 });
    const socket = new RawSocket(Number(new URL(url).port));
    sockets.push(socket);
    socket.write(GET);
    const waiting = (count: number) =>
      cluster.primary.run((ctx, n) => ctx.until(() => ctx.store.router.stats().waiting === n), count);
    await waiting(1);
    socket.reset();
    await waiting(0);
  });
});

describe("ready()", () => {
  test("settles when so many workers are ready, and the quick client finds all of them", async () => {
    const cluster = await start({ workers: 0 });
    const ready = cluster.primary.run((ctx) =>
      ctx.router.ready(3).then(() => ctx.router.stats().workers.length),
    );
    for (let i = 0; i < 3; i++) await cluster.fork();
    expect(await ready).toBe(3);
    expect(new Set(await askMany(cluster, 6)).size).toBe(3);
  });

  test("waits for all that live, if no number is given", async () => {
    const cluster = await start({ workers: 0 });
    const counts = cluster.primary.run(async (ctx) => {
      const order: string[] = [];
      ctx.router.on("worker:ready", () => order.push("worker"));
      const ready = ctx.router.ready().then(() => order.push("ready"));
      for (let i = 0; i < 2; i++) ctx.fork();
      // One that ends while it starts is waited for no more.
      ctx.cluster.fork({ NODE_OPTIONS: "--no-such-option" });
      await ready;
      return order;
    });
    expect(await counts).toEqual(["worker", "worker", "ready"]);
  });

  test("is at once when they are, fails when the router is closed, and refuses nonsense", async () => {
    const cluster = await start({ workers: 1 });
    const codes = await cluster.primary.run(async (ctx) => {
      const codeOf = (promise: Promise<void>) =>
        promise.then(
          () => "ready",
          (error: Error & { code: string }) => error.code,
        );
      const results = [await codeOf(ctx.router.ready()), await codeOf(ctx.router.ready(1))];
      for (const wrong of [0, -1, 1.5, "2", Number.NaN]) results.push(await codeOf(ctx.router.ready(wrong)));
      const never = codeOf(ctx.router.ready(2));
      await ctx.router.close();
      return [...results, await never, await codeOf(ctx.router.ready(1))];
    });
    expect(codes).toEqual([
      ...["ready", "ready"],
      ...Array.from({ length: 5 }, () => "HOLDFAST_ERR_INVALID_OPTION"),
      ...["HOLDFAST_ERR_CLOSED", "HOLDFAST_ERR_CLOSED"],
    ]);
  });
});

test("a worker that comes later is filled first", async () => {
  const cluster = await start({ workers: 1, stickyOptions: {} });
  const occupy = async (count: number): Promise<number[]> => {
    const ids: number[] = [];
    for (let i = 0; i < count; i++) ids.push(idIn(await open(cluster, GET).until(/\r\n\r\n\d+$/)));
    return ids;
  };
  await occupy(10);
  const fresh = await cluster.fork();
  expect(new Set(await occupy(10))).toEqual(new Set([fresh.workerId]));
  const even = await occupy(10);
  expect(even.filter((id) => id === fresh.workerId)).toHaveLength(5);
});

test("set up anew, the router knows what is open", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "random" } });
  const { a } = cluster;
  for (let i = 0; i < 6; i++) await ask(cluster);
  const held: RawSocket[] = [];
  while (held.length < 4) {
    const socket = open(cluster, GET);
    if (idIn(await socket.until(/\r\n\r\n\d+$/)) === a.workerId) held.push(socket);
    else socket.close();
  }
  const connections = await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    const router = setupPrimary(ctx.httpServer);
    Object.assign(ctx, { router });
    await router.ready(2);
    return ctx.until(() => {
      const open = router.stats().workers.map((worker) => worker.connections);
      return open.join() === "4,0" && open;
    });
  });
  expect(connections).toEqual([4, 0]);
  // The other one is filled first, and both end at none.
  for (let i = 0; i < 4; i++)
    expect(idIn(await open(cluster, GET).until(/\r\n\r\n\d+$/))).toBe(cluster.b.workerId);
  for (const socket of sockets) socket.close();
  await cluster.primary.run((ctx) =>
    ctx.until(() => (ctx.router.stats() as PrimaryStats).workers.every((worker) => worker.connections === 0)),
  );
});

test("deadlines come though the clock is set back", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { headTimeout: 2_000, workerTimeout: 2_000 } });
  const silent = open(cluster, "");
  const slow = open(cluster, "GET /");
  const waiting = open(cluster, GET);
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.router.stats().pending === 2 && ctx.router.stats().waiting === 1);
    const { now } = Date;
    Date.now = () => now() - 3_600_000;
  });
  expect(await silent.whole()).toBe("");
  expect(await slow.whole()).toMatch(/^HTTP\/1.1 408 /);
  expect(await waiting.whole()).toMatch(/^HTTP\/1.1 503 /);
});
