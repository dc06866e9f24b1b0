/**
 * The primary: starts the cluster and keeps what happened to its workers, for the panel.
 * It runs no chat code itself.
 */
import nodeCluster from "node:cluster";
import { randomBytes } from "node:crypto";
import { startCluster } from "@holdfast/cluster";

/** How long workers may take to say goodbye. */
const DRAIN_MS = 2_000;
const STOP_MS = 3_000;
const LINES_OF_HISTORY = 30;

export async function startPrimary({ host, port, workers, adminPort }) {
  // Whoever can read the terminal may give orders in the dashboard.
  const token = randomBytes(12).toString("base64url");

  /** What happened to the workers, oldest first; the pages show it. */
  const history = [];

  function tell(kind, details) {
    history.push({ at: Date.now(), kind, ...details });
    if (history.length > LINES_OF_HISTORY) history.shift();
    for (const worker of Object.values(nodeCluster.workers)) report(worker);
  }

  function report(worker) {
    // A worker that ends at this moment needs no report.
    if (worker.isConnected()) worker.send({ type: "chat:history", history }, () => {});
  }

  const cluster = await start({ host, port, workers, admin: { port: adminPort, token } });
  // People count from 1: whoever replaces worker 2 is worker 2.
  cluster.on("worker:start", ({ slot, pid }) => tell("started", { slot: slot + 1, pid }));
  cluster.on("worker:exit", ({ slot, pid, reason, code, signal }) => {
    const kind = reason === "retired" ? "replaced" : "died";
    tell(kind, { slot: slot + 1, pid, reason: signal ?? `exit code ${code}` });
  });
  // It has missed what was told while it was starting.
  cluster.on("worker:ready", ({ workerId }) => report(nodeCluster.workers[workerId]));
  for (const { slot, pid } of cluster.status().slots) tell("started", { slot: slot + 1, pid });

  // For the example only: a real application gives nobody such a button.
  nodeCluster.on("message", (_, message) => {
    if (message?.type !== "chat:reload") return;
    // The log of the cluster tells if it fails.
    cluster.reload().catch(() => {});
  });

  const url = `http://${nameOf(host)}:${cluster.address.port}`;
  console.log(`Chat on ${url} (primary ${process.pid}, ${workers} workers). Ctrl+C ends it.`);
  console.log(`Dashboard on ${cluster.adminUrl} (for orders, its token is ${token})`);
}

async function start({ host, port, workers, admin }) {
  try {
    return await startCluster({
      worker: new URL("./worker.js", import.meta.url),
      port,
      ...(host && { host }),
      workers,
      admin,
      name: `chat-${process.pid}`,
      drainTimeout: DRAIN_MS,
      stopTimeout: STOP_MS,
      log: console.log,
    });
  } catch (error) {
    if (error.code !== "HOLDFAST_ERR_LISTEN") throw error;
    console.error(
      error.cause?.code === "EADDRINUSE"
        ? `Port ${port} is in use. Choose another one: PORT=${port + 1} npm start`
        : error.message,
    );
    process.exit(1);
  }
}

/** The address as a browser on this machine would write it. */
function nameOf(host) {
  if (host === undefined || host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
