import { defineConfig } from "vitest/config";
import { SkipsReporter } from "./harness/dist/skips-reporter.js";

// CI sums up a report in JSON; people read the usual one.
const report = process.env.HOLDFAST_TEST_REPORT;
// Minutes of load, for who asks for it: not part of the suite, so not skipped in it either.
const long = process.env.HOLDFAST_LONG === "1" ? ["test/src/**/*.long.ts"] : [];
// What needs other tools and versions from the registry: a run of its own, `npm run test:wide`.
const wide = process.env.HOLDFAST_WIDE === "1";
const timeout = wide ? 600_000 : 60_000;

export default defineConfig({
  test: {
    reporters: [
      "default",
      new SkipsReporter(),
      ...(report ? [["json", { outputFile: report }] as [string, object]] : []),
    ],
    include: wide
      ? [
          "test/src/wide/**/*.wide.ts",
          "test/src/adapter-{backpressure,failure,flow}.test.ts",
          "test/src/sticky-storm.test.ts",
        ]
      : ["packages/*/src/**/*.test.ts", "test/src/**/*.test.ts", ...long],
    // Cluster tests wait more than they compute, and fork four workers each: three files at once keep two cores busy, and
    // more would only measure the scheduler.
    maxWorkers: 3,
    pool: "forks",
    testTimeout: timeout,
    hookTimeout: timeout,
    allowOnly: false,
  },
});
