/**
 * A cluster whose workers are replaced while clients are connected: by `@holdfast/cluster`, by PM2, or by hand, as people
 * do it with the official packages. Each worker emits to its own clients many times a second.
 * Program: runs as the primary and, forked, as each worker. PM2 has a primary of its own, which is started here.
 */
import { spawn } from "node:child_process";
import cluster, { type Worker } from "node:cluster";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent, type Commands, freePort, readConfig } from "@holdfast/harness";
import { Server } from "socket.io";
import { USAGE_COMMANDS } from "../lib/usage.js";

export interface ReloadedConfig {
  readonly way: "holdfast" | "by-hand" | "pm2";
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
/** Where PM2's workers listen. */
const PORT_VARIABLE = "BENCH_PORT";

const require = createRequire(import.meta.url);
const STARTS = { holdfast: startSupervisor, "by-hand": startByHand, pm2: startPm2 };
const config = readConfig<ReloadedConfig>();
const agent = new Agent();
const httpServer = createServer();

if (cluster.isPrimary) await startPrimary();
else await startWorker();

async function startPrimary(): Promise<void> {
  const { port, reload } = await STARTS[config.way]();
  const timed = async (): Promise<Reloaded> => {
    const start = performance.now();
    const freezes = await reload();
    return { seconds: (performance.now() - start) / 1000, freezes };
  };
  agent.ready({ role: "primary", workerId: 0, port }, { ...USAGE_COMMANDS, reload: timed } as Commands);
}

/** A cluster that runs. */
interface Running {
  readonly port: number;
  /** Settles with {@link Reloaded.freezes}. */
  reload(): Promise<readonly number[]>;
}

async function startPm2(): Promise<Running> {
  const pm2 = (program: string, ...args: string[]) => [require.resolve(`pm2/bin/${program}`), ...args];
  const home = mkdtempSync(join(tmpdir(), "hf-pm2-"));
  const port = await freePort();
  const env = { ...process.env, PM2_HOME: home, [PORT_VARIABLE]: String(port) };
  const file = fileURLToPath(import.meta.url);
  const start = pm2("pm2-runtime", "start", file, "--instances", String(config.workers), "--name", "bench");
  // It ends with this process, however that ends.
  const bound = ["-c", '"$@" & read _; kill -9 $!; rm -rf "$PM2_HOME"', "sh", process.execPath, ...start];
  spawn("sh", bound, { env, stdio: ["pipe", "ignore", "ignore"] });
  return {
    port,
    reload: async () => {
      const reload = spawn(process.execPath, pm2("pm2", "reload", "bench"), { env, stdio: "ignore" });
      await once(reload, "exit");
      return [];
    },
  };
}

async function startSupervisor(): Promise<Running> {
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

async function startByHand(): Promise<Running> {
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
  else if (config.way === "pm2") {
    httpServer.listen(Number(process.env[PORT_VARIABLE]), "127.0.0.1");
    process.on("SIGINT", leave);
  } else {
    const { setupWorker } = await import("@socket.io/sticky");
    const { createAdapter } = await import("@socket.io/cluster-adapter");
    io.adapter(createAdapter());
    setupWorker(io);
    process.on("message", (message) => message === "stop" && leave());
  }

  function leave(): void {
    void io.close();
    setTimeout(() => process.exit(), EXIT_MS);
  }
  setInterval(() => io.local.emit("m", "tick"), config.everyMs);
  agent.ready({ role: "worker", workerId: cluster.worker?.id ?? 0, port: 0 }, USAGE_COMMANDS);
  if (config.way === "by-hand") process.send?.("up");
}
