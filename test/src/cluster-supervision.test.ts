/** Workers that end, fail to start, are late or stand still; and a primary that is killed. */

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { ReloadResult, WorkerExit } from "@holdfast/cluster";
import { findPrlimit, freePort, type RemoteProcess, within, withoutDescriptors } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { looksAtItself } from "./harness/own-looks.js";
import type { Supervised } from "./harness/supervised.js";

const hasPrlimit = findPrlimit() !== undefined;
const { start, launch, home } = startsSupervised();

/** Short waits, so that a test sees several starts. */
const QUICK = { restartDelay: 20, maxRestartDelay: 50 } as const;

/** Waits until so many workers have reported, all of them others than these. */
async function replaced(cluster: Supervised, old: readonly number[], count = 2): Promise<void> {
  const areNew = () => cluster.workers.length === count && cluster.pids.every((pid) => !old.includes(pid));
  await cluster.until(`${count} workers other than ${old}`, areNew);
}

/** What becomes of a connection to that port: "connect", or the code of its error. */
async function call(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return "connect";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

test("the port is closed until all workers are ready", async () => {
  const own = home();
  const path = join(own.directory, "gate");
  const held: Socket[] = [];
  const gate = createServer((socket) => void held.push(socket)).listen(path);
  own.start({ waitsAt: path });
  const port = await freePort();
  const cluster = await launch({ home: own, options: { port } });
  while (held.length < 2) await within(once(gate, "connection"), "worker");
  expect(await call(port)).toBe("ECONNREFUSED");
  held[0]?.end();
  await cluster.until("first worker", () => cluster.workers.length === 1);
  expect(await call(port)).toBe("ECONNREFUSED");
  held[1]?.end();
  await cluster.untilStarted();
  expect(cluster.port).toBe(port);
  expect(await call(port)).toBe("connect");
  gate.close();
});

/** Has the process look at itself some times while it can open nothing. */
async function starve<C>(target: RemoteProcess<C>): Promise<void> {
  await withoutDescriptors(target.pid, () => looksAtItself(target));
}

test.skipIf(!hasPrlimit)(
  "processes without a file descriptor left go on, and tell of themselves",
  async () => {
    // As under npm, whose end is looked for.
    const cluster = await start({ env: { npm_lifecycle_event: "start" } });
    const { pids } = cluster;
    await starve(cluster.primary);
    for (const worker of cluster.workers) await starve(worker);
    const { slots } = await cluster.status();
    expect(slots.map(({ pid }) => pid)).toEqual(pids);
    expect(slots.map(({ restarts }) => restarts)).toEqual([0, 0]);
    for (const { memoryBytes } of slots) expect(memoryBytes).toBeGreaterThan(0);
  },
);

describe("a worker that ends", () => {
  test("is replaced in its place, and its end is told with signal and last words", async () => {
    const cluster = await start({ how: { writes: "one line\nthe last line" } });
    const worker = cluster.worker(1);
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    const ready = cluster.primary.next("worker:ready");
    await worker.kill();
    const { slot } = await told.then((exit) => {
      expect(exit).toMatchObject({
        pid: worker.pid,
        reason: "crash",
        code: null,
        signal: "SIGKILL",
        lastWords: "one line\nthe last line",
      });
      return exit;
    });
    await expect(ready).resolves.toMatchObject({ slot });
    const { slots } = await cluster.status();
    expect(slots.map((each) => [each.slot, each.state, each.restarts])).toEqual([
      [0, "ready", slot === 0 ? 1 : 0],
      [1, "ready", slot === 1 ? 1 : 0],
    ]);
    expect(slots[slot]?.lastExit?.pid).toBe(worker.pid);
    expect(cluster.output).toContain(`worker ${slot} (pid ${worker.pid}) ended: SIGKILL`);
  });

  test("by an exception has its text among the last words", async () => {
    const cluster = await start({ options: QUICK });
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    await cluster.worker(0).run(() => {
      setImmediate(() => {
        throw new Error("a fault of the application");
      });
    });
    const { code, lastWords } = await told;
    expect(code).toBe(1);
    expect(lastWords).toContain("a fault of the application");
  });

  test("whose onStop throws ends all the same", async () => {
    const cluster = await start({ how: { throwsAtStop: "a fault of the application" } });
    const last = cluster.worker(1);
    await last.run(() => {
      process.on("uncaughtException", ({ message }) => console.error(`uncaught: ${message}`));
    });
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    expect(await cluster.scale(1)).toMatchObject({ after: 1, killed: 0 });
    expect(await told).toMatchObject({ reason: "retired", code: 0 });
    expect(cluster.output).toContain("uncaught: a fault of the application");
  });

  test("whose own listener for messages throws hears what it is told all the same", async () => {
    const cluster = await start({ how: { throwsAtMessages: "a fault of the application" } });
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    expect(await cluster.scale(1)).toMatchObject({ after: 1, killed: 0 });
    expect(await told).toMatchObject({ reason: "retired", code: 0 });
    expect(cluster.output).toContain("uncaught: a fault of the application");
  });

  test("on SIGTERM finishes, calls onStop, and does not count as crashed", async () => {
    const cluster = await start();
    const worker = cluster.worker(0);
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    const finished = worker.next("onStop");
    await worker.kill("SIGTERM");
    await finished;
    expect(await told).toMatchObject({ reason: "left", code: 0, signal: null });
    await replaced(cluster, [worker.pid]);
    const { slots } = await cluster.status();
    expect(slots.map(({ crashes }) => crashes)).toEqual([0, 0]);
  });
});

describe("a worker that crashes again and again", () => {
  test("is given up when others go on, and the next reload tries it again", async () => {
    const cluster = await start({ options: { ...QUICK, maxCrashes: 3, minUptime: 60_000 } });
    cluster.home.start({ throws: "not today" });
    const abandoned = cluster.primary.next<WorkerExit>("worker:abandoned");
    await cluster.worker(0).kill();
    const { slot, lastWords } = await abandoned;
    expect(lastWords).toContain("not today");
    const { slots, state } = await cluster.status();
    expect(state).toBe("running");
    expect(slots[slot]).toMatchObject({ state: "given-up", crashes: 3, pid: undefined });
    expect(slots[1 - slot]).toMatchObject({ state: "ready" });

    cluster.home.start({ version: 2 });
    expect(await cluster.reload()).toMatchObject({ workers: 2 });
    expect((await cluster.status()).slots.map((each) => each.state)).toEqual(["ready", "ready"]);
  });

  test("and is the last one ends the process with 1, after it has said why", async () => {
    const cluster = await start({
      options: { ...QUICK, workers: 1, maxCrashes: 2, minUptime: 60_000 },
    });
    cluster.home.start({ exits: 7 });
    const failed = cluster.primary.next<{ code: string }>("failed");
    await cluster.worker(0).kill();
    expect(await failed).toMatchObject({ code: "HOLDFAST_ERR_CRASH_LOOP" });
    expect(await cluster.end()).toEqual({ code: 1, signal: null });
    expect(cluster.output).toContain(
      "No worker is left after 2 crashes in a row; the last one ended with exit code 7.",
    );
  });

  test("and is the last one, but has a successor that starts, is replaced by that", async () => {
    const own = home();
    const cluster = await start({ home: own, options: { workers: 1, maxCrashes: 1, minUptime: 600_000 } });
    const path = join(own.directory, "gate");
    const gate = createServer().listen(path);
    own.start({ waitsAt: path });
    const starting = once(gate, "connection");
    const reloaded = cluster.reload();
    const [held] = await starting;
    const abandoned = cluster.primary.next("worker:abandoned");
    process.kill(cluster.worker(0).pid, "SIGKILL");
    await abandoned;
    held.destroy();
    gate.close();
    expect(await reloaded).toMatchObject({ workers: 1 });
    expect(await cluster.status()).toMatchObject({
      state: "running",
      slots: [{ state: "ready", crashes: 0 }],
    });
  });

  test("and is the last one, since scale() has ended the others, ends the process with 1", async () => {
    const cluster = await start({ options: { ...QUICK, maxCrashes: 1, minUptime: 600_000 } });
    const { slots } = await cluster.status();
    const abandoned = cluster.primary.next("worker:abandoned");
    process.kill(slots[0]?.pid as number, "SIGKILL");
    await abandoned;
    // It may end before it can answer.
    const scaled = cluster.primary.run(async (ctx) => (await ctx.cluster()).scale(1)).catch(() => {});
    expect(await cluster.end()).toEqual({ code: 1, signal: null });
    await scaled;
    expect(cluster.output).toContain("No worker is left after 1 crashes in a row");
  });

  test("ends the process, whatever the log of the application throws", async () => {
    const cluster = await start({
      options: { ...QUICK, workers: 1, maxCrashes: 2, minUptime: 60_000 },
      logThrows: true,
    });
    await cluster.primary.run(() => {
      process.on("uncaughtException", ({ message }) => console.error(`uncaught: ${message}`));
    });
    cluster.home.start({ exits: 7 });
    await cluster.worker(0).kill();
    expect(await cluster.end()).toEqual({ code: 1, signal: null });
    expect(cluster.output).toContain("uncaught: the log of the application");
  });

  test("before any was ready ends the start", async () => {
    const cluster = await launch({
      options: { ...QUICK, maxCrashes: 4, signals: false },
      how: { throws: "no database" },
    });
    const message = await cluster.primary.run((ctx) =>
      ctx.cluster().then(
        () => "started",
        (error) => `${error.code}: ${error.message}`,
      ),
    );
    expect(message).toContain("HOLDFAST_ERR_CRASH_LOOP: No worker is left after");
    expect(message).toContain("no database");
  });
});

describe("a worker that is late", () => {
  test("again and again ends the start, which says what was waited for", async () => {
    const cluster = await launch({
      options: { ...QUICK, workers: 1, readyTimeout: 100, maxCrashes: 2, signals: false },
      how: { joins: false },
    });
    const message = await cluster.primary.run((ctx) =>
      ctx.cluster().then(
        () => "started",
        (error) => error.message,
      ),
    );
    expect(message).toContain(
      "the last one did not call joinCluster(io) within readyTimeout (100 ms), or with another sticky.name",
    );
  });

  test("is killed after readyTimeout, and started again", async () => {
    const cluster = await launch({
      options: { ...QUICK, readyTimeout: 5_000, maxCrashes: 1_000 },
      how: { joins: false },
    });
    await cluster.until("workers that do not join", () => cluster.workers.length === 2);
    const late = cluster.pids;
    cluster.home.start({});
    await cluster.untilStarted();
    expect(cluster.pids.filter((pid) => late.includes(pid))).toEqual([]);
    const { slots } = await cluster.status();
    expect(slots.map(({ lastExit }) => lastExit?.reason)).toEqual(["not-ready", "not-ready"]);
  });
});

describe("a worker whose event loop stands still", () => {
  // No worker that is only kept waiting by a busy machine shall be taken for one that hangs.
  const options = { ...QUICK, hangTimeout: 3_000 };

  test.each([
    [
      "in a busy loop",
      (cluster: Supervised) =>
        void cluster
          .worker(0)
          .run(() => {
            for (;;);
          })
          .catch(() => {}),
    ],
    ["after SIGSTOP", (cluster: Supervised) => cluster.worker(0).stop()],
  ])("%s is killed and replaced", async (_, halt) => {
    const cluster = await start({ options });
    const { pid } = cluster.worker(0);
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    await halt(cluster);
    expect(await told).toMatchObject({ pid, reason: "hang", signal: "SIGKILL" });
    await replaced(cluster, [pid]);
  });

  test("is not blamed for a primary that is busy or was stopped", async () => {
    const cluster = await start({ options });
    const { pids } = cluster;
    await cluster.primary.run(() => {
      const end = performance.now() + 4_500;
      while (performance.now() < end);
    });
    await cluster.primary.stop();
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    await cluster.primary.resume();
    // A worker that really hangs shows that somebody has looked since.
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    const stopped = cluster.worker(1);
    await stopped.stop();
    expect(await told).toMatchObject({ pid: stopped.pid, reason: "hang" });
    expect(cluster.pids).toContain(pids.find((pid) => pid !== stopped.pid));
  });

  test("for less than the limit goes on", async () => {
    const cluster = await start({ options: { ...QUICK, hangTimeout: 20_000 } });
    const { pid } = cluster.worker(0);
    await cluster.worker(0).run(() => {
      const end = performance.now() + 1_500;
      while (performance.now() < end);
    });
    expect(cluster.worker(0).pid).toBe(pid);
  });
});

describe("SIGKILL of the primary", () => {
  test("ends its workers, and the next start takes over its name and its control socket", async () => {
    const own = home();
    const options = { name: "api" };
    const first = await start({ home: own, options });
    const { workers } = first;
    await first.primary.kill();
    await within(Promise.all(workers.map(({ gone }) => gone)), "end of the workers");
    expect((await own.holdfast("status")).code).toBe(4);

    await start({ home: own, options });
    const { code, stdout } = await own.holdfast("status", "--name", "api");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^api \(pid \d+\), running/);
  });
});

describe("status() says", () => {
  test("to a listener what it is told", async () => {
    const cluster = await start({ options: { workers: 1, minUptime: 0 } });
    const seen = await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      const told: unknown[] = [];
      const look = (event: string, number: number, pid: number | undefined) => {
        const slot = handle.status().slots[number];
        told.push([event, slot?.state, slot?.pid === pid, slot?.lastExit?.signal]);
      };
      handle.on("worker:start", ({ slot, pid }) => look("start", slot, pid));
      handle.on("worker:exit", ({ slot, pid }) => look("exit", slot, pid));
      const ready = new Promise((resolve) => handle.once("worker:ready", resolve));
      process.kill(handle.status().slots[0]?.pid as number, "SIGKILL");
      await ready;
      await handle.scale(2);
      return told;
    });
    expect(seen).toEqual([
      ["exit", "waiting", false, "SIGKILL"],
      ["start", "starting", true, "SIGKILL"],
      ["start", "starting", true, undefined],
    ]);
  });

  test("of a worker that is gone that nobody is there, also while its last words are waited for", async () => {
    const long = { restartDelay: 600_000, maxRestartDelay: 600_000, minUptime: 600_000 };
    const cluster = await start({ options: { ...long, workers: 1 } });
    // Somebody who has its stderr as well.
    const other = await cluster.worker(0).run(async () => {
      const { spawn } = process.getBuiltinModule("node:child_process");
      return spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "inherit"] }).pid as number;
    });
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    const state = await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      const { once: onceOf } = await ctx.import("node:events");
      const { default: nodeCluster } = (await ctx.import("node:cluster")) as { default: NodeJS.EventEmitter };
      const exited = onceOf(nodeCluster, "exit");
      process.kill(handle.status().slots[0]?.pid as number, "SIGKILL");
      await exited;
      await new Promise(setImmediate);
      const [slot] = handle.status().slots;
      return { state: slot?.state, pid: slot?.pid, lastExit: slot?.lastExit };
    });
    process.kill(other, "SIGKILL");
    expect(state).toEqual({ state: "waiting", pid: undefined, lastExit: undefined });
    await told;
  });
});

describe("orders", () => {
  test("scale() starts workers and ends the last ones, which finish", async () => {
    const cluster = await start();
    expect(await cluster.scale(3)).toMatchObject({ before: 2, after: 3 });
    expect((await cluster.status()).slots.map(({ state }) => state)).toEqual(["ready", "ready", "ready"]);
    const told = cluster.primary.next<WorkerExit>("worker:exit");
    expect(await cluster.scale(1)).toMatchObject({ before: 3, after: 1, killed: 0 });
    expect(await told).toMatchObject({ reason: "retired", code: 0 });
    expect((await cluster.status()).slots.map(({ slot }) => slot)).toEqual([0]);
    await expect(cluster.scale(0)).rejects.toMatchObject({ code: "HOLDFAST_ERR_INVALID_OPTION" });
  });

  test("rebalance() says what it did", async () => {
    const cluster = await start();
    const result = await cluster.primary.run(async (ctx) => (await ctx.cluster()).rebalance());
    expect(result).toMatchObject({ moved: 0, connections: [0, 0] });
  });

  test("two reloads that are asked for at a time are one after another, and those that wait are one", async () => {
    const cluster = await start({ options: { workers: 1 } });
    const results = await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      const first = handle.reload();
      await new Promise((begun) => handle.once("reload:progress", begun));
      await Promise.all([first, handle.reload(), handle.reload()]);
      return handle.status().reloads;
    });
    expect(results).toBe(2);
  });

  test("after stop() are refused", async () => {
    const cluster = await start({ options: { signals: false } });
    const codes = await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      const stopped = handle.stop();
      const refused = [handle.reload(), handle.scale(3), handle.rebalance()].map((order) =>
        order.catch((error) => error.code),
      );
      return [await stopped, ...(await Promise.all<ReloadResult | unknown>(refused))];
    });
    const closed = "HOLDFAST_ERR_CLOSED";
    expect(codes).toEqual([{ killed: 0 }, closed, closed, closed]);
  });
});
