/** Engine.IO's own options and the life of workers: all goes on as without a cluster. */

import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type HttpAnswer, httpRequest, runProgram, within } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { io as connectClient, type Socket } from "socket.io-client";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { type ClientOptions, Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters({ workers: 3, adapter: false });
const clients = closedAfterEach(new Clients());

async function client(url: string, options: ClientOptions = {}): Promise<Socket> {
  return (await clients.connect(url, { transports: ["polling", "websocket"], ...options })).socket;
}

function send(cluster: TestCluster, path: string, agent: Agent | false, body?: string): Promise<HttpAnswer> {
  return httpRequest(cluster.url + path, { agent, method: body === undefined ? "GET" : "POST" }, body);
}

const sidOf = ({ text }: HttpAnswer): string =>
  (JSON.parse(text.slice(text.indexOf("{"))) as { sid: string }).sid;

test("a user's own generateId, sync or not, set before or after, stays in effect", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const kinds = ["sync", "async", "fails"];
  await Promise.all(
    cluster.workers.map((worker, i) =>
      worker.run((ctx, kind) => {
        let count = 0;
        const make = () => `mine/${++count}?&é`;
        const { engine } = ctx.io;
        if (kind === "sync") engine.generateId = make;
        if (kind === "async") engine.generateId = () => Promise.resolve(make());
        if (kind === "fails") engine.generateId = () => Promise.reject(new Error("no id"));
        ctx.io.on("connection", (socket) => socket.on("who", (answer) => answer(ctx.cluster.worker?.id)));
      }, kinds[i] as string),
    ),
  );
  let connected = 0;
  for (let i = 0; i < 6; i++) {
    try {
      const socket = await client(cluster.url);
      const { id } = socket.io.engine;
      expect(id).toMatch(/^[\w-]{10}mine\/\d+\?&é$/);
      const workerId = await within(new Promise((done) => socket.emit("who", done)), "answer");
      const index = cluster.workers.findIndex((worker) => worker.workerId === workerId);
      expect(["sync", "async"]).toContain(kinds[index]);
      connected++;
    } catch (error) {
      expect((error as Error).message).toBe("xhr poll error");
    }
  }
  expect(connected).toBe(4);
});

test("listeners of a worker's server and process that throw keep nothing from it", async () => {
  const cluster = await start({ workers: 1 });
  const worker = cluster.worker(0);
  await worker.run(async (ctx) => {
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    ctx.store.thrown = [];
    process.on("uncaughtException", ({ message }) => ctx.store.thrown.push(message));
    await ctx.sticky.close();
    process.on("message", () => {
      throw new Error("message");
    });
    ctx.httpServer.on("connection", () => {
      throw new Error("connection");
    });
    setupWorker(ctx.io);
  });
  const socket = await client(cluster.url);
  expect(socket.connected).toBe(true);
  const thrown = await worker.run((ctx) => ctx.store.thrown);
  expect(new Set(thrown)).toEqual(new Set(["message", "connection"]));
});

test("several Socket.IO servers with different paths in one worker, strays included", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  await Promise.all(
    cluster.workers.map((worker) =>
      worker.run(async (ctx) => {
        const { Server } = await ctx.import("socket.io");
        const { setupWorker } = await ctx.import("@holdfast/sticky");
        const io = new Server(ctx.httpServer, { path: "/other/" });
        setupWorker(io);
        io.on("connection", (socket) =>
          socket.on("who", (answer) => answer("other", ctx.cluster.worker?.id)),
        );
        ctx.io.on("connection", (socket) =>
          socket.on("who", (answer) => answer("main", ctx.cluster.worker?.id)),
        );
      }),
    ),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const [path, name] of [
    ["/socket.io/", "main"],
    ["/other/", "other"],
  ] as const) {
    for (let i = 0; i < 3; i++) {
      const url = `${path}?EIO=4&transport=polling`;
      const sid = sidOf(await send(cluster, url, false));
      expect((await send(cluster, `${url}&sid=${sid}`, agent, "40")).text).toBe("ok");
      expect((await send(cluster, `${url}&sid=${sid}`, agent)).text).toMatch(/^40/);
      expect((await send(cluster, `${url}&sid=${sid}`, agent, '420["who"]')).text).toBe("ok");
      expect((await send(cluster, `${url}&sid=${sid}`, agent)).text).toMatch(
        new RegExp(`^430\\["${name}",\\d\\]$`),
      );
    }
    const socket = await client(cluster.url, { path, transports: ["websocket"] });
    expect(await within(new Promise((done) => socket.emit("who", done)), "answer")).toBe(name);
  }
  agent.destroy();
});

test("cors, cookie, allowRequest, perMessageDeflate and Engine.IO 3 clients", async () => {
  const cluster = await start({
    stickyOptions: { loadBalancingMethod: "round-robin" },
    io: {
      allowEIO3: true,
      cookie: { name: "own" },
      perMessageDeflate: { threshold: 1 },
      cors: { origin: "https://a.example" },
    },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) {
    const path = "/socket.io/?EIO=3&transport=polling";
    const opened = await send(cluster, path, false);
    const sid = sidOf(opened);
    expect(opened.headers["set-cookie"]?.[0]).toMatch(`own=${sid}`);
    expect(opened.headers["access-control-allow-origin"]).toBe("https://a.example");
    // Engine.IO 3: packets with their length, connected to "/" at once.
    const answer = await send(cluster, `${path}&sid=${sid}`, agent, "1:2");
    expect(answer.text).toBe("ok");
  }
  agent.destroy();
  const socket = await client(cluster.url, {
    transports: ["websocket"],
    perMessageDeflate: { threshold: 1 },
  });
  expect(socket.io.engine.transport.name).toBe("websocket");
});

test("a worker that is disconnected from the primary keeps its sessions, and gets no new ones", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const path = "/socket.io/?EIO=4&transport=polling";
  const sid = sidOf(await send(cluster, path, false));
  const gone = cluster.primary.run(
    (ctx) =>
      new Promise((resolve) => {
        ctx.router.once("worker:gone", (worker: { workerId: number }) => resolve(worker.workerId));
        // As recluster does when it reloads: the process lives on as long as it has clients.
        ctx.cluster.workers?.[1]?.disconnect();
      }),
  );
  expect(await within(gone, "end of the worker's IPC")).toBe(1);
  for (let i = 0; i < 3; i++) {
    expect((await send(cluster, `${path}&sid=${sid}`, false, "40")).text).toBe("ok");
    expect((await send(cluster, `${path}&sid=${sid}`, false)).text).toMatch(/^40\{"sid"/);
    expect((await send(cluster, `${path}&sid=${sid}`, false, "41")).text).toBe("ok");
  }
  // The primary cannot move a connection there, so the upgrade is relayed.
  const socket = new WebSocket(`${cluster.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
  await within(once(socket, "open"), "WebSocket");
  socket.send("2probe");
  expect(String((await within(once(socket, "message"), "probe"))[0])).toBe("3probe");
  socket.terminate();
  const fresh = new Set<string>();
  for (let i = 0; i < 4; i++) fresh.add(sidOf(await send(cluster, path, false)).slice(6, 10));
  expect([...fresh].sort()).toEqual(["AAAC", "AAAD"]);
});

test("a worker that has closed keeps its sessions reachable, until its server is closed", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const path = "/socket.io/?EIO=4&transport=polling";
  const sid = sidOf(await send(cluster, path, false));
  const index = cluster.workers.findIndex(({ workerId }) => workerId === 1);
  await cluster.worker(index).run((ctx) => ctx.sticky.close());
  expect((await send(cluster, `${path}&sid=${sid}`, false, "40")).text).toBe("ok");
  expect((await send(cluster, `${path}&sid=${sid}`, false)).text).toMatch(/^40\{"sid"/);
  await cluster.worker(index).run((ctx) => ctx.io.close());
  expect((await send(cluster, `${path}&sid=${sid}`, false)).status).toBe(400);
  // Set up anew, it takes connections again and marks their sessions.
  await cluster.worker(index).run(async (ctx) => {
    const { Server } = await ctx.import("socket.io");
    const { createServer } = await ctx.import("node:http");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    setupWorker(new Server(createServer()));
  });
  const owners = new Set<string>();
  const sids: string[] = [];
  for (let i = 0; i < 6; i++) sids.push(sidOf(await send(cluster, path, false)));
  for (const each of sids) {
    owners.add(each.slice(6, 10));
    expect((await send(cluster, `${path}&sid=${each}`, false, "40")).text).toBe("ok");
  }
  expect([...owners].sort()).toEqual(["AAAB", "AAAC", "AAAD"]);
});

test("idle connections of a worker's server can be closed, though it never listens", async () => {
  const cluster = await start({ workers: 1 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const closed = new Promise<void>((resolve) => {
    agent.on("free", (socket) => socket.once("close", () => resolve()));
  });
  await send(cluster, "/socket.io/?EIO=4&transport=polling", agent);
  await cluster.worker(0).run((ctx) => ctx.httpServer.closeIdleConnections());
  await within(closed, "end of the idle connection");
  agent.destroy();
});

test("a reload with more workers side by side keeps every address at its slot", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "hash" } });
  for (let i = 0; i < 2; i++) await cluster.fork();
  const slots = (): Promise<number[]> =>
    cluster.primary.run((ctx) => (ctx.router.stats() as PrimaryStats).workers.map(({ slot }) => slot));
  expect((await slots()).sort()).toEqual([0, 1, 2, 3]);
  await cluster.primary.run(
    (ctx) =>
      new Promise<void>((resolve) => {
        let left = 2;
        ctx.router.on("worker:gone", () => --left === 0 && resolve());
        for (const id of [1, 2]) ctx.cluster.workers?.[id]?.disconnect();
      }),
  );
  expect((await slots()).sort()).toEqual([0, 1]);
});

for (const adapter of ["@socket.io/cluster-adapter"] as const) {
  test(`beside ${adapter} on the same IPC channel`, async () => {
    const cluster = await start({ adapter });
    const sockets = await Promise.all(
      Array.from({ length: 9 }, (_, i) =>
        client(cluster.url, { transports: [i % 2 ? "websocket" : "polling"] }),
      ),
    );
    const received = Promise.all(sockets.map((socket) => once(socket as never, "hello")));
    await cluster.worker(0).run((ctx) => void ctx.io.emit("hello", 1));
    await within(received, "broadcast");
  });
}

test("clients that come and go while workers are killed and replaced", { timeout: 120_000 }, async () => {
  const cluster = await start({ stickyOptions: { workerTimeout: 20_000 } });
  let connected = 0;
  const visit = async (transports: string[]): Promise<void> => {
    const socket = connectClient(cluster.url, {
      forceNew: true,
      transports,
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
    });
    try {
      await within(once(socket as never, "connect"), "connection");
      connected++;
    } finally {
      socket.disconnect();
    }
  };
  const visits = Array.from({ length: 8 }, async (_, i) => {
    for (let round = 0; round < 15; round++) await visit(i % 2 ? ["websocket"] : ["polling", "websocket"]);
  });
  for (let i = 0; i < 3; i++) {
    await cluster.worker(0).kill();
    await cluster.fork();
  }
  await Promise.all(visits);
  expect(connected).toBe(120);
});

test("require() from CommonJS, without a warning", async () => {
  const directory = fileURLToPath(new URL("..", import.meta.url));
  const script =
    'const s = require("@holdfast/sticky"); const h = require("http").createServer(); ' +
    "const p = s.setupMaster(h, { loadBalancingMethod: 'random' }); " +
    "console.log(s.setupPrimary === s.setupMaster, typeof s.setupWorker, p.stats().pending); p.close();";
  const { stdout, stderr } = await runProgram(process.execPath, ["-e", script], { cwd: directory });
  expect([stdout.trim(), stderr]).toEqual(["true function 0", ""]);
});

test("what is closed ends by itself and leaves nothing behind", async () => {
  const home = mkdtempSync(join(tmpdir(), "hf-"));
  const script = fileURLToPath(new URL("../dist/fixtures/ends.js", import.meta.url));
  const result = await runProgram(process.execPath, [script], { env: { TMPDIR: home } });
  expect(result).toEqual({ code: 0, signal: null, stdout: "worker ended with 0\n", stderr: "" });
  expect(readdirSync(home)).toEqual([]);
  rmSync(home, { recursive: true });
});

test("a primary that is killed leaves no sockets behind", async () => {
  const cluster = await start({ workers: 2 });
  await send(cluster, "/socket.io/?EIO=4&transport=polling", false);
  expect(readdirSync(cluster.directory)).toHaveLength(1);
  const ended = cluster.workers.map((worker) => worker.gone);
  await cluster.primary.kill();
  await within(Promise.all(ended), "end of the workers");
  expect(readdirSync(cluster.directory)).toEqual([]);
});
