/** The recovery workload over three hosts, in short; `npm run workload -- --hosts 3` runs the long one. */
import { findRedisServer } from "@holdfast/harness";
import { expect, test } from "vitest";
import { expectSound } from "../harness/expect-sound.js";
import { runHostsWorkload } from "../workloads/hosts-workload.js";

test.skipIf(findRedisServer() === undefined)(
  "over three hosts, no message is lost, doubled or reordered while workers and hosts are killed and Redis restarts",
  async () => {
    const result = await runHostsWorkload({
      ...{ hosts: 3, workersPerHost: 2, clients: 40, rooms: 10, rate: 120 },
      ...{ dropEveryMs: 4_000, killEveryMs: 3_000, kills: 4, hostEvery: 3 },
    });
    expectSound(result);
    expect([result.workerKills, result.hostKills]).toEqual([3, 1]);
  },
);
