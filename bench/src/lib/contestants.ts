/**
 * Who takes part, and what each name stands for. Names are the same in every bench.
 * Runs in: the bench and the processes under test.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How the processes of a contestant are to be set up; travels as JSON. */
export interface Setup {
  /** Package of the adapter, or null for Socket.IO's own (in memory). */
  readonly adapter: string | null;
  /** Package of the router; "native" for node:cluster's own, null for one process without a cluster. */
  readonly router: string | null;
  readonly serialization: "json" | "advanced";
  /** Options of the router's `setupPrimary()`; null where nobody calls it, so that the workers listen themselves. */
  readonly routerOptions: object | null;
  /** How workers that listen get at the port: by `node:cluster`'s round robin, its shared handle, or `reusePort`. */
  readonly port: "round-robin" | "shared-handle" | "reuse-port";
  /** Options of `createAdapter()`. */
  readonly adapterOptions: object;
  /** Whether the hub has a Unix socket, as a hub process has it; it stays in the primary, whose CPU time is measured. */
  readonly hubSocket: boolean;
  /** `connectionStateRecovery` of the servers. */
  readonly recovery: boolean;
  /** `collected`: `collectMetrics()` is called in the primary; `scraped`: and its figures are read once a second. */
  readonly metrics: "none" | "collected" | "scraped";
  /** What uses the Redis server: the hub's backplane, or an adapter of each worker, by one client or by two. */
  readonly redis: "none" | "backplane" | "streams" | "sharded";
  /** Where the hubs' sockets are; undefined if they have none. */
  readonly hubDirectory?: string;
  /** Port of the Redis server; undefined if there is none, and with a backplane if there is one host. */
  readonly redisPort?: number;
}

const PLAIN: Setup = {
  adapter: null,
  router: "native",
  serialization: "json",
  routerOptions: {},
  port: "round-robin",
  adapterOptions: {},
  hubSocket: false,
  recovery: false,
  metrics: "none",
  redis: "none",
};

const ADAPTER: Setup = { ...PLAIN, adapter: "@holdfast/adapter", redis: "backplane" };
const ROUTER: Setup = { ...PLAIN, router: "@holdfast/sticky" };
const STREAMS: Setup = { ...PLAIN, adapter: "@socket.io/redis-streams-adapter", redis: "streams" };

/** For adapter benches: connections, where there are any, are spread by node:cluster itself. */
const ADAPTERS: Record<string, Setup> = {
  holdfast: ADAPTER,
  "holdfast-no-interest": { ...ADAPTER, adapterOptions: { interest: false } },
  "holdfast-unix": { ...ADAPTER, hubSocket: true },
  peer: { ...PLAIN, adapter: "@socket.io/cluster-adapter" },
  "peer-advanced": { ...PLAIN, adapter: "@socket.io/cluster-adapter", serialization: "advanced" },
  "in-memory": PLAIN,
  "holdfast-twin": ADAPTER,
  "holdfast-collected": { ...ADAPTER, metrics: "collected" },
  "holdfast-scraped": { ...ADAPTER, metrics: "scraped" },
  "holdfast-recovery": { ...ADAPTER, recovery: true },
  "redis-streams": { ...STREAMS, recovery: true },
  "redis-streams-only": STREAMS,
  "redis-sharded": { ...PLAIN, adapter: "@socket.io/redis-adapter", redis: "sharded" },
};

/** Workers that listen themselves. */
const LISTENING: Setup = { ...PLAIN, router: "@holdfast/sticky", routerOptions: null };

/** For router benches: Socket.IO's own adapter throughout, so that only the way of connections differs. */
const ROUTERS: Record<string, Setup> = {
  holdfast: ROUTER,
  "holdfast-hash": {
    ...ROUTER,
    routerOptions: { loadBalancingMethod: "hash" },
  },
  "holdfast-twin": ROUTER,
  "holdfast-collected": { ...ROUTER, metrics: "collected" },
  "holdfast-scraped": { ...ROUTER, metrics: "scraped" },
  // With JSON its first chunk arrives as a plain object, and every connection is lost.
  peer: { ...PLAIN, router: "@socket.io/sticky", serialization: "advanced" },
  native: PLAIN,
  single: { ...PLAIN, router: null },
  "native-shared-handle": { ...PLAIN, port: "shared-handle" },
  "holdfast-shared-handle": { ...LISTENING, port: "shared-handle" },
  "holdfast-round-robin": LISTENING,
  "holdfast-reuse-port": { ...LISTENING, port: "reuse-port" },
};

/** @param redisPort where the Redis server of this contestant listens, if it has one */
export function adapterSetup(contestant: string, redisPort?: number): Setup {
  const setup = named(ADAPTERS, contestant);
  return {
    ...setup,
    ...(redisPort !== undefined && { redisPort }),
    ...(setup.hubSocket && { hubDirectory: hubDirectory() }),
  };
}

let madeDirectory: string | undefined;

/** Processes under test are killed, and leave their sockets behind. */
function hubDirectory(): string {
  if (madeDirectory === undefined) {
    const made = mkdtempSync(join(tmpdir(), "hf-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    madeDirectory = made;
  }
  return madeDirectory;
}

export function routerSetup(contestant: string): Setup {
  return named(ROUTERS, contestant);
}

/** Both packages together, against Socket.IO alone. */
const BOTH: Setup = { ...PLAIN, adapter: "@holdfast/adapter", router: "@holdfast/sticky" };
const MEMORY: Record<string, Setup> = {
  holdfast: BOTH,
  "holdfast-recovery": { ...BOTH, recovery: true },
  single: { ...PLAIN, router: null },
  "single-recovery": { ...PLAIN, router: null, recovery: true },
};

export function memorySetup(contestant: string): Setup {
  return named(MEMORY, contestant);
}

function named(table: Record<string, Setup>, contestant: string): Setup {
  const setup = table[contestant];
  if (!setup) throw new Error(`unknown contestant "${contestant}": ${Object.keys(table).join(", ")}`);
  return setup;
}

/** What the docs say about each name. */
export const LEGEND: readonly [name: string, meaning: string][] = [
  ["holdfast", "`@holdfast/adapter` or `@holdfast/sticky` of this repository, default options"],
  ["holdfast-no-interest", "`@holdfast/adapter` with `interest: false`: every broadcast to every worker"],
  ["holdfast-unix", "`@holdfast/adapter` over a Unix socket, the link of the hub process"],
  ["holdfast-hash", '`@holdfast/sticky` with `loadBalancingMethod: "hash"`'],
  [
    "holdfast-shared-handle",
    "`@holdfast/sticky` without a router: the workers listen on the handle that they share (`cluster.SCHED_NONE`)",
  ],
  ["holdfast-round-robin", "the same with `node:cluster`'s round robin"],
  [
    "holdfast-reuse-port",
    "the same with `reusePort` (Node.js 23.1 and later): each worker has a queue of its own",
  ],
  [
    "peer",
    '`@socket.io/cluster-adapter` 0.3.0 or `@socket.io/sticky` 2.0.1, default options (the latter works only with `serialization: "advanced"`, so it has that)',
  ],
  ["peer-advanced", 'the same adapter with `cluster.setupPrimary({ serialization: "advanced" })`'],
  ["by-hand", "workers that are replaced one by one, with the official packages"],
  ["pm2", "workers in PM2's cluster mode, replaced by `pm2 reload`"],
  ["holdfast-twin", "control: the same as `holdfast` once more; how far the two are apart is noise"],
  [
    "holdfast-collected",
    "the same with `collectMetrics()` of `@holdfast/cluster/metrics`, whose figures nobody reads",
  ],
  ["holdfast-scraped", "the same, and its figures are read once a second"],
  ["holdfast-recovery", "`@holdfast/adapter` with `connectionStateRecovery`"],
  [
    "redis-streams",
    "`@socket.io/redis-streams-adapter` 0.3.1 with `connectionStateRecovery`, and a Redis server of its own on the same machine; its CPU time counts",
  ],
  ["redis-streams-only", "the same without `connectionStateRecovery`"],
  [
    "redis-sharded",
    "`@socket.io/redis-adapter` 8.3.0, its `createShardedAdapter()` with default options, and a Redis server of its own",
  ],
  ["raw", "the physical limit: a star of stdio pipes, the primary copies raw bytes to the other workers"],
  [
    "raw-clients",
    "control: one process that writes prepared frames with `socket.write()`, one call a frame, and nothing else",
  ],
  [
    "raw-clients-joined",
    "the physical limit: the same, with the frames of a burst in one buffer and one call",
  ],
  ["in-memory", "control: Socket.IO's own adapter, nothing leaves the process"],
  ["native", "control: node:cluster's own round robin, no stickiness"],
  ["native-shared-handle", "control: node:cluster's shared handle, no stickiness"],
  ["bare-cluster", "control: as many workers of node:cluster, with nothing between them"],
  ["single", "control: one process without a cluster"],
  ["single-recovery", "the same with `connectionStateRecovery`, which Socket.IO keeps in the process"],
];

/** Whether the two packages of this repository are built far enough to take part, and a Redis server is installed. */
export async function presence(): Promise<{ adapter: boolean; sticky: boolean; redis: boolean }> {
  const has = async (specifier: string, name: string) => {
    try {
      return typeof ((await import(specifier)) as Record<string, unknown>)[name] === "function";
    } catch {
      return false;
    }
  };
  return {
    adapter: await has("@holdfast/adapter", "createAdapter"),
    sticky: await has("@holdfast/sticky", "setupPrimary"),
    redis: spawnSync("redis-server", ["--version"]).status === 0,
  };
}
