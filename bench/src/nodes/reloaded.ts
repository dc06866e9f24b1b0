/**
 * A cluster whose workers are replaced while clients are connected: by `@holdfast/cluster`, or by hand, as people do it
 * with the official packages. Each worker emits to its own clients many times a second.
 * Program: runs as the primary and, forked, as each worker.
 */
import cluster, { type Worker } from "node:cluster";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Agent, type Commands, readConfig } from "@holdfast/harness";
import { Server } from "socket.io";
import { USAGE_COMMANDS } from "../lib/usage.js";

export interface ReloadedConfig {
  readonly way: "holdfast" | "by-hand";
  readonly workers: number;
  /** Between two events. */
  readonly everyMs: number;
}

/** What came of a reload. */
export interface Reloaded {
  readonly seconds: number;
  /** Milliseconds that each session which moved had no worker. */
  readonly freezes: readonly number[];
}

/** Longer than any run: no ping falls into a measured window. */
const PING_INTERVAL_MS = 2_000_000_000;
/** How long an old worker keeps its process after it has closed its clients. */
const EXIT_MS = 500;

const config = readConfig<ReloadedConfig>();
const agent = new Agent();
const httpServer = createServer();

if (cluster.isPrimary) await startPrimary();
else await startWorker();

async function startPrimary(): Promise<void> {
  const { port, reload } = config.way === "holdfast" ? await startSupervisor() : await startByHand();
  const timed = async (): Promise<Reloaded> => {
    const start = performance.now();
    const freezes = await reload();
    return { seconds: (performance.now() - start) / 1000, freezes };
  };
  agent.ready({ role: "primary", workerId: 0, port }, { ...USAGE_COMMANDS, reload: timed } as Commands);
}

async function startSupervisor() {
  const { startCluster } = await import("@holdfast/cluster");
  const running = await startCluster({
    worker: fileURLToPath(import.meta.url),
    workers: config.workers,
    port: 0,
    host: "127.0.0.1",
    control: false,
    log: false,
  });
  let freezes: number[] = [];
  subscribe("holdfast:sticky:landed", (message) => {
    freezes.push((message as { durationMs: number }).durationMs);
  });
  const reload = async () => {
    freezes = [];
    await running.reload();
    return freezes;
  };
  return { port: (running.status().address as { port: number }).port, reload };
}

async function startByHand() {
  const { setupMaster } = await import("@socket.io/sticky");
  const { setupPrimary } = await import("@socket.io/cluster-adapter");
  cluster.setupPrimary({ serialization: "advanced" });
  setupMaster(httpServer, {});
  setupPrimary();
  const fork = async () => {
    const worker = cluster.fork();
    await new Promise<void>((resolve) => {
      worker.on("message", (message) => message === "up" && resolve());
    });
    return worker;
  };
  let workers: Worker[] = await Promise.all(Array.from({ length: config.workers }, fork));
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  // One after another: the new one first, so that there are never less.
  const reload = async () => {
    const old = workers;
    workers = [];
    for (const worker of old) {
      workers.push(await fork());
      const exited = once(worker, "exit");
      worker.send("stop");
      await exited;
    }
    return [];
  };
  return { port: (httpServer.address() as AddressInfo).port, reload };
}

async function startWorker(): Promise<void> {
  const isOurs = config.way === "holdfast";
  const io = new Server(httpServer, {
    pingInterval: PING_INTERVAL_MS,
    serveClient: false,
    ...(isOurs && { connectionStateRecovery: {} }),
  });
  if (isOurs) (await import("@holdfast/cluster")).joinCluster(io);
  else {
    const { setupWorker } = await import("@socket.io/sticky");
    const { createAdapter } = await import("@socket.io/cluster-adapter");
    io.adapter(createAdapter());
    setupWorker(io);
    process.on("message", (message) => {
      if (message !== "stop") return;
      void io.close();
      setTimeout(() => process.exit(), EXIT_MS);
    });
  }
  setInterval(() => io.local.emit("m", "tick"), config.everyMs);
  agent.ready({ role: "worker", workerId: cluster.worker?.id ?? 0, port: 0 }, USAGE_COMMANDS);
  if (!isOurs) process.send?.("up");
}
