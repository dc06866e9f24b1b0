/**
 * Question: what does connection state recovery cost, and what does it cost where Redis keeps the packets?
 * 100 B of text to a room with one member on each of 4 workers, as fast as the emitter's loop allows; then 40
 * WebSocket clients and 500 broadcasts/s for the latency. The Redis server's CPU time counts as a worker's does.
 */

import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Case, Sample, Session } from "../lib/bench.js";
import { RedisServer } from "../lib/redis.js";
import { ascending, quantile } from "../lib/stats.js";
import { AudienceSession } from "./audience-session.js";
import { openBroadcast, type Work } from "./broadcast-session.js";

const REDIS = "redis-streams";
const CONTESTANTS = ["holdfast", "holdfast-recovery", REDIS];
const WORK: Work = {
  workers: 4,
  options: { payload: { kind: "text", bytes: 100 }, rooms: 1 },
  pace: { ms: 1000, burst: 64, window: 2048, rate: 0 },
};
const TIMED: Work = {
  ...WORK,
  options: { ...WORK.options, timed: true },
  pace: { ms: 1500, burst: 1, window: 2048, rate: 2000 },
  warmUp: WORK.pace,
};
const PACE = { ms: 1500, burst: 1, window: 2048, rate: 500 };

interface Measured {
  readonly sample: Sample;
  readonly emitted: number;
  /** CPU time of the cluster's processes, microseconds. */
  readonly cpu: number;
}

/** A session whose costs are those of the cluster and of its Redis server, if it has one. */
async function withRedis(
  contestant: string,
  open: (redisPort: number | undefined) => Promise<{ measure(): Promise<Measured>; close(): Promise<void> }>,
): Promise<Session> {
  const redis = contestant === REDIS ? await RedisServer.start() : undefined;
  const session = await open(redis?.port);
  return {
    sample: async () => {
      const before = (await redis?.cpu()) ?? 0;
      const { sample, emitted, cpu } = await session.measure();
      const redisCpu = ((await redis?.cpu()) ?? 0) - before;
      const values = {
        ...sample.values,
        redis: redisCpu / emitted,
        perCpu: (emitted * 1e6) / (cpu + redisCpu),
      };
      return { ...sample, values };
    },
    close: async () => {
      await session.close();
      await redis?.close();
    },
  };
}

const throughput: Case = {
  title: "as fast as the loop allows",
  contestants: CONTESTANTS,
  comparisons: [
    { measure: "perCpu", of: "holdfast-recovery", to: REDIS, atLeast: 3 },
    { measure: "perCpu", of: "holdfast-recovery", to: "holdfast" },
    { measure: "primary", of: "holdfast-recovery", to: "holdfast", atMost: 2 },
    { measure: "rate", of: "holdfast-recovery", to: REDIS },
    { measure: "rate", of: "holdfast-recovery", to: "holdfast" },
  ],
  open: (lab, contestant) =>
    withRedis(contestant, async (redisPort) => {
      const session = await openBroadcast(lab, contestant, WORK, redisPort);
      return {
        measure: async () => {
          const sample = await session.sample();
          const { emitted = 0, cluster = 0 } = sample.values;
          return { sample, emitted, cpu: cluster * emitted };
        },
        close: () => session.close(),
      };
    }),
};

const latency: Case = {
  title: "2,000 broadcasts/s, without a network",
  contestants: CONTESTANTS,
  comparisons: [
    { measure: "p50", of: "holdfast-recovery", to: REDIS, atMost: 1 / 2 },
    { measure: "p50", of: "holdfast-recovery", to: "holdfast" },
    { measure: "p99", of: "holdfast-recovery", to: REDIS },
    { measure: "perCpu", of: "holdfast-recovery", to: REDIS },
  ],
  open: (lab, contestant) =>
    withRedis(contestant, async (redisPort) => {
      const session = await openBroadcast(lab, contestant, TIMED, redisPort);
      return {
        measure: async () => {
          await delaysOf(session.program);
          const sample = await session.sample();
          const { emitted = 0, cluster = 0 } = sample.values;
          const delays = ascending(await delaysOf(session.program));
          const values = {
            cluster,
            p50: quantile(delays, 0.5) / 1000,
            p99: quantile(delays, 0.99) / 1000,
          };
          return { sample: { ...sample, values }, emitted, cpu: cluster * emitted };
        },
        close: () => session.close(),
      };
    }),
};

/** Times of all receivers but the emitter's own, which some adapters serve before they send. */
async function delaysOf(program: RemoteProgram): Promise<number[]> {
  const delays = await Promise.all(program.workers.slice(1).map((worker) => worker.call<number[]>("delays")));
  return delays.flat();
}

const clients: Case = {
  title: "500 broadcasts/s to 40 clients",
  contestants: CONTESTANTS,
  comparisons: [
    { measure: "p50", of: "holdfast-recovery", to: REDIS },
    { measure: "p50", of: "holdfast-recovery", to: "holdfast" },
    { measure: "p99", of: "holdfast-recovery", to: REDIS },
    { measure: "perCpu", of: "holdfast-recovery", to: REDIS },
  ],
  open: (lab, contestant) =>
    withRedis(contestant, async (redisPort) => {
      const hall = { contestant, workers: 4, clients: 40, listen: "own", redisPort } as const;
      const session = await AudienceSession.open(lab, hall);
      return { measure: () => hear(session), close: () => session.close() };
    }),
};

async function hear(session: AudienceSession): Promise<Measured> {
  const { failures, report, cpu, emitted } = await session.hear(PACE, true);
  const used = cpu.of(...session.program.processes);
  const values = { p50: report.p50 / 1000, p99: report.p99 / 1000, cluster: used / emitted };
  return { sample: { failures, values }, emitted, cpu: used };
}

export const recovery: Bench = {
  name: "recovery",
  title: "Connection state recovery",
  question: "What does connection state recovery cost, and what does it cost where Redis keeps the packets?",
  method: [
    "Throughput: one worker emits 100 B of text to a room with one member on each of 4 workers, 64 events a turn, at most 2048 on their way; members count without a network. Windows of 1 s.",
    "Latency without a network: the same, 2,000 emits a second for 1.5 s, from just before the emit to the arrival at the members of the other workers.",
    "Latency to clients: one worker broadcasts 100 B to 40 WebSocket clients on 4 workers 500 times a second for 1.5 s; up to the arrival in the clients' process. The way through 40 WebSockets is the same for all and most of it.",
    "`holdfast` runs without recovery. `redis-streams` has a Redis server of its own that keeps nothing on disk; its CPU time, as it tells itself, is added to that of the cluster.",
    "Every receiver checks that each event comes once and in order.",
  ],
  measures: [
    {
      key: "perCpu",
      title: "broadcasts per CPU second of all processes, Redis among them",
      unit: "/s",
      better: "higher",
    },
    { key: "rate", title: "deliveries per second", unit: "/s", better: "higher" },
    { key: "cluster", title: "CPU of the whole cluster per broadcast", unit: "µs", better: "lower" },
    { key: "primary", title: "CPU of the primary per broadcast", unit: "µs", better: "lower" },
    { key: "redis", title: "CPU of Redis per broadcast", unit: "µs", better: "lower" },
    { key: "p50", title: "latency, p50", unit: "ms", better: "lower" },
    { key: "p99", title: "latency, p99", unit: "ms", better: "lower" },
  ],
  chart: "perCpu",
  cases: () => [throughput, latency, clients],
};
