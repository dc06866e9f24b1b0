/** A cluster as a container's process 1: it shares the container's memory, answers health checks, and ends on SIGTERM. */
import cluster from "node:cluster";
import { createServer } from "node:http";
import { availableParallelism, totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";
import { createAdapter, setupPrimary as setupAdapter } from "@holdfast/adapter";
import { setupPrimary as setupSticky, setupWorker } from "@holdfast/sticky";
import { Server } from "socket.io";

const workers = Number(process.env.WORKERS) || availableParallelism();
const port = Number(process.env.PORT ?? 3000);

if (cluster.isPrimary) {
  const httpServer = createServer();
  const router = setupSticky(httpServer);
  setupAdapter();

  // Left alone, each process takes a heap as if it had the container for itself. A quarter is for what is no heap:
  // buffers, code, stacks.
  const memory = Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  const maxOldSpaceSize = Math.floor((memory * 0.75) / (workers + 1) / 2 ** 20);
  cluster.setupPrimary({ execArgv: [`--max-old-space-size=${maxOldSpaceSize}`] });

  let ending = false;
  cluster.on("exit", (worker) => {
    console.log(`worker ${worker.process.pid} is gone`);
    if (!ending) cluster.fork();
  });
  for (let i = 0; i < workers; i++) cluster.fork();
  router.ready(workers).then(() => {
    httpServer.listen(port, () => console.log(`port ${httpServer.address().port}`));
  });

  const end = () => {
    ending = true;
    httpServer.close();
    cluster.disconnect();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, end);
} else {
  const httpServer = createServer((request, response) => {
    if (request.url !== "/health") return;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ worker: process.pid, heapLimit: getHeapStatistics().heap_size_limit }));
  });
  const io = new Server(httpServer);
  io.adapter(createAdapter());
  const sticky = setupWorker(io);

  io.on("connection", (socket) => {
    socket.emit("worker", process.pid);
    socket.on("say", (text) => io.emit("said", text));
  });

  // Docker kills 10 seconds after SIGTERM.
  const end = () => sticky.drain({ timeout: 8_000 }).then(() => process.exit());
  for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

  console.log(`worker ${process.pid} is up`);
}
