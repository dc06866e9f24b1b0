/** Reloads in a row under a stream of messages, in short; `reload-workload.long.ts` is the long form. */
import { test } from "vitest";
import { expectNobodyNotices } from "./workloads/reload-workload.js";

test("reloads in a row lose, double and reorder nothing, and disconnect nobody", async () => {
  await expectNobodyNotices({ workers: 2, clients: 60, rooms: 10, rate: 200, reloads: 2 });
}, 120_000);
