/**
 * One contestant on two hosts, which are two clusters with one Redis server between them, under broadcasts from a
 * worker of the first. The CPU time of Redis counts as that of a process. Shared by the benches of many hosts.
 * Runs in: the bench.
 */
import type { RemoteProgram } from "@holdfast/harness";
import type { Case, Measure, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import type { Lab } from "../lib/lab.js";
import { RedisServer } from "../lib/redis.js";
import { ascending, quantile } from "../lib/stats.js";
import type { NodeConfig } from "../nodes/config.js";
import type { BroadcastOptions } from "../scenarios/broadcast.js";
import type { Pace } from "../scenarios/emitter.js";
import { BroadcastMeter, type Parties, WARM_UP_MS, type Work } from "./broadcast-session.js";

export interface HostsWork {
  readonly workersPerHost: number;
  readonly options: BroadcastOptions;
  readonly pace: Pace;
}

const HOSTS = 2;
export const WORKERS_PER_HOST = 4;

/** As fast as the loop allows. */
export const QUICK: Pace = { ms: 1000, burst: 64, window: 2048, rate: 0 };

export const HOSTS_MEASURES: readonly Measure[] = [
  {
    key: "cluster",
    title: "CPU of all processes per broadcast, Redis among them",
    unit: "µs",
    better: "lower",
  },
  { key: "redis", title: "CPU of Redis per broadcast", unit: "µs", better: "lower" },
  { key: "primary", title: "CPU of the primaries per broadcast", unit: "µs", better: "lower" },
  { key: "emitter", title: "CPU of the emitter per broadcast", unit: "µs", better: "lower" },
  { key: "receiver", title: "CPU of a receiver per delivery", unit: "µs", better: "lower" },
  { key: "rate", title: "deliveries per second", unit: "/s", better: "higher" },
];

/** What they have in common. */
export const HOSTS_METHOD: readonly string[] = [
  "Two hosts of 4 workers each, on one machine, with a Redis server that keeps nothing on disk. Members are sockets without a network, as in the first bench.",
  "`holdfast` joins the hosts with `redisStreams()`; with the other adapters, each worker is a client of Redis.",
  "The CPU time of Redis, as it tells itself, is added to that of the processes of both hosts.",
  "Every receiver checks that each number comes once and in order.",
];

export async function openHosts(lab: Lab, contestant: string, hosts: HostsWork): Promise<Session> {
  const redis = await RedisServer.start();
  const programs: RemoteProgram[] = [];
  const close = async () => {
    await Promise.all(programs.map((program) => program.close()));
    await redis.close();
  };
  try {
    // One after the other: each has a deadline, and the machine is busy enough with one.
    for (let place = 0; place < HOSTS; place++) {
      programs.push(await startHost(lab, contestant, hosts, place, redis.port));
    }
    const session = await HostsSession.open(programs, redis, hosts);
    return { sample: () => session.sample(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One case of two hosts of four workers. */
export function hostsCase(item: Omit<Case, "open">, options: BroadcastOptions, pace: Pace): Case {
  const work = { workersPerHost: WORKERS_PER_HOST, options, pace };
  return { ...item, open: (lab, contestant) => openHosts(lab, contestant, work) };
}

function startHost(
  lab: Lab,
  contestant: string,
  { workersPerHost, options }: HostsWork,
  place: number,
  redisPort: number,
): Promise<RemoteProgram> {
  const config: NodeConfig = {
    setup: adapterSetup(contestant, redisPort),
    workers: workersPerHost,
    scenario: "broadcast",
    listen: "none",
    among: { workers: HOSTS * workersPerHost, before: place * workersPerHost },
    options,
  };
  return lab.start("nodes/cluster", config, workersPerHost + 1);
}

class HostsSession {
  readonly #redis: RedisServer;
  readonly #meter: BroadcastMeter;
  /** Those on the other host. */
  readonly #timed: Parties["workers"];

  private constructor(redis: RedisServer, meter: BroadcastMeter, timed: Parties["workers"]) {
    this.#redis = redis;
    this.#meter = meter;
    this.#timed = timed;
  }

  static async open(programs: RemoteProgram[], redis: RedisServer, hosts: HostsWork): Promise<HostsSession> {
    const { options, pace, workersPerHost } = hosts;
    const everybody = programs.flatMap(({ workers }) => workers);
    await Promise.all(everybody.map((worker) => worker.call("untilServers", everybody.length)));
    const listening = programs.map(({ workers }) => workers.slice(0, options.listeners));
    const parties: Parties = {
      processes: programs.flatMap(({ processes }) => processes),
      primaries: programs.flatMap(({ primary }) => primary ?? []),
      workers: listening.flat(),
    };
    const warmUp = { ...QUICK, ms: WARM_UP_MS };
    const work: Work = { workers: HOSTS * workersPerHost, options, pace, warmUp };
    const meter = new BroadcastMeter(parties, work);
    await meter.warmUp();
    return new HostsSession(redis, meter, options.timed ? listening.slice(1).flat() : []);
  }

  async sample(): Promise<Sample> {
    await this.#delays();
    const before = await this.#redis.cpu();
    const { values, failures } = await this.#meter.sample();
    const { emitted = 0, cluster = 0 } = values;
    const redis = ((await this.#redis.cpu()) - before) / emitted;
    const delays = ascending(await this.#delays());
    return {
      failures,
      values: {
        ...values,
        redis,
        cluster: cluster + redis,
        perCpu: 1e6 / (cluster + redis),
        p50: quantile(delays, 0.5) / 1000,
        p99: quantile(delays, 0.99) / 1000,
      },
    };
  }

  /** Microseconds from emit to arrival on the other host, since the last call. */
  async #delays(): Promise<number[]> {
    const delays = await Promise.all(this.#timed.map((worker) => worker.call<number[]>("delays")));
    return delays.flat();
  }
}
