// Stands for what is around the hosts: starts Redis, two hosts, and a load balancer without any affinity.
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";

const hosts = [];
let isStopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);

const REDIS_URL = process.env.REDIS_URL ?? (await startRedis());
for (let i = 0; i < 2 && !isStopping; i++) {
  hosts.push(
    fork(new URL("host.js", import.meta.url), { env: { ...process.env, REDIS_URL, HOST_PORT: "0" } }),
  );
}
const ports = await Promise.all(hosts.map(async (host) => (await once(host, "message"))[0]));

let turn = 0;
const balancer = createServer((client) => {
  const host = connect(ports[turn++ % ports.length]);
  client.pipe(host).pipe(client);
  client.on("error", () => host.destroy()).on("close", () => host.destroy());
  host.on("error", () => client.destroy()).on("close", () => client.destroy());
});
balancer.listen(process.env.PORT ?? 3000, () => console.log(`port ${balancer.address().port}`));

async function stop() {
  if (isStopping) return;
  isStopping = true;
  for (const host of hosts) host.kill("SIGTERM");
  await Promise.all(hosts.map((host) => host.exitCode ?? host.signalCode ?? once(host, "exit")));
  process.exit();
}

async function startRedis() {
  const port = await freePort();
  const place = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  // In a group of its own: Ctrl+C is for the hosts first.
  const server = spawn("redis-server", place, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => server.kill());
  server.on("error", () => {
    console.error("There is no redis-server to start. Install it, or set REDIS_URL.");
    process.exit(1);
  });
  await once(server.stdout, "data");
  // What it says is of no interest, and has to go somewhere.
  server.stdout.resume();
  return `redis://127.0.0.1:${port}`;
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}
