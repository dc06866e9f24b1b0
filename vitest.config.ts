import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { SkipsReporter } from "./harness/dist/skips-reporter.js";

// CI sums up a report in JSON; people read the usual one.
const report = process.env.HOLDFAST_TEST_REPORT;
// Minutes of load, for who asks for it: not part of the suite, so not skipped in it either.
const long = process.env.HOLDFAST_LONG === "1" ? ["test/src/**/*.long.ts"] : [];
// What needs other tools and versions from the registry, what takes longest, and the whole numbers of what the suite
// runs in short.
const wide = process.env.HOLDFAST_WIDE === "1";
const timeout = wide ? 600_000 : 60_000;
const WIDE = [
  "test/src/wide/**/*.wide.ts",
  "test/src/adapter-{backpressure,failure,flow,joins}.test.ts",
  "test/src/{recovery-workload,sticky-hostile,sticky-storm}.test.ts",
];
const WIDE_UNITS = ["packages/sticky/src/primary/fuzz.test.ts"];

const UNITS = "packages/*/src/**/*.test.ts";
// They stop the clock of their process, which stops it for whatever another file has left running there; and what that
// starts is found among the timers of the test.
const STOP_THE_CLOCK = readdirSync(fileURLToPath(new URL("packages", import.meta.url)), { recursive: true })
  .map((name) => `packages/${name}`)
  .filter((file) => /^packages\/\w+\/src\/.*\.test\.ts$/.test(file))
  .filter((file) => readFileSync(new URL(file, import.meta.url), "utf8").includes("useFakeTimers"));

const limits = {
  testTimeout: timeout,
  hookTimeout: timeout,
  allowOnly: false,
  // As long as the harness waits for anything.
  expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
  test: {
    reporters: [
      "default",
      new SkipsReporter(),
      ...(report ? [["json", { outputFile: report }] as [string, object]] : []),
    ],
    // Cluster tests wait more than they compute, and fork four workers each: three files at once keep two cores busy, and
    // more would only measure the scheduler.
    maxWorkers: 3,
    pool: "forks",
    projects: [
      {
        extends: true,
        test: {
          name: "units",
          include: wide ? WIDE_UNITS : [UNITS],
          exclude: STOP_THE_CLOCK,
          // Loading the packages anew for each file takes as long as the tests.
          isolate: false,
          ...limits,
        },
      },
      { extends: true, test: { name: "clocks", include: wide ? [] : STOP_THE_CLOCK, ...limits } },
      {
        extends: true,
        test: { name: "clusters", include: wide ? WIDE : ["test/src/**/*.test.ts", ...long], ...limits },
      },
    ],
  },
});
