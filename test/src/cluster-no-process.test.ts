/** Workers that the system gives no process: for what reason, how that is told, and that they come when it does again. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { WorkerExit } from "@holdfast/cluster";
import { findPrlimit, withoutDescriptors } from "@holdfast/harness";
import { expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { looksAtItself } from "./harness/own-looks.js";
import { APP, type Supervised } from "./harness/supervised.js";

const hasPrlimit = findPrlimit() !== undefined;
const { start, launch, home } = startsSupervised();

/** Workers are tried again and again, and soon. */
const STUBBORN = { restartDelay: 20, maxRestartDelay: 50, maxCrashes: 100_000 } as const;

/** How a cluster does not start. */
async function refusal(cluster: Supervised) {
  return cluster.primary.run((ctx) =>
    ctx.cluster().then(
      () => undefined,
      ({ code, message }) => ({ code, message }),
    ),
  );
}

/** Listens for the ends of workers without a process. */
function withoutProcess(cluster: Supervised): WorkerExit[] {
  const exits: WorkerExit[] = [];
  cluster.primary.on("worker:exit", (exit: WorkerExit) => {
    if (exit.reason === "no-process") exits.push(exit);
  });
  return exits;
}

test.each([
  ["is not there", (place: string) => join(place, "nowhere")],
  ["is a file", (place: string) => join(place, "how.json")],
  ["is not there, seen from here", () => "nowhere"],
])("a cwd that %s is refused at once", async (_, cwdIn) => {
  const own = home();
  const cwd = cwdIn(own.directory);
  expect(await refusal(await launch({ home: own, options: { cwd } }))).toEqual({
    code: "HOLDFAST_ERR_INVALID_OPTION",
    message: `The option "cwd" of startCluster() must be the path of a directory that is there, not "${cwd}".`,
  });
});

test("a cwd is seen from the primary's, as Node.js has it", async () => {
  const cluster = await start({ options: { cwd: "..", workers: 1 } });
  const [own, workers] = await Promise.all([
    cluster.primary.run(() => process.cwd()),
    cluster.worker(0).run(() => process.cwd()),
  ]);
  expect(workers).toBe(join(own, ".."));
});

test("a cwd that has gone is blamed, in place of Node.js, until it is there again", async () => {
  const own = home();
  const cwd = join(own.directory, "release");
  mkdirSync(cwd);
  const cluster = await start({ home: own, options: { ...STUBBORN, cwd } });
  const exits = withoutProcess(cluster);
  rmSync(cwd, { recursive: true });
  const why = `there is no directory ${cwd} for the workers, see the option "cwd" (ENOENT)`;

  const error = await cluster.reload().catch((reason) => reason);
  expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
  expect(error.message).toContain(`The new worker for slot 0 got no process: ${why}.`);

  const { pid } = cluster.worker(0);
  await cluster.worker(0).kill();
  const exit = await cluster.until("two ends without a process", () => exits[1]);
  expect(exit).toMatchObject({ reason: "no-process", code: null, signal: null, lastWords: why, uptimeMs: 0 });
  expect(exit.pid).toBeUndefined();
  expect(cluster.output).toContain(`worker ${exit.slot} got no process: ${why}`);
  expect((await own.holdfast("status")).stdout).toContain(`slot ${exit.slot} got no process last: ${why}`);

  mkdirSync(cwd);
  const areBack = () => cluster.workers.length === 2 && !cluster.pids.includes(pid);
  await cluster.until("a worker in its place", areBack);
});

test("a cluster none of whose workers gets a process says why", async () => {
  const own = home();
  const file = join(own.directory, "file");
  writeFileSync(file, "");
  // The first start fails, so there can be another one, with more than the primary itself could get.
  const cluster = await launch({ home: own, options: { path: file } });
  await refusal(cluster);
  const refused = await cluster.primary.run(
    (ctx, options) =>
      ctx.startAgain({ ...options, env: { BIG: "x".repeat(1e6) } }).then(
        () => undefined,
        ({ code, message }) => ({ code, message }),
      ),
    { worker: APP, port: 0, workers: 1, ...STUBBORN, maxCrashes: 2, control: false, signals: false },
  );
  expect(refused?.code).toBe("HOLDFAST_ERR_CRASH_LOOP");
  expect(refused?.message).toMatch(
    /^No worker is left after 2 crashes in a row; the last one got no process: spawn E2BIG \(the options .*\)\.$/,
  );
});

test.skipIf(!hasPrlimit)("a primary that can open no more files goes on, and so do its workers", async () => {
  // Under npm, it looks whether that is still there.
  const cluster = await start({ options: STUBBORN, env: { npm_lifecycle_event: "start" } });
  const exits = withoutProcess(cluster);
  const { pid } = cluster.worker(0);
  await withoutDescriptors(cluster.primary.pid, async () => {
    await cluster.worker(0).kill();
    const { lastWords } = await cluster.until("an end without a process", () => exits[0]);
    expect(lastWords).toMatch(/^spawn .* EMFILE \(the primary may have no more files/);
    // It looks after npm twice as often.
    await looksAtItself(cluster.primary);
  });
  const areBack = () => cluster.workers.length === 2 && !cluster.pids.includes(pid);
  await cluster.until("a worker in its place", areBack);
  // Those without a process are forgotten.
  const known = await cluster.primary.run(async (ctx) => {
    const { workers } = await ctx.import("node:cluster");
    return Object.keys(workers ?? {}).length;
  });
  expect(known).toBe(2);
});

test.skipIf(!hasPrlimit)("a primary that can open no files when it starts goes on when it can", async () => {
  const own = home();
  const file = join(own.directory, "file");
  writeFileSync(file, "");
  // The first start fails, so there can be another one, with fewer descriptors. As under npm, whose end is looked for.
  const cluster = await launch({
    home: own,
    options: { path: file },
    env: { npm_lifecycle_event: "start" },
  });
  await refusal(cluster);
  const start = () =>
    cluster.primary.run(async (ctx, options) => (await ctx.startAgain(options)).status().state, {
      worker: APP,
      port: 0,
      workers: 1,
      // Otherwise it would look for one, which takes a descriptor.
      sticky: { hostAddress: "127.0.0.1" },
      ...STUBBORN,
    });
  const starting = await withoutDescriptors(cluster.primary.pid, async () => {
    const state = start();
    const isTried = () => cluster.output.includes("got no process");
    await Promise.race([state, cluster.until("a worker without a process", isTried)]);
    return { state };
  });
  // It looks after npm twice as often.
  await looksAtItself(cluster.primary);
  expect(await starting.state).toBe("running");
});
