/** Ten reloads in a row. Takes some minutes, so it runs only with HOLDFAST_LONG=1. */
import { test } from "vitest";
import { expectNobodyNotices } from "./workloads/reload-workload.js";

test("ten reloads in a row lose, double and reorder nothing, and disconnect nobody", async () => {
  await expectNobodyNotices({ workers: 4, clients: 600, rooms: 50, rate: 1_000, reloads: 10 });
}, 1_200_000);
