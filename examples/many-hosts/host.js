// What runs on each host: a cluster that Redis joins with those of the other hosts.
import { redisStreams } from "@holdfast/adapter/redis-streams";
import { startCluster } from "@holdfast/cluster";

const cluster = await startCluster({
  worker: "./app.js",
  port: Number(process.env.HOST_PORT ?? 3000),
  workers: Number(process.env.WORKERS) || 2,
  adapter: { backplane: redisStreams({ url: process.env.REDIS_URL, app: "many-hosts" }) },
  // Hosts of one machine reach each other here; on machines of their own, leave it out.
  sticky: { hostAddress: "127.0.0.1" },
});

// Only server.js wants to know; when it is gone, so is its load balancer.
process.once("disconnect", () => cluster.stop());
process.send?.(cluster.address.port, () => {});
