/** Ends that come amid something else: of the whole cluster, and of a worker that others count on. */

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsSupervised } from "./harness/after-each.js";
import { RecoveringClients } from "./harness/recovering-client.js";
import type { Supervised } from "./harness/supervised.js";

const NESTED = fileURLToPath(new URL("../dist/fixtures/nested-cluster.js", import.meta.url));
const { start, home } = startsSupervised();
const clients = closedAfterEach(new RecoveringClients());

describe("stop()", () => {
  /** What is left when the cluster has been stopped by a listener of that event. */
  const stopAt = (cluster: Supervised, event: "worker:start" | "worker:ready" | "reload:progress") =>
    cluster.primary.run(async (ctx, name) => {
      const handle = await ctx.cluster();
      await new Promise<unknown>((resolve) => {
        handle.once(name, () => void handle.stop({ timeout: 5_000 }).then(resolve));
      });
      const nodeCluster = await ctx.import("node:cluster");
      return {
        states: handle.status().slots.map(({ state }) => state),
        processes: Object.keys(nodeCluster.workers ?? {}).length,
      };
    }, event);

  test.each([
    ["when a worker is started again", "worker:start", (cluster: Supervised) => cluster.worker(0).kill()],
    ["when one more worker is started", "worker:start", (cluster: Supervised) => cluster.scale(4)],
    ["when a successor is about to be started", "reload:progress", (cluster: Supervised) => cluster.reload()],
    ["when a successor is ready", "worker:ready", (cluster: Supervised) => cluster.reload()],
  ] as const)("%s leaves nobody, and starts nobody", async (_, event, begin) => {
    const cluster = await start({ options: { restartDelay: 1, minUptime: 0, signals: false } });
    const stopped = stopAt(cluster, event);
    // Once the primary answers, it listens.
    await cluster.status();
    await Promise.all([stopped, begin(cluster).catch(() => {})]);
    const { states, processes } = await stopped;
    expect(new Set(states)).toEqual(new Set(["ending"]));
    expect(processes).toBe(0);
  });

  test.each(["on", "once"] as const)("that a listener of `stopping` (%s) calls is the same", async (how) => {
    const cluster = await start({ options: { workers: 1, signals: false } });
    const seen = await cluster.primary.run(async (ctx, name) => {
      const handle = await ctx.cluster();
      const told: string[] = [];
      const promises: unknown[] = [];
      handle.on("stopped", () => told.push("stopped"));
      handle[name]("stopping", () => {
        told.push("stopping");
        promises.push(handle.stop());
      });
      promises.push(handle.stop(), handle.stop());
      await Promise.all(promises);
      return { told, promises: new Set(promises).size };
    }, how);
    expect(seen).toEqual({ told: ["stopping", "stopped"], promises: 1 });
  });

  /** How an order ends amid which the cluster is stopped. */
  const cutOff = (cluster: Supervised, order: "reload" | "scale", moment: "ready" | "draining" | "later") =>
    cluster.primary.run(
      async (ctx, order, moment) => {
        const handle = await ctx.cluster();
        const events: string[] = [];
        handle.on("reload:done", () => events.push("reload:done"));
        const stop = () => void handle.stop();
        if (moment === "ready") handle.once("worker:ready", stop);
        handle.on("reload:progress", ({ step }) => moment === step && stop());
        const ended = order === "reload" ? handle.reload() : handle.scale(1);
        if (moment === "later") setImmediate(stop);
        const outcome = await ended.then(
          () => "done",
          ({ code }) => code as string,
        );
        await handle.stop();
        return { outcome, events };
      },
      order,
      moment,
    );

  test.each([
    ["reload", "ready", 1],
    ["reload", "draining", 1],
    ["scale", "later", 2],
  ] as const)("cuts %s() off (%s), which says so", async (order, moment, workers) => {
    const cluster = await start({ options: { workers, signals: false } });
    expect(await cutOff(cluster, order, moment)).toEqual({ outcome: "HOLDFAST_ERR_CLOSED", events: [] });
  });
});

describe("the end of the process", () => {
  test("comes although a part does not close, which is told", async () => {
    const cluster = await start({ options: { workers: 1 } });
    await cluster.primary.run(async (ctx) => {
      (await ctx.cluster()).hub.close = () => Promise.reject(new Error("no farewell"));
    });
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
    expect(cluster.output).toContain("holdfast: warning: no farewell");
  });

  test("comes at a second signal, although a part takes for ever to close", async () => {
    const cluster = await start({ options: { workers: 1 } });
    const closing = cluster.primary.next("warning");
    await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      handle.hub.close = () => {
        handle.emit("warning", new Error("closing"));
        return new Promise(() => {});
      };
    });
    process.kill(cluster.primary.pid, "SIGTERM");
    await closing;
    // The same signal within half a second is the same Ctrl+C.
    await cluster.primary.run(() => new Promise((resolve) => setTimeout(resolve, 700)));
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
  });
});

/** Workers whose `onStop` waits until it is let go: `stopping` settles when the first of them waits. */
function gatedHome() {
  const own = home();
  const path = join(own.directory, "gate");
  const gate = createServer().listen(path);
  own.start({ stopsAt: path });
  const stopping = once(gate, "connection") as Promise<[Socket]>;
  return { own, gate, stopping };
}

test("scale() moves nobody to a worker that ends by itself", async () => {
  const { own, gate, stopping } = gatedHome();
  const cluster = await start({ home: own, options: { workers: 3 } });
  const all = await Promise.all(Array.from({ length: 9 }, () => clients.connect(cluster.url)));
  process.kill(cluster.worker(0).pid, "SIGTERM");
  const [held] = await stopping;
  await expect.poll(() => all.every(({ socket }) => socket.connected)).toBe(true);
  const before = all.map(({ connects }) => connects.length);
  const { slots } = await cluster.status();
  gate.on("connection", (socket) => void socket.destroy());
  const result = await cluster.primary.run(async (ctx) => (await ctx.cluster()).scale(2));
  expect(result).toMatchObject({ moved: slots[2]?.connections, closed: 0, killed: 0 });
  expect(all.map(({ connects }) => connects.length)).toEqual(before);
  held.destroy();
  gate.close();
});

test("a server that joins while its worker leaves is finished as well", async () => {
  const { own, gate, stopping } = gatedHome();
  const cluster = await start({ home: own, options: { workers: 1 } });
  const worker = cluster.worker(0);
  process.kill(worker.pid, "SIGTERM");
  const [held] = await stopping;
  const told = worker.next("second");
  await worker.run((ctx) => ctx.joinAnother("second"));
  held.destroy();
  await told;
  gate.close();
});

test("joinCluster() that fails says so, in threads as well, and leaves nothing behind", async () => {
  const cluster = await start({ how: { failsBefore: true }, options: { workers: 1 } });
  expect(await cluster.worker(0).run((ctx) => ctx.failures)).toEqual({
    unattached: "HOLDFAST_ERR_NOT_ATTACHED",
    leftListeners: 0,
    inThread: "HOLDFAST_ERR_WORKER_THREAD",
  });
});

test("what a worker starts is no worker of its supervisor", async () => {
  const cluster = await start({ options: { workers: 1 } });
  const env = await cluster.worker(0).run(() => ({ ...process.env }));
  const nested = await runProgram(process.execPath, [NESTED], { env });
  expect(nested).toMatchObject({ code: 0, stdout: "onStop\n" });
});
