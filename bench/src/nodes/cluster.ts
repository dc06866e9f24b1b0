/**
 * A Socket.IO cluster as its users write it, with the adapter and the router of the contestant.
 * Program: runs as the primary and, forked, as each worker (or as the one process of "single").
 */
import cluster from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { CollectOptions } from "@holdfast/cluster/metrics";
import { Agent, readConfig } from "@holdfast/harness";
import { Server } from "socket.io";
import { innerModule } from "../lib/inner-module.js";
import { connectRedis, redisUrl } from "../lib/redis.js";
import { USAGE_COMMANDS } from "../lib/usage.js";
import type { NodeConfig, Scenario } from "./config.js";

/** The functions that the contestants have in common. */
interface ContestantModule {
  /** What needs no part in the primary has none. */
  setupPrimary?(...args: unknown[]): unknown;
  setupWorker(io: Server): unknown;
  createAdapter(...args: unknown[]): Parameters<Server["adapter"]>[0];
  /** Instead of that, where there are two clients. */
  createShardedAdapter?(...args: unknown[]): Parameters<Server["adapter"]>[0];
}

/** More often than monitoring asks. */
const SCRAPE_MS = 1_000;
/** Longer than any run: no ping falls into a measured window. */
const PING_INTERVAL_MS = 2_000_000_000;

const config = readConfig<NodeConfig>();
const { setup } = config;
const load = async (specifier: string) => (await import(specifier)) as ContestantModule;
const adapter = setup.adapter ? await load(setup.adapter) : undefined;
/** Whether the primary takes the connections and passes them on. */
const isRouted = setup.router !== null && setup.router !== "native" && setup.routerOptions !== null;
const router = setup.router && setup.router !== "native" ? await load(setup.router) : undefined;

/** Of the primary's hub, where that has a socket. */
const hubPath =
  setup.hubDirectory && join(setup.hubDirectory, `${cluster.isPrimary ? process.pid : process.ppid}.sock`);

const agent = new Agent();
/** A load generator that takes long between two requests finds its connections where they were. */
const httpServer = createServer({ keepAliveTimeout: 0 });
const port = () => (httpServer.address() as AddressInfo | null)?.port ?? 0;

if (setup.router && cluster.isPrimary) {
  // Before the first worker: later it has no effect.
  if (setup.port === "shared-handle") cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ serialization: setup.serialization });
  const hub = hubPath ? await openHub(hubPath) : await setUpHub();
  let routing: unknown;
  if (isRouted) {
    routing = router?.setupPrimary?.(httpServer, setup.routerOptions);
    httpServer.listen(0, "127.0.0.1");
    await once(httpServer, "listening");
  }
  if (setup.metrics !== "none") await collect(setup.metrics, hub, routing);
  // What a cluster with a dead worker does is not what is measured, mostly.
  if (!config.survives) cluster.on("exit", () => process.exit(1));
  for (let i = 0; i < config.workers; i++) cluster.fork();
  agent.ready(
    { role: "primary", workerId: 0, port: port() },
    { ...USAGE_COMMANDS, stats: () => statsOf(hub) },
  );
} else {
  const { start } = (await import(`../scenarios/${config.scenario}.js`)) as Scenario;
  const io = new Server(httpServer, {
    pingInterval: PING_INTERVAL_MS,
    serveClient: false,
    ...(setup.recovery && { connectionStateRecovery: {} }),
  });
  const adapterOptions = { ...setup.adapterOptions, ...(hubPath && { hub: { path: hubPath } }) };
  if (adapter) {
    const create = adapter.createShardedAdapter ?? adapter.createAdapter;
    io.adapter(create(...(await redisClients()), adapterOptions));
  }
  router?.setupWorker(io);
  const id = cluster.worker?.id ?? 1;
  const index = (config.among?.before ?? 0) + id;
  const commands = await start({ io, httpServer, agent, index, config });
  if (config.listen !== "none" && !isRouted) {
    const reusePort = setup.port === "reuse-port";
    const options = { host: "127.0.0.1", exclusive: config.listen === "own", backlog: 4096, reusePort };
    httpServer.listen({ ...options, port: config.port ?? 0 });
    await once(httpServer, "listening");
  }
  agent.ready({ role: "worker", workerId: id, port: port() }, { ...USAGE_COMMANDS, ...commands });
}

async function setUpHub(): Promise<unknown> {
  const { redis, redisPort } = setup;
  if (redis !== "backplane" || redisPort === undefined) return adapter?.setupPrimary?.();
  const { redisStreams } = await import("@holdfast/adapter/redis-streams");
  return adapter?.setupPrimary?.({ backplane: redisStreams({ url: redisUrl(redisPort), app: "bench" }) });
}

async function redisClients(): Promise<unknown[]> {
  const { redis, redisPort } = setup;
  if (redis === "backplane" || redisPort === undefined) return [];
  const connect = () => connectRedis(redisPort);
  return redis === "sharded" ? [await connect(), await connect()] : [await connect()];
}

/** What the hub process opens, here. */
async function openHub(path: string): Promise<unknown> {
  const { HubProcess } =
    await innerModule<typeof import("../../../packages/adapter/dist/host/hub-process.js")>(
      "host/hub-process.js",
    );
  const { resolvePrimaryOptions } =
    await innerModule<typeof import("../../../packages/adapter/dist/options.js")>("options.js");
  const options = { ...resolvePrimaryOptions(), path, ownsDirectory: false, idleMs: 0 };
  return (await HubProcess.open(options)).handle;
}

/** Figures as users collect them, of what there is. */
async function collect(how: "collected" | "scraped", hub: unknown, routing: unknown): Promise<void> {
  const [{ collectMetrics }, { Registry }] = await Promise.all([
    import("@holdfast/cluster/metrics"),
    import("prom-client"),
  ]);
  const register = new Registry();
  // The modules are loaded by name, so what their setupPrimary() returns has no type here.
  collectMetrics({ hub, router: routing, register } as CollectOptions);
  if (how === "scraped") setInterval(() => void register.metrics(), SCRAPE_MS);
}

function statsOf(hub: unknown): unknown {
  const { stats } = (hub ?? {}) as { stats?: () => unknown };
  return typeof stats === "function" ? stats.call(hub) : undefined;
}
