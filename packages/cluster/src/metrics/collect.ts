/**
 * `@holdfast/cluster/metrics`: the figures of a cluster in a registry of prom-client.
 * Owns: the monitor of the process, until closed; what it registers is the registry's. Runs in: primary; without one of
 * the application, workers.
 *
 * prom-client is the application's: only its registry is used here, whatever its version.
 */
import type { AdapterMaker, Primary as Hub } from "@holdfast/adapter";
import type { StickyPrimary as Router } from "@holdfast/sticky";
import { HoldfastError } from "../errors.js";
import { OwnHealth } from "../own-health.js";
import type { ClusterStatus } from "../status.js";
import { METRICS, type Metric, type Readings } from "./list.js";
import { type Line, linesOf } from "./series.js";

/** The part of prom-client's `Registry` that is used. */
export interface MetricsRegistry {
  registerMetric(metric: never): void;
  removeSingleMetric(name: string): void;
}

/** What to collect, and where to. */
export interface CollectOptions {
  /** What `setupPrimary()` of `@holdfast/adapter` returned, or the `hub` of `startCluster()`. */
  hub?: Pick<Hub, "stats">;
  /** What `setupPrimary()` of `@holdfast/sticky` returned, or the `router` of `startCluster()`. */
  router?: Pick<Router, "stats">;
  /** What `startCluster()` resolved with, for figures of the workers' processes; it brings `hub` and `router` along. */
  cluster?: {
    readonly hub: Pick<Hub, "stats">;
    readonly router: Pick<Router, "stats">;
    status(): ClusterStatus;
  };
  /**
   * What `createAdapter()` of `@holdfast/adapter` returned, where no handle of the hub is: in a worker whose hub is a
   * process of its own, or in an application of one process. Instead of `hub` and `cluster`.
   */
  adapter?: Pick<AdapterMaker, "hubStats">;
  /** A registry of prom-client, such as its `register`. */
  register: MetricsRegistry;
}

/** What `collectMetrics()` returns. */
export interface CollectedMetrics {
  /** The names that were registered. */
  readonly names: readonly string[];
  /** Takes them out of the registry. Calling it again changes nothing. */
  close(): void;
}

/**
 * Puts the figures of a cluster into a registry of prom-client. They are read when the registry is asked, and cost
 * nothing otherwise. Call it in the primary, with `hub`, `router` or `cluster`: what is missing has no figures then, and
 * the process has its own. Without a primary of yours, call it in a worker, with `adapter`.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function collectMetrics(options: CollectOptions): CollectedMetrics {
  check(options);
  const { register, cluster, adapter } = options;
  const hub = cluster?.hub ?? options.hub;
  const router = cluster?.router ?? options.router;
  const isPrimary = Boolean(hub ?? router);
  let health: OwnHealth | undefined;
  /** A cluster has its own. It costs nothing before somebody reads. */
  const own = () => {
    health ??= new OwnHealth();
    return health.sample;
  };
  const read = shared(async () => {
    const status = cluster?.status();
    const primary = isPrimary ? (status?.sample ?? own()) : undefined;
    const here = { router: router?.stats(), cluster: status, primary };
    // A hub that does not answer is a figure as well.
    return { hub: hub ? hub.stats() : await adapter?.hubStats().catch(() => undefined), ...here };
  });
  const has = {
    hub: Boolean(hub ?? adapter),
    router: router !== undefined,
    cluster: cluster !== undefined,
    primary: isPrimary,
  };
  const wanted = METRICS.filter(({ source }) => has[source]);
  const names: string[] = [];
  const close = () => {
    health?.close();
    for (const name of names.splice(0)) register.removeSingleMetric(name);
  };
  try {
    for (const metric of wanted) {
      // The registry keeps anything that has a name and says what it is now.
      register.registerMetric(new CollectedMetric(metric, read) as never);
      names.push(metric.name);
    }
  } catch (error) {
    // It has a metric of one of these names.
    close();
    throw error;
  }
  return { names, close };
}

/** @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` */
function check(options: CollectOptions | undefined): void {
  const { register, cluster, hub, router, adapter } = options ?? ({} as Partial<CollectOptions>);
  if (typeof register?.registerMetric !== "function" || typeof register.removeSingleMetric !== "function") {
    throw invalid('The option "register" of collectMetrics() must be a registry of prom-client.');
  }
  if (!hub && !router && !cluster && !adapter) {
    throw invalid("collectMetrics() needs a hub, a router, a cluster or an adapter to collect from.");
  }
  for (const [name, source] of Object.entries({ hub, router })) {
    if (source && typeof source.stats !== "function") {
      throw invalid(`The option "${name}" of collectMetrics() must be what setupPrimary() has returned.`);
    }
  }
  if (cluster && (typeof cluster.status !== "function" || !cluster.hub || !cluster.router)) {
    throw invalid('The option "cluster" of collectMetrics() must be what startCluster() has resolved with.');
  }
  if (!adapter) return;
  if (typeof adapter.hubStats !== "function") {
    throw invalid('The option "adapter" of collectMetrics() must be what createAdapter() has returned.');
  }
  if (hub || cluster) {
    throw invalid(
      'The options "adapter" and "hub" of collectMetrics() are two ways to one hub. Give one of them.',
    );
  }
}

/** What a registry wants to hear of a metric. */
interface Collected {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly (Omit<Line, "metricName"> & Partial<Line>)[];
}

class CollectedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator = "sum";
  readonly #metric: Metric;
  readonly #read: () => Promise<Readings>;

  constructor(metric: Metric, read: () => Promise<Readings>) {
    this.name = metric.name;
    this.help = metric.help;
    this.type = metric.type;
    this.#metric = metric;
    this.#read = read;
  }

  async get(): Promise<Collected> {
    const { name, help, type, aggregator } = this;
    const lines = linesOf(this.#metric, await this.#read());
    // What has no name of its own has the metric's, which OpenMetrics wants otherwise.
    const values = type === "histogram" ? lines : lines.map(({ labels, value }) => ({ labels, value }));
    return { name, help, type, aggregator, values };
  }

  /** The registry's `resetMetrics()`: what is counted elsewhere is not reset here. */
  reset(): void {}
}

/** All metrics of one scrape are of one moment, which is read once. */
function shared(read: () => Promise<Readings>): () => Promise<Readings> {
  let current: Promise<Readings> | undefined;
  return () => {
    if (!current) {
      current = read();
      const over = () => {
        current = undefined;
      };
      current.then(
        () => setImmediate(over),
        () => setImmediate(over),
      );
    }
    return current;
  };
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", message);
}
