/** Workers whose parent has no hub: they meet in a hub process that one of them starts. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { findPrlimit, withoutDescriptors } from "@holdfast/harness";
import { afterEach, describe, expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type TestCluster, untilServers } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";
import { hubProcesses, rendezvousFiles, untilFound } from "./harness/hub-processes.js";
import { openAnew } from "./harness/open-anew.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const hasPrlimit = findPrlimit() !== undefined;
const open = startsClusters({ sticky: false, hub: false, setUpWorker: keepErrors });
const clients = new Clients();
const recovering = new RecoveringClients();

afterEach(async () => {
  clients.close();
  await recovering.close();
});

/** What `onError` has by default: warnings of the process. */
function keepErrors({ store }: WorkerContext): void {
  store.errors = [];
  process.on("warning", (warning) => {
    const { code } = warning as { code?: string };
    store.errors.push([code, warning.message]);
  });
}

async function start(config: Parameters<typeof open>[0] = {}): Promise<TestCluster> {
  const cluster = await open(config);
  await cluster.untilJoined();
  return cluster;
}

const errorsOf = (cluster: TestCluster) =>
  Promise.all(cluster.workers.map((worker) => worker.run((ctx) => ctx.store.errors as [string, string][])));

/** Two workers may start one at the same time: the second one finds the place taken, and ends. */
async function hubOf({ directory }: TestCluster) {
  await expect.poll(() => hubProcesses(directory)).toHaveLength(1);
  return hubProcesses(directory)[0] as ReturnType<typeof hubProcesses>[number];
}

test("all workers meet in one, whoever comes first; nobody is warned", async () => {
  const cluster = await start({ workers: 4 });
  const { a, d } = cluster;
  const [here, there] = [await clients.connectTo(a), await clients.connectTo(d)];
  const got = [here.next("hello"), there.next("hello")];
  await a.run((ctx) => void ctx.io.emit("hello", 1));
  expect(await Promise.all(got)).toEqual([[1], [1]]);
  const ids = await d.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id));
  expect(ids.sort()).toEqual([here.id, there.id].sort());
  await hubOf(cluster);
  expect(await errorsOf(cluster)).toEqual([[], [], [], []]);
  expect(cluster.output).toBe("");
});

test("of the environment it gets what it needs, and nothing else", async () => {
  const cluster = await start({
    env: { NODE_EXTRA_CA_CERTS: "no/authority.pem", SECRET: "of the application" },
  });
  const { pid } = await hubOf(cluster);
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  expect(environment).toContain(`NODE_EXTRA_CA_CERTS=${resolve("no/authority.pem")}`);
  expect(environment.join()).not.toContain("SECRET");
});

test("files that the environment names are seen from where the workers were started", async () => {
  const cluster = await start({ env: { NODE_EXTRA_CA_CERTS: "no/authority.pem" } });
  for (const worker of cluster.workers) await worker.run(() => process.chdir("/"));
  const first = await hubOf(cluster);
  process.kill(first.pid, "SIGKILL");
  await cluster.untilJoined();
  await expect.poll(() => hubProcesses(cluster.directory).some(({ pid }) => pid !== first.pid)).toBe(true);
  const { pid } = await hubOf(cluster);
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  expect(environment).toContain(`NODE_EXTRA_CA_CERTS=${resolve("no/authority.pem")}`);
});

test.skipIf(!hasPrlimit)(
  "a worker that has no file descriptors left for another one goes on, and starts it when it has",
  async () => {
    const cluster = await start({ workers: 1 });
    const { a } = cluster;
    const hub = await hubOf(cluster);
    // What the worker opens first is the lowest number that is free.
    const free = await a.run(async (ctx) => {
      const { openSync } = await ctx.import("node:fs");
      ctx.store.opened = openSync("/dev/null", "r");
      return ctx.store.opened as number;
    });
    const starts = async () => {
      process.kill(hub.pid, "SIGKILL");
      await a.run((ctx) =>
        ctx.until(() => (ctx.store.errors as string[][]).some(([, text]) => text?.includes("EMFILE"))),
      );
    };
    await withoutDescriptors(a.pid, starts, free + 1);
    await cluster.untilJoined();
    expect((await hubOf(cluster)).pid).not.toBe(hub.pid);
  },
);

test("it is in a session of its own, and no descendant of the application", async () => {
  const cluster = await start();
  const { parent, session } = await hubOf(cluster);
  const own = [cluster.primary.pid, ...cluster.workers.map(({ pid }) => pid)];
  expect(own).not.toContain(parent);
  expect(own).not.toContain(session);
});

test("it outlives every worker, and ends by itself some time after the last, with its files", async () => {
  const cluster = await start();
  const { pid } = await hubOf(cluster);
  const first = cluster.workers;
  const fresh = [await cluster.fork(), await cluster.fork()];
  await untilServers(fresh, 4);
  for (const worker of first) await worker.kill();
  await untilServers(fresh, 2);
  expect((await hubOf(cluster)).pid).toBe(pid);
  for (const worker of fresh) await worker.kill();
  await untilFound("end of the hub process", () => hubProcesses(cluster.directory).length === 0);
  expect(rendezvousFiles(cluster.directory)).toEqual([]);
});

test("when it is killed, a new one takes its place: told once, requests end, clients get new sessions", async () => {
  const cluster = await start({
    workers: 3,
    io: { connectionStateRecovery: {} },
    adapterOptions: { requestsTimeout: 1_000_000 },
  });
  const { a, b, c } = cluster;
  const { pid } = await hubOf(cluster);
  const client = await recovering.connect(a.url);
  await b.run((ctx) => void ctx.io.emit("n", 1));
  await client.has("n", 1);
  await c.stop();
  const asked = a.run((ctx) => ctx.io.fetchSockets()).catch((error) => error.code);
  // Behind the question on the same link.
  await a.run((ctx) => ctx.io.in("nowhere").fetchSockets());
  process.kill(pid, "SIGKILL");
  expect(await asked).toBe("HOLDFAST_ERR_LINK_LOST");
  await c.resume();
  await untilFound("a new hub process", () => hubProcesses(cluster.directory).some((hub) => hub.pid !== pid));
  await untilServers(cluster.workers, 3);
  // What is sent from now on arrives, and whoever comes back begins anew: the journal is gone.
  const { id } = client;
  const back = client.connected();
  client.goesTo(b.url);
  client.leave(b.url);
  const again = await back;
  expect(again.recovered).toBe(false);
  expect(again.id).not.toBe(id);
  await c.run((ctx) => void ctx.io.emit("n", 2));
  await client.has("n", 2);
  for (const worker of cluster.workers) {
    await worker.run((ctx) => ctx.until(() => ctx.store.errors.length > 0));
  }
  const told = await errorsOf(cluster);
  expect(told.map((errors) => errors.map(([code]) => code))).toEqual(
    Array(3).fill(["HOLDFAST_ERR_LINK_LOST"]),
  );
});

test("a hub that the parent opens late invites the workers, and wins", async () => {
  const cluster = await start();
  const { a, b } = cluster;
  const client = await clients.connectTo(a);
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/adapter");
    ctx.store.hub = setupPrimary();
    await ctx.until(() => ctx.store.hub.stats().members.length === 2);
  });
  await untilServers([a, b], 2);
  const got = client.next("late");
  await b.run((ctx) => void ctx.io.emit("late"));
  await got;
  await untilFound("end of the hub process", () => hubProcesses(cluster.directory).length === 0);
  expect(await errorsOf(cluster)).toEqual([[], []]);
});

test("who has no server open when the parent opens a hub joins that with its next one", async () => {
  const cluster = await start();
  const { a, b, primary } = cluster;
  await b.run((ctx) => void ctx.io.of("/").adapter.close());
  await untilServers([a], 1);
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/adapter");
    ctx.store.hub = setupPrimary();
    await ctx.until(() => ctx.store.hub.stats().members.length === 1);
  });
  await b.run(openAnew);
  await untilServers([a, b], 2);
  expect(await errorsOf(cluster)).toEqual([[], []]);
});

test("who has closed its channel to the parent joins the hub process with its next server, too", async () => {
  const cluster = await start();
  const { a, b } = cluster;
  await b.run(
    (ctx) =>
      new Promise<void>((resolve) => {
        process.once("disconnect", resolve);
        ctx.cluster.worker?.disconnect();
      }),
  );
  await b.run((ctx) => void ctx.io.of("/").adapter.close());
  await untilServers([a], 1);
  await b.run(openAnew);
  await untilServers([a, b], 2);
  expect(await errorsOf(cluster)).toEqual([[], []]);
});

test("who closes its channel to the parent while it asks there joins the hub process at once", async () => {
  const cluster = await start();
  const { a, b } = cluster;
  await b.run((ctx) => void ctx.io.of("/").adapter.close());
  await untilServers([a], 1);
  await b.run(openAnew);
  await b.run((ctx) => void ctx.cluster.worker?.disconnect());
  await untilServers([a, b], 2);
  expect(await errorsOf(cluster)).toEqual([[], []]);
});

test("what the parent was asked before a server was closed is not an answer to the next one", async () => {
  const cluster = await open({ hub: true, workers: 1 });
  const { a, primary } = cluster;
  // It cannot know that its parent has a hub, asks, and goes elsewhere; the parent answers when it goes on.
  await primary.run((ctx) => void ctx.cluster.fork({ HOLDFAST_HUB: "" }));
  await primary.stop();
  const fresh = await cluster.until("the new worker", () => cluster.workers.find(({ pid }) => pid !== a.pid));
  await untilServers([fresh], 1);
  await fresh.run((ctx) => void ctx.io.of("/").adapter.close());
  await fresh.run(openAnew);
  await primary.resume();
  await untilServers([a, fresh], 2);
  // A lost link is told after a moment.
  await fresh.run(() => new Promise((done) => setTimeout(done, 200)));
  expect(await errorsOf(cluster)).toEqual([[], []]);
});

test("a parent that has a hub and is busy is waited for", async () => {
  const cluster = await open({ hub: true, workers: 1 });
  const known = cluster.workers.map(({ pid }) => pid);
  // It forks, and stands still until the new worker has long asked.
  await cluster.primary.run((ctx) => ctx.fork());
  await cluster.primary.stop();
  const fresh = await cluster.until("the new worker", () =>
    cluster.workers.find(({ pid }) => !known.includes(pid)),
  );
  await fresh.run(() => new Promise((done) => setTimeout(done, 500)));
  await cluster.primary.resume();
  await untilServers(cluster.workers, 2);
  expect(rendezvousFiles(cluster.directory)).toEqual([]);
});

test("applications with other parents are apart, although they run the same files in one place", async () => {
  const [one, two] = [await start(), await start()];
  const shared = { TMPDIR: one.directory };
  const [three, four] = [await start({ env: shared }), await start({ env: shared })];
  await expect.poll(() => hubProcesses(one.directory)).toHaveLength(3);
  const [mine, theirs] = [await clients.connectTo(three.a), await clients.connectTo(four.a)];
  const got = mine.next("hello");
  await three.b.run((ctx) => void ctx.io.emit("hello"));
  await got;
  const fence = theirs.next("fence");
  await four.b.run((ctx) => void ctx.io.emit("fence"));
  await fence;
  expect(theirs.received("hello")).toEqual([]);
  await hubOf(two);
});

describe("a worker", () => {
  test("whose servers are closed leaves the hub process, and ends by itself", async () => {
    const cluster = await start();
    const { a, b } = cluster;
    await b.run((ctx) => {
      void ctx.io.close().then(() => {
        ctx.cluster.worker?.disconnect();
        ctx.release();
      });
    });
    await b.gone;
    await untilServers([a], 1);
  });
});
