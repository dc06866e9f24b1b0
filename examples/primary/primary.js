/**
 * The primary of any application: `node primary.js app.js`. Each worker runs the application as if it were alone. What
 * calls listen() there opens no port: the router has it.
 */
import cluster from "node:cluster";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { setupPrimary as setupAdapter } from "@holdfast/adapter";
import { setupPrimary as setupSticky } from "@holdfast/sticky";

const workers = Number(process.env.WORKERS) || availableParallelism();
const port = Number(process.env.PORT ?? 3000);
const [app] = process.argv.slice(2);

const httpServer = createServer();
const router = setupSticky(httpServer);
setupAdapter();
cluster.setupPrimary({ exec: app });

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
