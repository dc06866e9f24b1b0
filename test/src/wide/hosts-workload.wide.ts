/** The recovery workload over several hosts, in short; `npm run workload -- --hosts 3` runs the long one. */
import { findRedisServer } from "@holdfast/harness";
import { expect, test } from "vitest";
import { expectSound } from "../harness/expect-sound.js";
import { runHostsWorkload } from "../workloads/hosts-workload.js";

test.skipIf(findRedisServer() === undefined).each([
  { hosts: 2, rate: 200, killEveryMs: 2_000, hostEvery: 4 },
  { hosts: 3, rate: 120, killEveryMs: 3_000, hostEvery: 3 },
])(
  "over $hosts hosts, no message is lost, doubled or reordered while workers and hosts are killed and Redis restarts",
  async (options) => {
    const result = await runHostsWorkload({
      ...{ workersPerHost: 2, clients: 40, rooms: 10, dropEveryMs: 4_000, kills: 4 },
      ...options,
    });
    expectSound(result);
    expect([result.workerKills, result.hostKills]).toEqual([3, 1]);
  },
);
