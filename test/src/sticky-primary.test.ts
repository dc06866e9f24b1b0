/** The primary's options, handle, statistics and events, in real clusters. */

import { readdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { findPrlimit, httpRequest, RawSocket, within, withoutDescriptors } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import type { TestCluster } from "./harness/cluster.js";
import { waitForNothingLong } from "./harness/long-timers.js";

const hasPrlimit = findPrlimit() !== undefined;

/** Each worker answers plain requests with its id and the client's address. */
const start = startsClusters({
  workers: 3,
  adapter: false,
  setUpWorker: (ctx) =>
    ctx.httpServer.on("request", (req, res) => {
      if (req.url?.startsWith("/socket.io/")) return;
      if (req.url === "/hang") ctx.emit("hanging");
      else res.end(JSON.stringify([ctx.cluster.worker?.id, req.socket.remoteAddress, req.socket.remotePort]));
    }),
});

interface Told {
  readonly workerId: number;
  readonly address: string;
  readonly port: number;
  readonly status: number;
}

async function ask(
  cluster: TestCluster,
  localAddress = "127.0.0.1",
  headers: Record<string, string> = {},
): Promise<Told> {
  const { text, status } = await httpRequest(cluster.url, { localAddress, headers });
  const [workerId, address, port] = text === "" ? [] : (JSON.parse(text) as [number, string, number]);
  return { workerId, address, port, status } as Told;
}

/** Sends `bytes` and returns all that comes back until the end. */
async function exchange(cluster: TestCluster, bytes: string | Buffer): Promise<string> {
  const socket = new RawSocket(cluster.port);
  socket.write(bytes);
  return socket.whole();
}

/** Opens a connection with a request that is never answered; settles when a worker has it. */
async function hang(cluster: TestCluster): Promise<RawSocket> {
  const arrived = Promise.race(cluster.workers.map((worker) => worker.next("hanging")));
  const socket = new RawSocket(cluster.port);
  socket.write("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
  await arrived;
  return socket;
}

const stats = (cluster: TestCluster): Promise<PrimaryStats> =>
  cluster.primary.run((ctx) => ctx.router.stats());

const ADDRESSES = Array.from({ length: 40 }, (_, i) => `127.0.${i % 5}.${i + 1}`);

test("listeners that throw are uncaught, and the router goes on, as do other listeners", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { workerTimeout: 30_000 } });
  await cluster.primary.run((ctx) => {
    Object.assign(ctx.store, { thrown: [], heard: [] });
    process.on("uncaughtException", ({ message }) => ctx.store.thrown.push(message));
    for (const event of ["refused", "worker:ready", "worker:gone"]) {
      ctx.router.on(event, () => {
        throw new Error(event);
      });
      ctx.router.on(event, () => ctx.store.heard.push(event));
    }
  });
  const raw = await RawSocket.open(cluster.port);
  raw.write("no HTTP\r\n\r\n");
  expect(await raw.whole()).toContain("HTTP/1.1 400");
  // It waits until there is a worker.
  const early = ask(cluster);
  await cluster.primary.run((ctx) => ctx.until(() => ctx.router.stats().waiting === 1));
  const first = await cluster.fork();
  expect((await early).workerId).toBe(first.workerId);
  await first.kill();
  const late = ask(cluster);
  await cluster.primary.run((ctx) => ctx.until(() => ctx.store.thrown.includes("worker:gone")));
  const second = await cluster.fork();
  expect((await late).workerId).toBe(second.workerId);
  const { thrown, heard } = await cluster.primary.run((ctx) => ctx.store);
  expect(thrown).toEqual(["refused", "worker:ready", "worker:gone", "worker:ready"]);
  expect(heard).toEqual(thrown);
});

test("listeners that its server had before and throw keep no connection from it", async () => {
  const cluster = await start({ workers: 1 });
  const port = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    ctx.store.thrown = [];
    process.on("uncaughtException", ({ message }) => ctx.store.thrown.push(message));
    await ctx.router.close();
    const server = createServer();
    server.on("connection", ({ remoteAddress }) => {
      throw new Error(remoteAddress);
    });
    server.on("listening", () => {
      throw new Error("listening");
    });
    const router = setupPrimary(server);
    await router.ready(1);
    server.listen(0, "127.0.0.1");
    await ctx.until(() => ctx.store.thrown.length > 0);
    return (server.address() as AddressInfo).port;
  });
  expect((await httpRequest(`http://127.0.0.1:${port}/`, {})).text).toContain("127.0.0.1");
  expect(await cluster.primary.run((ctx) => ctx.store.thrown)).toEqual(["listening", "127.0.0.1"]);
  const address = cluster.worker(0).run((ctx, expected) => {
    const where = () => ctx.httpServer.address() as AddressInfo | null;
    return ctx.until(() => where()?.port === expected);
  }, port);
  expect(await address).toBe(true);
});

test("listeners of the cluster that were there before and throw keep no worker from it", async () => {
  const cluster = await start({ workers: 0 });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    ctx.store.thrown = [];
    process.on("uncaughtException", ({ message }) => ctx.store.thrown.push(message));
    await ctx.router.close();
    for (const event of ["fork", "message", "disconnect", "exit"]) {
      ctx.cluster.on(event, () => {
        throw new Error(event);
      });
    }
    ctx.store.router = setupPrimary(ctx.httpServer, { workerTimeout: 30_000 });
    ctx.store.gone = new Promise((resolve) => ctx.store.router.once("worker:gone", resolve));
  });
  const first = await cluster.fork();
  expect((await ask(cluster)).workerId).toBe(first.workerId);
  await first.kill();
  await cluster.primary.run((ctx) => ctx.store.gone);
  const late = ask(cluster);
  const second = await cluster.fork();
  expect((await late).workerId).toBe(second.workerId);
  const thrown = await cluster.primary.run((ctx) => ctx.store.thrown);
  expect(new Set(thrown)).toEqual(new Set(["fork", "message", "disconnect", "exit"]));
});

test("hash: the same address reaches the same worker, after another one is replaced too", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "hash" } });
  const before = new Map<string, number>();
  for (const address of ADDRESSES) before.set(address, (await ask(cluster, address)).workerId);
  expect(new Set(before.values()).size).toBe(3);
  for (const address of ADDRESSES) expect((await ask(cluster, address)).workerId).toBe(before.get(address));
  const victim = cluster.worker(1);
  await cluster.primary.run((ctx) => {
    ctx.store.gone = new Promise((resolve) => ctx.router.once("worker:gone", resolve));
  });
  await victim.kill();
  await cluster.primary.run((ctx) => ctx.store.gone);
  for (const address of ADDRESSES) {
    const { workerId } = await ask(cluster, address);
    if (before.get(address) === victim.workerId) expect(workerId).not.toBe(victim.workerId);
    else expect(workerId).toBe(before.get(address));
  }
  const fresh = await cluster.fork();
  for (const address of ADDRESSES) {
    const expected = before.get(address) === victim.workerId ? fresh.workerId : before.get(address);
    expect((await ask(cluster, address)).workerId).toBe(expected);
  }
});

for (const loadBalancingMethod of ["hash", "least-connection"]) {
  test(`PROXY protocol with ${loadBalancingMethod}: the worker sees the reported address`, async () => {
    const cluster = await start({ stickyOptions: { loadBalancingMethod, proxyProtocol: true } });
    const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const v2 = Buffer.from("0d0a0d0a000d0a515549540a2111000cc0000201c63364011f900050", "hex");
    const cases: [string | Buffer, string][] = [
      [`PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n${request}`, '"192.0.2.9",4711]'],
      [`PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n${request}`, '"2001:db8::9",4711]'],
      [Buffer.concat([v2, Buffer.from(request)]), '"192.0.2.1",8080]'],
      [`PROXY UNKNOWN\r\n${request}`, '"127.0.0.1",'],
    ];
    for (const [bytes, expected] of cases) expect(await exchange(cluster, bytes)).toContain(expected);
    expect(await exchange(cluster, request)).toBe("");
    expect((await stats(cluster)).refused["bad-proxy-header"]).toBe(1);
  });
}

test("X-Forwarded-For of a trusted proxy decides with hash, anybody else's does not", async () => {
  const cluster = await start({
    stickyOptions: { loadBalancingMethod: "hash", trustedProxies: ["127.0.0.1"] },
  });
  const seen = new Map<string, Set<number>>();
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 12; i++) {
      const client = `198.51.100.${i}`;
      const { workerId } = await ask(cluster, "127.0.0.1", { "X-FORWARDED-FOR": `6.6.6.6, ${client}` });
      seen.set(client, (seen.get(client) ?? new Set()).add(workerId));
    }
  }
  expect([...seen.values()].every((workers) => workers.size === 1)).toBe(true);
  expect(new Set([...seen.values()].flatMap((workers) => [...workers])).size).toBe(3);
  const untrusted = new Set<number>();
  for (let i = 0; i < 12; i++) {
    untrusted.add((await ask(cluster, "127.0.0.2", { "X-Forwarded-For": `198.51.100.${i}` })).workerId);
  }
  expect(untrusted.size).toBe(1);
});

test("selectWorker decides, and what it does wrong is told and has no other effect", async () => {
  const cluster = await start({ workers: 2, sticky: "@holdfast/sticky" });
  const port = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    ctx.store.warnings = [];
    const router = setupPrimary(server, {
      selectWorker({ target, remoteAddress, workers }) {
        if (remoteAddress !== "127.0.0.1" || workers.length !== 2) throw new Error("unexpected info");
        if (target === "/throw") throw new Error("thrown");
        if (target === "/wrong") return 99;
        return target === "/2" ? 2 : 1;
      },
    });
    router.on("warning", (error) => ctx.store.warnings.push((error as Error & { code: string }).code));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as import("node:net").AddressInfo).port;
  });
  const at = async (path: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
    return ((await response.json()) as number[])[0] ?? 0;
  };
  for (let i = 0; i < 3; i++) {
    expect(await at("/1")).toBe(1);
    expect(await at("/2")).toBe(2);
  }
  expect([1, 2]).toContain(await at("/throw"));
  expect([1, 2]).toContain(await at("/wrong"));
  const warnings = await cluster.primary.run((ctx) => ctx.store.warnings);
  expect(warnings).toEqual(["HOLDFAST_ERR_SELECT_WORKER", "HOLDFAST_ERR_SELECT_WORKER"]);
});

test("least-connection counts what is open of any kind, and right after restarts", async () => {
  const cluster = await start({ workers: 2 });
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 8; i++) sockets.push(await hang(cluster));
  const open = async () => (await stats(cluster)).workers.map(({ connections }) => connections);
  expect(await open()).toEqual([4, 4]);
  await cluster.worker(0).kill();
  await cluster.fork();
  await cluster.primary.run((ctx) => ctx.until(() => ctx.router.stats().workers.length === 2));
  expect(await open()).toEqual([4, 0]);
  for (const socket of sockets) socket.close();
  await cluster.primary.run((ctx) => {
    const isIdle = ({ connections }: { connections: number }) => connections === 0;
    return ctx.until(() => ctx.router.stats().workers.every(isIdle));
  });
});

test("statistics and events tell what happens", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { headTimeout: 2_000, maxHeadSize: 256 } });
  await cluster.primary.run((ctx) => {
    ctx.store.refused = [];
    ctx.router.on("refused", (refusal: object) => ctx.store.refused.push(refusal));
  });
  expect(await exchange(cluster, "\0\0\0\0")).toMatch(/^HTTP\/1.1 400 /);
  expect(await exchange(cluster, `GET /${"x".repeat(300)}`)).toMatch(/^HTTP\/1.1 431 /);
  expect(await exchange(cluster, "GET /")).toMatch(/^HTTP\/1.1 408 /);
  expect(await exchange(cluster, "")).toBe("");
  await ask(cluster);
  const { refused, workers, pending, waiting } = await stats(cluster);
  expect(refused).toMatchObject({ "bad-request": 1, "head-too-long": 1, "head-timeout": 1, silent: 1 });
  expect([pending, waiting]).toEqual([0, 0]);
  expect(workers.map(({ workerId }) => workerId)).toEqual([1, 2]);
  expect(workers.map(({ slot }) => slot).sort()).toEqual([0, 1]);
  expect(workers.reduce((sum, { handedOver }) => sum + handedOver, 0)).toBe(1);
  const told = await cluster.primary.run((ctx) => ctx.store.refused);
  expect(told).toEqual(
    ["bad-request", "head-too-long", "head-timeout", "silent"].map((reason) => ({
      reason,
      remoteAddress: "127.0.0.1",
    })),
  );
});

test("connections on their way to a worker that dies go to another one", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const victim = cluster.worker(0);
  await victim.stop();
  const asked = Array.from({ length: 20 }, () => ask(cluster));
  await cluster.primary.run(async (ctx) => {
    const handedOver = () =>
      (ctx.router.stats() as PrimaryStats).workers.reduce((sum, worker) => sum + worker.handedOver, 0);
    await ctx.until(() => handedOver() >= 20);
  });
  await victim.kill();
  const other = cluster.worker(0).workerId;
  for (const { workerId } of await Promise.all(asked)) expect(workerId).toBe(other);
});

test("a connection on its way to a worker that is killed goes elsewhere as soon as its channel has ended", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const victim = cluster.worker(0);
  await victim.stop();
  await cluster.primary.run(waitForNothingLong);
  const asked = [ask(cluster), ask(cluster)];
  await cluster.primary.run((ctx) =>
    ctx.until(() => (ctx.router.stats() as PrimaryStats).workers.every((w) => w.handedOver === 1)),
  );
  await victim.kill();
  const other = cluster.worker(0).workerId;
  for (const { workerId } of await Promise.all(asked)) expect(workerId).toBe(other);
  // Node.js would wait for it in cluster.disconnect().
  await cluster.primary.run((ctx) => ctx.until(() => Object.keys(ctx.cluster.workers ?? {}).length === 1));
});

test("a worker that takes no connections gets no others that could go elsewhere", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const stopped = cluster.worker(0);
  await stopped.stop();
  // What it got would not be taken back.
  await cluster.primary.run(waitForNothingLong);
  const stuck = [ask(cluster), ask(cluster)];
  await Promise.race(stuck);
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => (ctx.router.stats() as PrimaryStats).workers.every((w) => w.handedOver === 1));
    // Beyond the limit from which on a worker counts as stalled.
    ctx.passTime(1_100);
  });
  const served = await Promise.all(Array.from({ length: 6 }, () => ask(cluster)));
  for (const { workerId } of served) expect(workerId).not.toBe(stopped.workerId);
  await stopped.resume();
  await Promise.all(stuck);
});

test("close() gives the server back as it was, twice is once, and it can be set up again", async () => {
  const cluster = await start({ workers: 1 });
  expect((await ask(cluster)).status).toBe(200);
  await cluster.primary.run(async (ctx) => {
    await ctx.router.close();
    await ctx.router.close();
    ctx.httpServer.on("request", (_, res) => res.end("[0]"));
  });
  expect((await ask(cluster)).workerId).toBe(0);
  await cluster.primary.run(async (ctx) => {
    const { setupMaster } = await ctx.import("@holdfast/sticky");
    const router = setupMaster(ctx.httpServer);
    await new Promise<void>((done) => {
      router.once("worker:ready", () => done());
      if (router.stats().workers.length > 0) done();
    });
  });
  expect((await ask(cluster)).workerId).toBe(1);
});

test("a worker that closes hands back what was on its way", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const closing = cluster.worker(0);
  const asked = Array.from({ length: 60 }, () => ask(cluster));
  await closing.run((ctx) => ctx.sticky.close());
  for (const { status } of await Promise.all(asked)) expect(status).toBe(200);
  for (let i = 0; i < 4; i++) expect((await ask(cluster)).workerId).toBe(cluster.worker(1).workerId);
  expect(await closing.run((ctx) => ctx.sticky.close())).toBeUndefined();
});

test("a listener of the user on the primary's server sees each connection", async () => {
  const cluster = await start({ workers: 1 });
  await cluster.primary.run((ctx) => {
    ctx.store.seen = [];
    ctx.httpServer.on("connection", (socket) => ctx.store.seen.push(socket.remoteAddress));
  });
  expect((await ask(cluster)).status).toBe(200);
  expect((await ask(cluster)).status).toBe(200);
  expect(await cluster.primary.run((ctx) => ctx.store.seen)).toEqual(["127.0.0.1", "127.0.0.1"]);
});

test("misuse is told at once, with a code", async () => {
  const cluster = await start({ workers: 1 });
  const inPrimary = await cluster.primary.run(async (ctx) => {
    const sticky = await ctx.import("@holdfast/sticky");
    const https = await ctx.import("node:https");
    const attempts: (() => unknown)[] = [
      () => sticky.setupPrimary(https.createServer() as never),
      () => sticky.setupPrimary({} as never),
      () => sticky.setupPrimary(ctx.httpServer),
      () => sticky.setupPrimary(https.createServer() as never, { loadBalancingMethod: "x" as never }),
      () => sticky.setupWorker({} as never),
      () => sticky.setupWorker(undefined as never),
    ];
    return attempts.map((attempt) => {
      try {
        return attempt();
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
  });
  expect(inPrimary).toEqual([
    "HOLDFAST_ERR_TLS_SERVER",
    "HOLDFAST_ERR_INVALID_SERVER",
    "HOLDFAST_ERR_ALREADY_SET_UP",
    "HOLDFAST_ERR_TLS_SERVER",
    "HOLDFAST_ERR_NOT_ATTACHED",
    "HOLDFAST_ERR_NOT_ATTACHED",
  ]);
  const inWorker = await cluster.worker(0).run(async (ctx) => {
    const sticky = await ctx.import("@holdfast/sticky");
    const { Server } = await ctx.import("socket.io");
    const { createServer } = await ctx.import("node:http");
    const attempts: (() => unknown)[] = [
      () => sticky.setupPrimary(ctx.httpServer),
      () => sticky.setupWorker(new Server()),
      () => sticky.setupWorker(ctx.io),
      () => sticky.setupWorker(new Server(createServer())),
      () => sticky.setupWorker(new Server(createServer()), { name: "" }),
    ];
    return attempts.map((attempt) => {
      try {
        return attempt();
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
  });
  expect(inWorker).toEqual([
    "HOLDFAST_ERR_NOT_PRIMARY",
    "HOLDFAST_ERR_NOT_ATTACHED",
    "HOLDFAST_ERR_ALREADY_SET_UP",
    "HOLDFAST_ERR_ALREADY_SET_UP",
    "HOLDFAST_ERR_INVALID_OPTION",
  ]);
});

test("a worker of another version gets no connections, and that is told", async () => {
  const cluster = await start({ workers: 1 });
  const warned = cluster.primary.run(
    (ctx) =>
      new Promise((resolve) =>
        ctx.router.once("warning", (error: Error & { code: string }) => resolve([error.code, error.message])),
      ),
  );
  const fresh = await cluster.fork();
  await fresh.run(
    (ctx) => void process.send?.({ "holdfast:sticky": [16, 99, `of worker ${ctx.cluster.worker?.id}`] }),
  );
  expect(await within(warned, "warning")).toEqual([
    "HOLDFAST_ERR_VERSION_MISMATCH",
    expect.stringContaining("Install the same version for both"),
  ]);
});

test("a server on a Unix socket", async () => {
  const cluster = await start({ workers: 2 });
  const path = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupPrimary(server);
    const socketPath = `${process.env.TMPDIR}/http.sock`;
    await new Promise<void>((done) => server.listen(socketPath, done));
    return socketPath;
  });
  const seen = new Set<number>();
  for (let i = 0; i < 4; i++) {
    const { text } = await httpRequest("http://localhost", { socketPath: path });
    seen.add((JSON.parse(text) as number[])[0] ?? 0);
  }
  expect(seen.size).toBe(2);
});

test.skipIf(!hasPrlimit)(
  "what a worker without free file descriptors cannot take goes to another one",
  async () => {
    const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
    const full = cluster.worker(0);
    const descriptors = readdirSync(`/proc/${full.pid}/fd`).map(Number);
    const limit = Math.max(...descriptors) + 1;
    // Fill the gaps below the limit, so that not one is left.
    await full.run(async (ctx, count) => {
      const { openSync } = await ctx.import("node:fs");
      for (let i = 0; i < count; i++) openSync("/dev/null", "r");
    }, limit - descriptors.length);
    const asked = async () => {
      for (let i = 0; i < 6; i++) expect((await ask(cluster)).workerId).toBe(cluster.worker(1).workerId);
    };
    await withoutDescriptors(full.pid, asked, limit);
  },
);
