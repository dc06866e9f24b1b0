// The smallest cluster with node:cluster, as CommonJS. With the two official packages it would look the same,
// except for the two lines that name a package, and without ready() and drain().
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
  const router = setupMaster(httpServer, { loadBalancingMethod: "least-connection" });

  // workers → workers
  setupPrimary();

  // The official adapter needs this for binary data. Here it is optional.
  cluster.setupPrimary({ serialization: "advanced" });

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
  const httpServer = createServer();
  const io = new Server(httpServer);

  io.adapter(createAdapter());
  const sticky = setupWorker(io);

  io.on("connection", (socket) => {
    socket.emit("worker", process.pid);
    socket.on("say", (text) => io.emit("said", text));
  });

  // Finishes what it has begun, when the primary disconnects it or somebody ends it.
  const end = () => sticky.drain().then(() => process.exit());
  for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

  console.log(`worker ${process.pid} is up`);
}
