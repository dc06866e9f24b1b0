/** An Express application, uploads included, and Socket.IO on the same server, on all cores. */
import cluster from "node:cluster";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { createAdapter, setupPrimary as setupAdapter } from "@holdfast/adapter";
import { setupPrimary as setupSticky, setupWorker } from "@holdfast/sticky";
import express from "express";
import { Server } from "socket.io";

const workers = Number(process.env.WORKERS) || availableParallelism();
const port = Number(process.env.PORT ?? 3000);

if (cluster.isPrimary) {
  const httpServer = createServer();
  const router = setupSticky(httpServer);
  setupAdapter();

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
  const app = express();
  const httpServer = createServer(app);
  const io = new Server(httpServer);
  io.adapter(createAdapter());
  const sticky = setupWorker(io);

  app.get("/", (_request, response) => {
    response.json({ worker: process.pid });
  });

  // Whoever is connected, to whichever worker, is told of every upload.
  app.post("/upload", async (request, response) => {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of request) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    const upload = { bytes, sha256: hash.digest("hex") };
    io.emit("uploaded", upload);
    response.json({ ...upload, worker: process.pid });
  });

  io.on("connection", (socket) => {
    socket.emit("worker", process.pid);
    socket.on("say", (text) => io.emit("said", text));
  });

  // Uploads that have begun are finished.
  const end = () => sticky.drain({ timeout: 30_000 }).then(() => process.exit());
  for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

  console.log(`worker ${process.pid} is up`);
}
