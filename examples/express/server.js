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
  setupSticky(httpServer);
  setupAdapter();
  httpServer.listen(port, () => console.log(`port ${httpServer.address().port}`));
  for (let i = 0; i < workers; i++) cluster.fork();
  cluster.on("exit", (worker) => {
    console.log(`worker ${worker.process.pid} is gone`);
    cluster.fork();
  });
} else {
  const app = express();
  const httpServer = createServer(app);
  const io = new Server(httpServer);
  io.adapter(createAdapter());
  setupWorker(io);

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

  console.log(`worker ${process.pid} is up`);
}
