/** A reload under traffic of real clients; and one that goes wrong. */

import { once } from "node:events";
import { Agent } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import type { ReloadProgress, WorkerExit } from "@holdfast/cluster";
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsSupervised } from "./harness/after-each.js";
import { signalWhenLanded } from "./harness/landed.js";
import { RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";
import { fallSilent, numbers, ROOM, speak, talk, untilUpgraded } from "./harness/speaking.js";
import type { Supervised } from "./harness/supervised.js";

const { start, home } = startsSupervised();
const clients = closedAfterEach(new RecoveringClients());

const KINDS = [["websocket"], ["polling"], ["polling", "websocket"]];

/** Clients of every kind, each in two namespaces, in a room of both. */
async function connectAll(cluster: Supervised, count: number, kinds = KINDS): Promise<RecoveringClient[]> {
  const all: RecoveringClient[] = [];
  for (let number = 0; number < count; number++) {
    const transports = kinds[number % kinds.length] as string[];
    const client = await clients.connect(cluster.url, { transports });
    const { io: manager } = client.socket;
    const news = clients.add(new RecoveringClient(cluster.url, {}, "/news", manager));
    if (!news.socket.connected) await news.connected();
    if (transports.length > 1) await untilUpgraded(client);
    for (const each of [client, news]) await each.socket.emitWithAck("join", ROOM);
    all.push(client, news);
  }
  return all;
}

test("with clients of every kind and traffic both ways nobody misses or hears twice anything, or is disconnected", async () => {
  const cluster = await start({ options: { drainTimeout: 6_000 }, how: { version: 1 } });
  const all = await connectAll(cluster, 12);
  const old = cluster.pids;
  const failures: string[] = [];
  for (const { socket } of all) socket.io.on("error", (error) => failures.push(error.message));
  cluster.home.start({ version: 2 });
  let isOver = false;
  const talks = all.map((client) => talk(client, () => isOver));

  await speak(cluster);
  const result = await cluster.reload();
  const said = await fallSilent(cluster);
  isOver = true;
  const counts = await Promise.all(talks);

  expect(result).toMatchObject({ workers: 2, moved: 12, closed: 0, killed: 0 });
  expect(failures).toEqual([]);
  expect(said).toBeGreaterThan(10);
  await Promise.all(all.map((client) => client.has("said", said - 1)));
  const everything = numbers(said);
  for (const client of all) {
    expect(client.of("said")).toEqual(everything);
    expect(client.connects).toHaveLength(1);
  }
  all.forEach((client, i) => {
    expect(client.of("echoed")).toEqual(numbers(counts[i] ?? 0, 1));
  });
  expect(cluster.pids.filter((pid) => old.includes(pid))).toEqual([]);
  const served = await Promise.all([0, 1, 2, 3].map(() => httpRequest(cluster.url)));
  expect(served.map(({ text }) => text.split(" ")[0])).toEqual(["2", "2", "2", "2"]);
});

test("scale() and rebalance() move sessions, and disconnect nobody", async () => {
  const cluster = await start();
  const all = await connectAll(cluster, 12, [["websocket"]]);
  await speak(cluster);
  expect(await cluster.scale(1)).toEqual({ before: 2, after: 1, moved: 6, closed: 0, killed: 0 });
  expect(await cluster.scale(3)).toEqual({ before: 1, after: 3, moved: 8, closed: 0, killed: 0 });
  const balance = await cluster.primary.run(async (ctx) => (await ctx.cluster()).rebalance());
  expect(balance).toEqual({ moved: 0, connections: [4, 4, 4], reason: expect.stringContaining("share") });
  // Those of one worker go to all others.
  expect(await cluster.scale(2)).toMatchObject({ moved: 4, closed: 0 });
  const { slots } = await cluster.status();
  expect(slots.map(({ connections }) => connections)).toEqual([6, 6]);

  const said = await fallSilent(cluster);
  await Promise.all(all.map((client) => client.has("said", said - 1)));
  const everything = numbers(said);
  for (const client of all) expect(client.of("said")).toEqual(everything);
  expect(all.map(({ connects }) => connects.length)).toEqual(all.map(() => 1));
});

test("scale() waits for moves that the application has ordered, and disconnects nobody", async () => {
  const cluster = await start();
  const all = await connectAll(cluster, 12, [["websocket"]]);
  const { slots } = await cluster.status();
  const last = cluster.workers.find(({ pid }) => pid === slots[1]?.pid);
  // What moves there does not arrive.
  await last?.stop();
  const [moved, scaled] = await cluster.primary.run(async (ctx) => {
    const handle = await ctx.cluster();
    const { workers } = (await ctx.import("node:cluster")) as { workers: Record<number, { id: number }> };
    const [from, to] = handle.status().slots.map(({ workerId }) => workers[workerId as number]);
    if (!from || !to) throw new Error("a worker is missing");
    const moving = handle.router.moveSessions(from, to, { count: 2 });
    const scaling = handle.scale(1);
    await new Promise((resolve) => setImmediate(resolve));
    process.kill(handle.status().slots[1]?.pid ?? 0, "SIGCONT");
    return [await moving, await scaling];
  });
  expect(moved).toMatchObject({ outcome: "done", moved: 2 });
  expect(scaled).toEqual({ before: 2, after: 1, moved: 8, closed: 0, killed: 0 });
  expect(all.map(({ connects }) => connects.length)).toEqual(all.map(() => 1));
});

test.each([
  ["dies", "SIGKILL", "ended with SIGKILL"],
  ["hangs", "SIGSTOP", "took no sessions"],
] as const)(
  "a successor that %s while sessions move to it leaves its predecessor in place",
  async (_, signal, why) => {
    // Nobody else is to be started meanwhile, however soon that would be.
    const cluster = await start({ options: { workers: 1, restartDelay: 1 } });
    const all = await connectAll(cluster, 12, [["websocket"]]);
    const { pids } = cluster;
    await speak(cluster);
    cluster.home.start({ signalAtMoves: signal });
    await cluster.primary.run(async (ctx) => {
      const store = globalThis as unknown as { starts: number };
      store.starts = 0;
      (await ctx.cluster()).on("worker:start", () => store.starts++);
    });
    const error = await cluster.reload().catch((reason) => reason);
    expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
    expect(error.message).toContain(`The new worker for slot 0 ${why}`);
    const said = await fallSilent(cluster);
    await Promise.all(all.map((client) => client.has("said", said - 1)));
    const everything = numbers(said);
    for (const client of all) {
      expect(client.of("said")).toEqual(everything);
      // Those that were on their way came back once.
      expect(client.connects.length).toBeLessThanOrEqual(2);
      expect(client.connects[1]?.recovered).not.toBe(false);
    }
    expect(await cluster.primary.run(() => (globalThis as unknown as { starts: number }).starts)).toBe(1);
    expect(cluster.pids).toEqual(pids);
    const { slots } = await cluster.status();
    expect(slots).toMatchObject([{ state: "ready", pid: pids[0], connections: 12 }]);
    cluster.home.start({});
    expect(await cluster.reload()).toMatchObject({ workers: 1, moved: 12, closed: 0 });
  },
);

test("a successor that crashes soon after it has joined is told as crashed, and its predecessor stays", async () => {
  const cluster = await start({ options: { workers: 1 } });
  const old = cluster.worker(0);
  cluster.home.start({ rejects: "a broken version" });
  const told = cluster.primary.next<WorkerExit>("worker:exit");
  // It would have nothing to move, and could be done before the crash is heard of.
  await old.stop();
  const error = await cluster.reload().catch((reason) => reason);
  await old.resume();
  expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
  expect(error.message).toContain('The new worker for slot 0 ended with exit code 1, saying "');
  expect(await told).toMatchObject({ reason: "crash", code: 1, signal: null });
  expect(cluster.pids).toEqual([old.pid]);
  expect((await httpRequest(cluster.url)).text).toBe(`0 ${old.pid}`);
});

test("a successor that crashes while its predecessor ends, ends the reload", async () => {
  const own = home();
  const path = join(own.directory, "gate");
  const gate = createServer().listen(path);
  own.start({ stopsAt: path });
  const cluster = await start({ home: own, options: { restartDelay: 60_000, minUptime: 60_000 } });
  const { pids } = cluster;
  const { slots: before } = await cluster.status();
  own.start({});
  const stopping = once(gate, "connection");
  const told = cluster.primary.next<WorkerExit>("worker:exit");
  const reloaded = cluster.reload().catch((reason) => reason);
  const [held] = await stopping;
  const successor = await cluster.until("the successor", () =>
    cluster.workers.find(({ pid }) => !pids.includes(pid)),
  );
  await successor.run(() => {
    setImmediate(() => Promise.reject(new Error("a broken version")));
  });
  expect(await told).toMatchObject({ slot: 0, reason: "crash", code: 1, pid: successor.pid });
  held.destroy();
  gate.on("connection", (socket) => void socket.destroy());
  const error = await reloaded;
  expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
  expect(error.message).toContain('The new worker for slot 0 ended with exit code 1, saying "');
  const { slots } = await cluster.status();
  expect(slots).toMatchObject([{ state: "waiting" }, { state: "ready", pid: before[1]?.pid }]);
  gate.close();
});

test("who was cut off by the death of the old worker counts as closed, and nobody else does", async () => {
  const cluster = await start({ options: { workers: 1 } });
  const all = await connectAll(cluster, 12, [["websocket"]]);
  // Connections of no session.
  const idle = Array.from({ length: 3 }, () => new Agent({ keepAlive: true }));
  await Promise.all(idle.map((agent) => httpRequest(`${cluster.url}/`, { agent })));
  await signalWhenLanded(cluster, { pid: cluster.pids[0] as number }, "SIGKILL", 3);
  const { moved, closed } = await cluster.reload();
  expect(moved).toBeLessThan(12);
  expect(moved + closed).toBe(12);
  await expect.poll(() => all.filter(({ connects }) => connects.length === 2).length).toBe(2 * closed);
  for (const agent of idle) agent.destroy();
});

test("a listener of the application that throws leaves a reload as it is", async () => {
  const cluster = await start({ options: { workers: 1, restartDelay: 1 } });
  await connectAll(cluster, 2, [["websocket"]]);
  await cluster.primary.run(async (ctx) => {
    const store = globalThis as unknown as { faults: string[] };
    store.faults = [];
    process.on("uncaughtException", ({ message }) => store.faults.push(message));
    (await ctx.cluster()).once("reload:progress", () => {
      throw new Error("a fault of the application");
    });
  });
  expect(await cluster.reload()).toMatchObject({ workers: 1, moved: 2, closed: 0 });
  const faults = await cluster.primary.run(() => (globalThis as unknown as { faults: string[] }).faults);
  expect(faults).toEqual(["a fault of the application"]);
  const begun = cluster.primary.next("worker:start");
  process.kill(cluster.pids[0] as number, "SIGKILL");
  await begun;
});

test("an HTTP request that has begun is finished", async () => {
  const cluster = await start();
  for (const worker of cluster.workers) {
    await worker.run((ctx) => {
      ctx.httpServer.removeAllListeners("request");
      ctx.httpServer.on("request", (_, response) => {
        response.write("begun ");
        ctx.emit("asked");
        process.once("message", function look(message) {
          if (JSON.stringify(message).includes("holdfast:cluster"))
            setTimeout(() => response.end("finished"), 300);
          else process.once("message", look);
        });
      });
    });
  }
  const asked = Promise.race(cluster.workers.map((worker) => worker.next("asked")));
  const answer = httpRequest(cluster.url);
  await asked;
  const reloaded = cluster.reload();
  expect((await answer).text).toBe("begun finished");
  expect(await reloaded).toMatchObject({ workers: 2, killed: 0 });
});

test("tells how far it is", async () => {
  const cluster = await start();
  const steps: string[] = [];
  cluster.primary.on("reload:progress", ({ slot, step, workersDone }: ReloadProgress) => {
    const now = `${slot} ${step} ${workersDone}`;
    // How far the moves are is told again and again.
    if (steps.at(-1) !== now) steps.push(now);
  });
  const done = cluster.primary.next("reload:done");
  await cluster.reload();
  await done;
  expect(steps).toEqual([
    "0 starting 0",
    "0 moving 0",
    "0 draining 0",
    "0 done 1",
    "1 starting 1",
    "1 moving 1",
    "1 draining 1",
    "1 done 2",
  ]);
});

test.each([
  ["throws at start", { throws: "a broken version" }, {}, 'ended with exit code 1, saying "'],
  // The old ones have to be ready in time.
  ["never gets ready", { joins: false }, { readyTimeout: 10_000 }, "was not ready in time"],
])("a successor that %s leaves its predecessor and all others in place", async (_, how, options, why) => {
  const cluster = await start({ options });
  const client = await clients.connect(cluster.url);
  const { pids } = cluster;
  cluster.home.start(how);
  const failed = cluster.primary.next<{ code: string }>("reload:failed");
  const error = await cluster.reload().catch((reason) => reason);
  expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
  expect(error.message).toContain("The new worker for slot 0 ");
  expect(error.message).toContain(why);
  expect(await failed).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
  await client.socket.emitWithAck("join", ROOM);
  expect(client.connects.length).toBe(1);
  const { slots } = await cluster.status();
  expect(slots.map(({ pid }) => pid).sort()).toEqual(pids);
});

test("a worker that does not end in time is killed, and the result says so", async () => {
  const cluster = await start({ options: { workers: 1, drainTimeout: 500 } });
  const told = cluster.primary.next<WorkerExit>("worker:exit");
  const stopped = cluster.worker(0);
  await stopped.stop();
  expect(await cluster.reload()).toMatchObject({ workers: 1, killed: 1 });
  expect(await told).toMatchObject({ pid: stopped.pid, reason: "overdue", signal: "SIGKILL" });
});

test("a worker that is killed while its successor starts is replaced by that", async () => {
  const cluster = await start({ options: { workers: 1, restartDelay: 60_000, minUptime: 60_000 } });
  const { pid } = cluster.worker(0);
  const begun = cluster.primary.next("worker:start");
  const reloaded = cluster.reload();
  await begun;
  process.kill(pid, "SIGKILL");
  expect(await reloaded).toMatchObject({ workers: 1 });
  const { slots } = await cluster.status();
  expect(slots).toMatchObject([{ state: "ready", crashes: 0 }]);
});
