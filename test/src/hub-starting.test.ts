/** A hub that waits for its backplane: who wants to join it waits as well, and nobody is told that there is none. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findRedisServer, Program, RawSocket, RedisServer } from "@holdfast/harness";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../packages/adapter/dist/wire/frame.js";
import { MESSAGE_KEY } from "../../packages/adapter/dist/wire/handshake.js";
import { encodeSocketMessage } from "../../packages/adapter/dist/wire/socket-handshake.js";
import { startsClusters } from "./harness/after-each.js";
import { type RemoteWorker, untilServers } from "./harness/cluster.js";
import { HUB_PROGRAM, hubProcesses, untilFound } from "./harness/hub-processes.js";
import { openAnew } from "./harness/open-anew.js";
import { keepTold, told, untilTold } from "./harness/told.js";

type Adapter = typeof import("@holdfast/adapter");
type Streams = typeof import("@holdfast/adapter/redis-streams");

const hasRedis = findRedisServer() !== undefined;
/** Nobody is there. */
const NOWHERE = "redis://127.0.0.1:1";

const start = startsClusters({ sticky: false, hub: false, setUpWorker: keepTold });

describe.skipIf(!hasRedis)("while Redis does not answer", () => {
  let redis: RedisServer;
  let directory: string;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "hf-"));
    redis = await RedisServer.start();
    redis.stop();
  });
  afterEach(async () => {
    redis.resume();
    await redis.close();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  });

  const patient = (app: string) => ({ url: redis.url, app, timeout: 60_000 });

  test("its workers wait, over any link, also when its process is replaced meanwhile", async () => {
    const clusters = await Promise.all([
      start({ hub: true, hubOptions: { link: "pipe" }, backplane: patient("pipe") }),
      start({ hub: true, hubOptions: { link: "ipc" }, backplane: patient("ipc") }),
      start({ workerBackplane: patient("unix") }),
    ]);
    const place = clusters[2].directory;
    await untilFound("a hub process", () => hubProcesses(place).length > 0);
    // Longer than a worker waits for a word, and than a hub waits for the words of a worker.
    await sleep(11_000);
    for (const { pid } of hubProcesses(place)) process.kill(pid, "SIGKILL");
    redis.resume();
    for (const { workers } of clusters) {
      await untilServers(workers, 2);
      expect(await Promise.all(workers.map(told))).toEqual([[], []]);
    }
  });

  test("a primary that stands still meanwhile is told as such", async () => {
    const { a, primary } = await start({ hub: true, workers: 1, backplane: patient("stops") });
    await a.run(
      (_, key) =>
        new Promise<void>((resolve) => {
          process.on("message", (word: Record<string, unknown>) => {
            if (word[key] === "starting") resolve();
          });
        }),
      MESSAGE_KEY,
    );
    await primary.stop();
    const first = await untilTold(a);
    await primary.resume();
    expect(first).toMatchObject([
      { code: "HOLDFAST_ERR_NO_HUB", message: expect.stringContaining("Its hub was starting") },
    ]);
    redis.resume();
    await untilServers([a], 1);
  });

  test("who closes its last server is no member afterwards, and its next server is one over pipes", async () => {
    const { a, primary } = await start({ hub: true, workers: 1, backplane: patient("closes") });
    await primary.run((ctx) => {
      ctx.cluster.on("message", (_, word) => {
        ctx.store.hasClosed ||= word === "closed";
      });
    });
    await a.run(async (ctx) => {
      await ctx.io.close();
      process.send?.("closed");
    });
    // What it said before has been read as well.
    await primary.run((ctx) => ctx.until(() => ctx.store.hasClosed));
    redis.resume();
    await primary.run((ctx) => ctx.until(() => ctx.hub.stats().hosts.state === "joined"));
    const links = () =>
      primary.run((ctx) => ctx.hub.stats().members.map(({ link }: { link: string }) => link));
    expect(await links()).toEqual([]);
    await a.run(openAnew, {});
    await primary.run((ctx) => ctx.until(() => ctx.hub.stats().members.length === 1));
    expect(await links()).toEqual(["pipe"]);
    expect(await told(a)).toEqual([]);
  });

  test("a process of another version does not end it under those who wait for it", async () => {
    const path = join(directory, "hub.sock");
    const args = [
      "--path",
      path,
      "--exit-when-idle",
      "60000",
      "--app",
      "foreign",
      "--redis-timeout",
      "60000",
    ];
    const env = { ...process.env, HOLDFAST_REDIS_URL: redis.url };
    const hub = Program.node([HUB_PROGRAM, ...args], { env });
    try {
      await hub.until("its place", () => hub.output.includes("is open at"));
      const spoken = { protocol: PROTOCOL_VERSION, version: "0.1.0", token: "0".repeat(32) };
      const toHub = await RawSocket.open(path);
      const identity = { workerId: 1, pid: process.pid, processMark: "" };
      toHub.write(encodeSocketMessage({ [MESSAGE_KEY]: "join", ...spoken, ...identity }));
      const fromHub = await RawSocket.open(path);
      fromHub.write(encodeSocketMessage({ [MESSAGE_KEY]: "listen", ...spoken }));
      await fromHub.until("starting");
      const foreign = await RawSocket.open(path);
      const other = { ...spoken, protocol: PROTOCOL_VERSION + 1 };
      foreign.write(encodeSocketMessage({ [MESSAGE_KEY]: "listen", ...other }));
      expect(await foreign.whole()).toContain("refusal");
      redis.resume();
      await fromHub.until("welcome");
      for (const socket of [toHub, fromHub]) socket.close();
    } finally {
      await hub.close();
    }
  });
});

test("what nobody was there to hear is told to the first member: Redis cannot be reached", async () => {
  const { a } = await start({ workers: 1, workerBackplane: { url: NOWHERE, app: "nowhere", timeout: 500 } });
  expect(await untilTold(a)).toMatchObject([{ code: "HOLDFAST_ERR_BACKPLANE_DOWN" }]);
});

test("a server in the process of a hub that is closed before it was ready goes on with its own", async () => {
  const { workers } = await start({ single: true });
  const [a] = workers as [RemoteWorker];
  await untilServers([a], 1);
  const found = await a.run(async (ctx, url) => {
    const { setupPrimary } = (await ctx.import("@holdfast/adapter")) as Adapter;
    const { redisStreams } = (await ctx.import("@holdfast/adapter/redis-streams")) as Streams;
    const hub = setupPrimary({ backplane: redisStreams({ url, app: "closed", timeout: 60_000 }) });
    const sockets = ctx.io.timeout(20_000).fetchSockets();
    await hub.close();
    return (await sockets).length;
  }, NOWHERE);
  expect(found).toBe(0);
  expect((await told(a)).map(({ code }) => code)).toEqual([]);
});

test.each(["pipe", "ipc"])(
  "servers that are closed before they are welcomed leave nothing, and the last one joins, over %s",
  async (link) => {
    const { a, primary } = await start({ hub: true, workers: 1, hubOptions: { link } });
    await untilServers([a], 1);
    await a.run((ctx) => void ctx.io.of("/").adapter.close());
    await primary.run(async (ctx) => {
      await ctx.until(() => ctx.hub.stats().members.length === 0);
      ctx.store.joins = 0;
      ctx.hub.on("join", () => ctx.store.joins++);
    });
    for (let round = 1; round <= 20; round++) {
      await a.run(async (ctx, pauses) => {
        const { Server } = await ctx.import("socket.io");
        const { createAdapter } = (await ctx.import("@holdfast/adapter")) as Adapter;
        const open = () => new Server({ adapter: createAdapter() as never });
        const first = open();
        // From one turn to about as long as the welcome takes.
        for (let i = 0; i < pauses; i++) await new Promise(setImmediate);
        first.of("/").adapter.close();
        const last = open();
        const asked = await last.serverSideEmitWithAck("question");
        if (asked.length > 0) throw new Error(`${asked.length} answers`);
        last.of("/").adapter.close();
      }, round % 5);
      await primary.run((ctx) => ctx.until(() => ctx.hub.stats().members.length === 0));
    }
    // A link that is lost without end joins without end.
    expect(await primary.run((ctx) => ctx.store.joins)).toBeLessThanOrEqual(40);
  },
);

test("a listener of the hub that throws keeps no worker from joining, leaving and coming back", async () => {
  const { workers, primary } = await start({ hub: true, workers: 2 });
  const [a] = workers as [RemoteWorker];
  await untilServers(workers, 2);
  await primary.run(async (ctx, url) => {
    const { setupPrimary } = (await ctx.import("@holdfast/adapter")) as Adapter;
    const { redisStreams } = (await ctx.import("@holdfast/adapter/redis-streams")) as Streams;
    ctx.store.thrown = [];
    process.on("uncaughtException", ({ message }) => ctx.store.thrown.push(message));
    await ctx.hub.close();
    const backplane = redisStreams({ url, app: "throws", timeout: 500 });
    ctx.store.hub = setupPrimary({ backplane, journalBytes: 2 ** 20 });
    for (const event of ["join", "leave", "journalFull"]) {
      ctx.store.hub.on(event, () => {
        throw new Error(event);
      });
    }
  }, NOWHERE);
  const untilThrown = (expected: string[]) =>
    primary.run((ctx, all) => ctx.until(() => ctx.store.thrown.join() === all), expected.join());
  await untilThrown(["join", "join"]);
  await untilServers(workers, 2);
  await a.run((ctx) => void ctx.io.of("/").adapter.close());
  await untilThrown(["join", "join", "leave"]);
  await a.run(openAnew, { connectionStateRecovery: {} });
  await untilThrown(["join", "join", "leave", "join"]);
  await untilServers(workers, 2);
  await a.run(async (ctx) => {
    for (let i = 0; i < 3_000; i++) ctx.io.to(`nobody ${i}`).emit("x", "x".repeat(1_000));
    // The hub has taken them.
    await ctx.io.of("/").adapter.serverCount();
  });
  await untilThrown(["join", "join", "leave", "join", "journalFull"]);
  await untilServers(workers, 2);
});

test("a hub that its own listener closes leaves who was just joining without one, and that is said", async () => {
  const cluster = await start({ hub: true, workers: 1, hubOptions: { link: "ipc" } });
  await untilServers(cluster.workers, 1);
  await cluster.primary.run((ctx) => void ctx.hub.once("join", () => void ctx.hub.close()));
  const fresh = await cluster.fork();
  expect(await fresh.run((ctx) => ctx.io.fetchSockets().catch(({ code }) => code))).toBe(
    "HOLDFAST_ERR_NO_HUB",
  );
});

test("a hub that its own listener closes takes in nobody who comes back", async () => {
  const { workers, primary } = await start({ hub: true, workers: 1, hubOptions: { link: "ipc" } });
  const [a] = workers as [RemoteWorker];
  await untilServers([a], 1);
  await primary.run((ctx) => {
    ctx.store.events = [];
    for (const event of ["join", "leave"]) ctx.hub.on(event, () => ctx.store.events.push(event));
    ctx.hub.once("leave", () => void ctx.hub.close());
  });
  // As after a stall, when the hub reads it before the end of the earlier link.
  await a.run(
    (_, key, protocol) => {
      process.send?.({ [key]: "hello", protocol, version: "0", probe: new Uint8Array(1), attempt: 9 });
    },
    MESSAGE_KEY,
    PROTOCOL_VERSION,
  );
  await primary.run((ctx) => ctx.until(() => ctx.store.events.length > 0));
  expect(await primary.run((ctx) => [ctx.store.events, ctx.hub.stats().members])).toEqual([["leave"], []]);
});

test("a server in the process of a hub that its own listener closes goes on with its own", async () => {
  const { workers } = await start({ single: true });
  const [a] = workers as [RemoteWorker];
  await untilServers([a], 1);
  const found = await a.run(async (ctx) => {
    const { setupPrimary } = (await ctx.import("@holdfast/adapter")) as Adapter;
    const hub = setupPrimary();
    const closed = new Promise((resolve) => hub.once("join", () => resolve(hub.close())));
    await closed;
    return (await ctx.io.timeout(5_000).fetchSockets()).length;
  });
  expect(found).toBe(0);
  expect((await told(a)).map(({ code }) => code)).toEqual([]);
});

test("a worker that is invited while it asks is told once that the hub lacks its backplane", async () => {
  const cluster = await start({ workers: 0, workerBackplane: { url: NOWHERE, app: "lacks", timeout: 500 } });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = (await ctx.import("@holdfast/adapter")) as Adapter;
    // It says that it has a hub, and stands still until the worker has asked.
    process.env.HOLDFAST_HUB = String(process.pid);
    ctx.fork();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    ctx.store.hub = setupPrimary();
    await ctx.until(() => ctx.store.hub.stats().members.length === 1);
  });
  const [a] = await cluster.until("the worker", () => cluster.workers.length === 1 && cluster.workers);
  const worker = a as RemoteWorker;
  await untilServers([worker], 1);
  expect((await told(worker)).map(({ code }) => code)).toEqual(["HOLDFAST_ERR_INVALID_OPTION"]);
});

test("what it has to load first, it loads before it can be found", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  const path = join(directory, "hub.sock");
  const found = join(directory, "found");
  // As it is installed, but for a package that says whether there was a hub while it was loaded.
  const packages = join(directory, "node_modules");
  const own = join(dirname(HUB_PROGRAM), "../../node_modules");
  cpSync(dirname(HUB_PROGRAM), join(packages, "hub"), { recursive: true });
  writeFileSync(join(packages, "hub", "package.json"), JSON.stringify({ type: "module" }));
  for (const name of readdirSync(own))
    if (name !== "redis") symlinkSync(join(own, name), join(packages, name));
  mkdirSync(join(packages, "redis"));
  writeFileSync(
    join(packages, "redis", "index.js"),
    `const { existsSync, writeFileSync } = require("node:fs");
     writeFileSync(${JSON.stringify(found)}, String(existsSync(${JSON.stringify(path)})));
     module.exports = require(${JSON.stringify(join(own, "redis"))});`,
  );
  const hub = Program.node([join(packages, "hub", basename(HUB_PROGRAM)), "--path", path, "--app", "loads"], {
    env: { HOLDFAST_REDIS_URL: NOWHERE },
  });
  try {
    await hub.writes(`is open at ${path}`);
    expect(readFileSync(found, "utf8")).toBe("false");
  } finally {
    await hub.close();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  }
});
