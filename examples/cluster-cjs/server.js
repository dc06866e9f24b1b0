// The smallest cluster with node:cluster, as CommonJS. With the two official packages it would look the same,
// except for the two lines that name a package.
const cluster = require("node:cluster");
const { createServer } = require("node:http");
const { availableParallelism } = require("node:os");
const { createAdapter, setupPrimary } = require("@holdfast/adapter");
const { setupMaster, setupWorker } = require("@holdfast/sticky");
const { Server } = require("socket.io");

const workers = Number(process.env.WORKERS) || availableParallelism();
const port = Number(process.env.PORT ?? 3000);

if (cluster.isPrimary) {
  const httpServer = createServer();

  // connections → workers
  setupMaster(httpServer, { loadBalancingMethod: "least-connection" });

  // workers → workers
  setupPrimary();

  // The official adapter needs this for binary data. Here it is optional.
  cluster.setupPrimary({ serialization: "advanced" });

  httpServer.listen(port, () => console.log(`port ${httpServer.address().port}`));

  for (let i = 0; i < workers; i++) cluster.fork();

  cluster.on("exit", (worker) => {
    console.log(`worker ${worker.process.pid} is gone`);
    cluster.fork();
  });
} else {
  const httpServer = createServer();
  const io = new Server(httpServer);

  io.adapter(createAdapter());
  setupWorker(io);

  io.on("connection", (socket) => {
    socket.emit("worker", process.pid);
    socket.on("say", (text) => io.emit("said", text));
  });

  console.log(`worker ${process.pid} is up`);
}
