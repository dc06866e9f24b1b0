/**
 * `@holdfast/cluster/metrics`: the figures of a cluster in a registry of prom-client.
 * Owns: the monitor of the process, until closed; what it registers is the registry's. Runs in: primary.
 *
 * prom-client is the application's: only its registry is used here, whatever its version.
 */
import type { Primary as Hub } from "@holdfast/adapter";
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
 * Puts the figures of a cluster into a registry of prom-client, with those of this process. They are read when the
 * registry is asked, and cost nothing otherwise. Call it in the primary; `hub`, `router` or `cluster` may be missing, and
 * so are their figures then.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function collectMetrics(options: CollectOptions): CollectedMetrics {
  const { register } = options;
  if (typeof register?.registerMetric !== "function" || typeof register.removeSingleMetric !== "function") {
    throw invalid('The option "register" of collectMetrics() must be a registry of prom-client.');
  }
  const hub = options.cluster?.hub ?? options.hub;
  const router = options.cluster?.router ?? options.router;
  if (!hub && !router) throw invalid("collectMetrics() needs a hub, a router or a cluster to collect from.");
  for (const [name, source] of Object.entries({ hub, router })) {
    if (source && typeof source.stats !== "function") {
      throw invalid(`The option "${name}" of collectMetrics() must be what setupPrimary() has returned.`);
    }
  }
  const { cluster } = options;
  let health: OwnHealth | undefined;
  /** A cluster has its own. It costs nothing before somebody reads. */
  const own = () => {
    health ??= new OwnHealth();
    return health.sample;
  };
  const read = shared(() => {
    const status = cluster?.status();
    const primary = status?.sample ?? own();
    return { hub: hub?.stats(), router: router?.stats(), cluster: status, primary };
  });
  const has = {
    hub: hub !== undefined,
    router: router !== undefined,
    cluster: cluster !== undefined,
    primary: true,
  };
  const wanted = METRICS.filter(({ source }) => has[source]);
  // The registry keeps anything that has a name and says what it is now.
  for (const metric of wanted) register.registerMetric(new CollectedMetric(metric, read) as never);
  const names = wanted.map(({ name }) => name);
  return {
    names,
    close: () => {
      health?.close();
      for (const name of names.splice(0)) register.removeSingleMetric(name);
    },
  };
}

class CollectedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator = "sum";
  readonly #metric: Metric;
  readonly #read: () => Readings;

  constructor(metric: Metric, read: () => Readings) {
    this.name = metric.name;
    this.help = metric.help;
    this.type = metric.type;
    this.#metric = metric;
    this.#read = read;
  }

  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: Line[] }> {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: linesOf(this.#metric, this.#read()) };
  }

  /** The registry's `resetMetrics()`: what is counted elsewhere is not reset here. */
  reset(): void {}
}

/** All metrics of one scrape are of one moment, which is read once. */
function shared(read: () => Readings): () => Readings {
  let current: Readings | undefined;
  return () => {
    if (!current) {
      current = read();
      setImmediate(() => {
        current = undefined;
      });
    }
    return current;
  };
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", message);
}
