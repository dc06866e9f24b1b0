/**
 * The primary: listens, hands every connection to a worker, keeps the workers alive.
 * It runs no chat code itself.
 */
import cluster from "node:cluster";
import { createServer } from "node:http";
import { setupPrimary as setupAdapter } from "@holdfast/adapter";
import { setupPrimary as setupSticky } from "@holdfast/sticky";
import { onNpmGone } from "./npm.js";

const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** A worker that lived this long has earned a quick restart. */
const HEALTHY_AFTER_MS = 10_000;
/** How long workers may take to say goodbye when the chat ends. */
const STOP_WITHIN_MS = 3_000;
const LINES_OF_HISTORY = 30;

export function startPrimary({ host, port, workers }) {
  const httpServer = createServer();
  const router = setupSticky(httpServer, { loadBalancingMethod: "least-connection" });
  setupAdapter();

  /** What happened to the workers, oldest first; the pages show it. */
  const history = [];
  const restarts = new Set();
  let stopping = false;

  function tell(entry) {
    history.push({ at: Date.now(), ...entry });
    if (history.length > LINES_OF_HISTORY) history.shift();
    for (const worker of Object.values(cluster.workers)) report(worker);
  }

  function report(worker) {
    // A worker that dies at this moment needs no report.
    if (worker.isConnected()) worker.send({ type: "chat:history", history }, () => {});
  }

  /** `slot` is the worker's place, 1 to N: whoever replaces worker 2 is worker 2. */
  function start(slot, lastPause = 0) {
    const worker = cluster.fork({ CHAT_SLOT: slot });
    const { pid } = worker.process;
    const bornAt = Date.now();
    worker.once("online", () => tell({ kind: "started", slot, pid }));
    worker.once("exit", (code, signal) => {
      if (stopping) return;
      const healthy = Date.now() - bornAt >= HEALTHY_AFTER_MS;
      const pause = healthy
        ? SHORTEST_PAUSE_MS
        : Math.min(Math.max(SHORTEST_PAUSE_MS, lastPause * 2), LONGEST_PAUSE_MS);
      tell({ kind: "died", slot, pid, reason: signal ?? `exit code ${code}`, pause });
      const restart = setTimeout(() => {
        restarts.delete(restart);
        start(slot, pause);
      }, pause);
      restarts.add(restart);
    });
    return worker;
  }

  function stop() {
    if (stopping) return;
    stopping = true;
    for (const restart of restarts) clearTimeout(restart);
    httpServer.close();
    const alive = Object.values(cluster.workers);
    for (const worker of alive) worker.process.kill("SIGTERM");
    const giveUp = setTimeout(() => {
      for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGKILL");
    }, STOP_WITHIN_MS);
    const exits = alive.map((worker) => new Promise((resolve) => worker.once("exit", resolve)));
    Promise.all(exits).then(() => {
      clearTimeout(giveUp);
      process.exit(0);
    });
  }

  httpServer.on("error", (error) => {
    console.error(
      error.code === "EADDRINUSE"
        ? `Port ${port} is in use. Choose another one: PORT=${port + 1} npm start`
        : `Cannot listen on port ${port}: ${error.message}`,
    );
    process.exit(1);
  });
  httpServer.listen(port, host, () => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
    onNpmGone(stop);
    for (let slot = 1; slot <= workers; slot++) start(slot);
    router.ready(workers).then(() => {
      const url = `http://${nameOf(host)}:${httpServer.address().port}`;
      console.log(`Chat on ${url} (primary ${process.pid}, ${workers} workers). Ctrl+C ends it.`);
    });
  });
}

/** The address as a browser on this machine would write it. */
function nameOf(host) {
  if (host === undefined || host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
