/** The workload over several hosts in short; `npm run workload -- --hosts 3` runs the long one. */
import { findRedisServer } from "@holdfast/harness";
import { expect, test } from "vitest";
import { expectSound } from "./harness/expect-sound.js";
import { runHostsWorkload } from "./workloads/hosts-workload.js";

test.skipIf(!findRedisServer())(
  "no message is lost, doubled or reordered while connections drop, workers and hosts are killed, and Redis restarts",
  async () => {
    const result = await runHostsWorkload({
      hosts: 2,
      workersPerHost: 2,
      clients: 40,
      rooms: 10,
      rate: 200,
      killEveryMs: 2_000,
      dropEveryMs: 4_000,
      kills: 4,
      hostEvery: 4,
    });
    expectSound(result);
    expect([result.workerKills, result.hostKills]).toEqual([3, 1]);
  },
  300_000,
);
