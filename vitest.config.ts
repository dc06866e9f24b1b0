import { defineConfig } from "vitest/config";

// CI sums up a report in JSON; people read the usual one.
const report = process.env.HOLDFAST_TEST_REPORT;
// Minutes of load, for who asks for it: not part of the suite, so not skipped in it either.
const long = process.env.HOLDFAST_LONG === "1" ? ["test/src/**/*.long.ts"] : [];

export default defineConfig({
  test: {
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
    include: ["packages/*/src/**/*.test.ts", "test/src/**/*.test.ts", ...long],
    // Cluster tests fork four workers each: more than two files at once would only measure the scheduler.
    maxWorkers: 2,
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    allowOnly: false,
  },
});
