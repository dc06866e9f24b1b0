/** What a hub tells of itself where no handle of it is: to the workers, and by them to Prometheus. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPrlimit, Program, withoutDescriptors } from "@holdfast/harness";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, untilServers } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";
import { endHubProcesses, hubProcesses } from "./harness/hub-processes.js";

const hasPrlimit = findPrlimit() !== undefined;
/** What `npx holdfast-hub` runs. */
const HUB_PROGRAM = fileURLToPath(
  new URL("../../packages/adapter/dist/host/hub-command.js", import.meta.url),
);
/** No heap has this limit by default. */
const HEAP_MB = 123;

const directories: string[] = [];
// The last of all that comes after a test: workers that are left would start another hub.
afterEach(() => {
  for (const directory of directories.splice(0)) {
    endHubProcesses(directory);
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  }
});
const start = startsClusters({ sticky: false }, (cluster) => void directories.push(cluster.directory));
const clients = new Clients();
const programs: Program[] = [];
let path: string;

beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  directories.push(directory);
  path = join(directory, "hub.sock");
});
afterEach(async () => {
  clients.close();
  await Promise.all(programs.splice(0).map((program) => program.close()));
});

async function openHub(): Promise<Program> {
  const program = Program.node([`--max-old-space-size=${HEAP_MB}`, HUB_PROGRAM, "--path", path]);
  programs.push(program);
  await program.writes(`is open at ${path}`);
  return program;
}

const hubStats = (worker: RemoteWorker) =>
  worker.run(async (ctx) => {
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    return createAdapter(ctx.adapterOptions).hubStats();
  });

/** What a scrape of a worker gets: figures by name. */
async function scrape(worker: RemoteWorker): Promise<Record<string, number>> {
  const text = await worker.run(async (ctx) => {
    if (!ctx.store.register) {
      const { createAdapter } = await ctx.import("@holdfast/adapter");
      const { Registry } = (await ctx.import("prom-client")) as unknown as typeof import("prom-client");
      const { collectMetrics } = (await ctx.import(
        "@holdfast/cluster/metrics",
      )) as unknown as typeof import("@holdfast/cluster/metrics");
      ctx.store.register = new Registry();
      const adapter = createAdapter({ ...ctx.adapterOptions, requestsTimeout: 5_000 });
      collectMetrics({ adapter, register: ctx.store.register });
    }
    return (await ctx.store.register.metrics()) as string;
  });
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

describe.each<[where: string, ClusterConfig]>([
  ["a process that a worker has started", { hub: false }],
  ["the primary, over pipes", {}],
  ["the primary, over the IPC channel", { hubOptions: { link: "ipc" } }],
  ["the process itself", { single: true }],
])("the hub is in %s", (_where, config) => {
  test("every worker can ask it, and is told what it knows and how its process is", async () => {
    const cluster = await start(config);
    const { workers } = cluster;
    await untilServers(workers, workers.length);
    const told = await Promise.all(workers.map(hubStats));
    for (const { members, totals, namespaces, recovery, hosts, process } of told) {
      expect(members.map(({ pid }) => pid).sort()).toEqual(workers.map(({ pid }) => pid).sort());
      expect(totals).toMatchObject({ joined: workers.length, left: 0 });
      expect(totals.framesIn).toBeGreaterThan(0);
      expect([namespaces, recovery.sessions, hosts]).toEqual([1, 0, undefined]);
      expect(process.rssBytes).toBeGreaterThan(10e6);
      expect(process.heapBytes).toBeLessThan(process.heapLimitBytes);
      expect(process.utilization).toBeGreaterThanOrEqual(0);
      expect(process.utilization).toBeLessThanOrEqual(1);
    }
  });
});

test("the hub process tells of itself, not of the worker that asks", async () => {
  await openHub();
  const { a } = await start({ hub: false, adapterOptions: { hub: { path } } });
  await a.run((ctx) => ctx.io.fetchSockets());
  const { process } = await hubStats(a);
  const own = await a.run(async (ctx) => (await ctx.import("node:v8")).getHeapStatistics().heap_size_limit);
  expect(process.heapLimitBytes).toBeLessThan(own);
  expect(process.heapLimitBytes / 2 ** 20).toBeGreaterThanOrEqual(HEAP_MB);
  expect(process.heapLimitBytes / 2 ** 20).toBeLessThan(2 * HEAP_MB);
});

test.skipIf(!hasPrlimit)(
  "a hub process that has no file descriptor left tells what it knew last",
  async () => {
    const hub = await openHub();
    const { a } = await start({ hub: false, workers: 1, adapterOptions: { hub: { path } } });
    const { process: before } = await hubStats(a);
    const { process } = await withoutDescriptors(hub.pid, () => hubStats(a));
    expect(process.rssBytes).toBe(before.rssBytes);
    expect(before.rssBytes).toBeGreaterThan(0);
  },
);

test("who asks before the hub is there is answered when it is; who asks in vain is told why", async () => {
  const { a } = await start({
    workers: 1,
    hub: false,
    adapterOptions: { hub: { path }, requestsTimeout: 60_000 },
  });
  const early = hubStats(a);
  await openHub();
  expect((await early).members).toHaveLength(1);
  const code = await a.run(async (ctx) => {
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    const nobodys = createAdapter({ hub: { path: "/nowhere/hub.sock" } });
    return nobodys.hubStats().catch((error: { code: string }) => error.code);
  });
  expect(code).toBe("HOLDFAST_ERR_CLOSED");
});

test("collectMetrics() in a worker: the hub's figures and its process; 0 for up while it is away, and no failure", async () => {
  const hub = await openHub();
  const { a, b } = await start({ hub: false, adapterOptions: { hub: { path } } });
  await untilServers([a, b], 2);
  const client = await clients.connectTo(b);
  const got = client.next("hello");
  await a.run((ctx) => void ctx.io.emit("hello"));
  await got;
  const figures = await scrape(a);
  expect(figures).toMatchObject({
    holdfast_hub_up: 1,
    holdfast_hub_members: 2,
    holdfast_hub_joins_total: 2,
    holdfast_hub_delivered_packets_total: 1,
  });
  expect(figures.holdfast_hub_heap_limit_bytes).toBe((await hubStats(b)).process.heapLimitBytes);
  for (const name of [
    "resident_memory_bytes",
    "heap_bytes",
    "event_loop_delay_p50_seconds",
    "event_loop_delay_p99_seconds",
    "event_loop_utilization_ratio",
  ]) {
    expect(figures[`holdfast_hub_${name}`]).toBeGreaterThanOrEqual(0);
  }
  // The worker is no primary, and has no router.
  const names = Object.keys(figures).map((name) => name.replace(/\{.*/, ""));
  expect(names.filter((name) => !/^holdfast_(hub|recovery)_/.test(name))).toEqual([]);

  await hub.close();
  await a.run((ctx) => ctx.until(() => ctx.io.fetchSockets().then(Boolean, () => true)));
  expect(await scrape(a)).toEqual({ holdfast_hub_up: 0 });
  await openHub();
  await untilServers([a, b], 2);
  expect(await scrape(a)).toMatchObject({ holdfast_hub_up: 1, holdfast_hub_joins_total: 2 });
});

test("a hub process that stands still is down, and is up when it goes on", async () => {
  const cluster = await start({ hub: false });
  const { a, b } = cluster;
  await untilServers([a, b], 2);
  const [hub] = hubProcesses(cluster.directory);
  process.kill(hub?.pid ?? 0, "SIGSTOP");
  expect(await scrape(a)).toEqual({ holdfast_hub_up: 0 });
  process.kill(hub?.pid ?? 0, "SIGCONT");
  await untilServers([a, b], 2);
  expect(await scrape(a)).toMatchObject({ holdfast_hub_up: 1, holdfast_hub_members: 2 });
});
