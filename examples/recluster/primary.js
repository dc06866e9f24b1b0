// The primary of a cluster that recluster keeps alive. `kill -USR2 <pid of this process>` replaces all
// workers by new ones that run the worker file as it is on the disk by then.
const { createServer } = require("node:http");
const { availableParallelism } = require("node:os");
const { join } = require("node:path");
const cluster = require("node:cluster");
const { setupPrimary } = require("@holdfast/adapter");
const { setupMaster } = require("@holdfast/sticky");
const recluster = require("recluster");

const httpServer = createServer();

const workers = Number(process.env.WORKERS) || availableParallelism();
const router = setupMaster(httpServer, { loadBalancingMethod: "least-connection" });
setupPrimary();

const balancer = recluster(join(__dirname, "worker.js"), {
  workers,
  timeout: 5, // seconds that an old worker has to finish
});

balancer.run();

router.ready(workers).then(() => {
  httpServer.listen(Number(process.env.PORT ?? 3000), () => {
    console.log(`port ${httpServer.address().port}`);
  });
});

process.on("SIGUSR2", () => {
  console.log("reloading");
  balancer.reload(() => console.log("reloaded"));
});

const end = () => {
  balancer.stop(); // it would replace the workers
  httpServer.close();
  cluster.disconnect();
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, end);
