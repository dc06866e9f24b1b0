// Starts a cluster whose workers run app.js, and looks after it: the primary's whole code.
import { availableParallelism } from "node:os";
import { startCluster } from "@holdfast/cluster";

const cluster = await startCluster({
  worker: "./app.js",
  port: Number(process.env.PORT ?? 3000),
  workers: Number(process.env.WORKERS) || availableParallelism(),
});
console.log(`port ${cluster.address.port}`);
