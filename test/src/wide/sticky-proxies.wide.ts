/**
 * Real nginx and real HAProxy in front of clusters, with the configuration files of the documentation.
 * Needs Debian's packages nginx-light and haproxy.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  findProgram,
  findRedisServer,
  freePort,
  Program,
  RedisServer,
  untilListening,
  within,
} from "@holdfast/harness";
import { io as connectClient, type Socket } from "socket.io-client";
import { afterEach, describe, expect, test } from "vitest";
import { startsClusters } from "../harness/after-each.js";
import { type TestCluster, untilServers } from "../harness/cluster.js";

const CLIENTS = 100;
const NGINX = findProgram({
  name: "nginx",
  programs: ["nginx"],
  variable: "NGINX_PATH",
  paths: ["/usr/sbin/nginx"],
  cure: "Install Debian's package nginx-light.",
});
const HAPROXY = findProgram({
  name: "HAProxy",
  programs: ["haproxy"],
  variable: "HAPROXY_PATH",
  paths: ["/usr/sbin/haproxy"],
  cure: "Install Debian's package haproxy.",
});
const start = startsClusters({
  workers: 3,
  adapter: false,
  setUpWorker: ({ io, cluster }) =>
    io.on("connection", (socket) => {
      const { address, headers } = socket.handshake;
      socket.on("who", (answer) => answer(cluster.worker?.id, address, headers["x-forwarded-for"]));
    }),
});

/** The documented file, with the ports and, for nginx, the places of its files that the test needs. */
function configure(file: string, directory: string, port: number, hosts: readonly TestCluster[]): string {
  const servers = (line: (port: number, i: number) => string) =>
    hosts.map((host, i) => line(host.port, i)).join("\n");
  const path = fileURLToPath(new URL(`../../../docs/proxies/${file}`, import.meta.url));
  const text = readFileSync(path, "utf8")
    .replace(
      "server 127.0.0.1:3000;",
      servers((own) => `server 127.0.0.1:${own};`),
    )
    .replace(
      "server node 127.0.0.1:3000",
      servers((own, i) => `server node${i} 127.0.0.1:${own}`),
    )
    .replace("listen 8080;", `listen 127.0.0.1:${port};`)
    .replace("bind :8080", `bind 127.0.0.1:${port}`)
    .replace(
      "http {",
      `pid ${directory}/pid;\nhttp {\n  access_log off;\n  client_body_temp_path ${directory};\n  proxy_temp_path ${directory};`,
    );
  const copy = join(directory, file);
  writeFileSync(copy, text);
  return copy;
}

function isNginx(file: string): boolean {
  return file.startsWith("nginx");
}

let proxy: Program | undefined;
afterEach(() => proxy?.close());

async function startProxy(file: string, ...hosts: [TestCluster, ...TestCluster[]]): Promise<number> {
  const [{ directory }] = hosts;
  const port = await freePort();
  const config = configure(file, directory, port, hosts);
  const foreground = ["-e", "stderr", "-g", "daemon off; master_process off;"];
  proxy = isNginx(file)
    ? new Program(String(NGINX), ["-c", config, "-p", directory, ...foreground])
    : new Program(String(HAPROXY), ["-db", "-f", config]);
  const { gone } = proxy;
  const ended = gone.then(() => {
    throw new Error(`${file}: the proxy has ended: ${proxy?.output}`);
  });
  await Promise.race([ended, untilListening(port)]);
  return port;
}

interface Identity {
  readonly workerId: number;
  readonly address: string;
  readonly forwarded: string | undefined;
}

/** Connects, asks three times, and for upgrading clients once more after the upgrade. */
async function visit(port: number, transports: string[], localAddress: string): Promise<Identity> {
  const agent = new Agent({ keepAlive: true, localAddress });
  const socket: Socket = connectClient(`http://127.0.0.1:${port}`, {
    forceNew: true,
    reconnection: false,
    transports,
    agent: agent as never,
  });
  const failed = new Promise<never>((_, reject) => {
    socket.on("connect_error", reject);
    socket.on("disconnect", (reason) => reject(new Error(`disconnected: ${reason}`)));
  });
  failed.catch(() => {});
  const who = (): Promise<Identity> => {
    const answer = new Promise<Identity>((resolve) =>
      socket.emit("who", (workerId: number, address: string, forwarded?: string) =>
        resolve({ workerId, address, forwarded }),
      ),
    );
    return within(Promise.race([answer, failed]), "answer");
  };
  const upgraded =
    transports.length === 1 ? undefined : new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
  await within(Promise.race([once(socket as never, "connect"), failed]), "connection");
  const first = await who();
  for (let i = 0; i < 2; i++) expect(await who()).toEqual(first);
  if (upgraded) await within(Promise.race([upgraded, failed]), "upgrade");
  expect(await who()).toEqual(first);
  socket.off("disconnect").disconnect();
  agent.destroy();
  return first;
}

const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];

async function visitAll(port: number, count = CLIENTS): Promise<[string, Identity][]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i): Promise<[string, Identity]> => {
      const localAddress = `127.0.0.${2 + i}`;
      return [localAddress, await visit(port, TRANSPORTS[i % 3] ?? [], localAddress)];
    }),
  );
}

for (const loadBalancingMethod of ["least-connection", "hash"]) {
  for (const file of ["nginx.conf", "haproxy-http.cfg"]) {
    const missing = isNginx(file) ? !NGINX : !HAPROXY;
    const title = `${CLIENTS} clients through ${file}, ${loadBalancingMethod}`;
    test.skipIf(missing)(title, { timeout: 120_000 }, async () => {
      const cluster = await start({ stickyOptions: { loadBalancingMethod, trustedProxies: ["127.0.0.1"] } });
      const port = await startProxy(file, cluster);
      const seen = await visitAll(port);
      for (const [localAddress, { forwarded }] of seen) expect(forwarded).toBe(localAddress);
      expect(new Set(seen.map(([, { workerId }]) => workerId)).size).toBe(3);
    });
  }
}

for (const loadBalancingMethod of ["least-connection", "hash"]) {
  const title = `${CLIENTS} clients through haproxy-tcp.cfg, ${loadBalancingMethod}`;
  test.skipIf(!HAPROXY)(title, { timeout: 120_000 }, async () => {
    const cluster = await start({ stickyOptions: { loadBalancingMethod, proxyProtocol: true } });
    const port = await startProxy("haproxy-tcp.cfg", cluster);
    const seen = await visitAll(port);
    for (const [localAddress, { address }] of seen) expect(address).toBe(localAddress);
    expect(new Set(seen.map(([, { workerId }]) => workerId)).size).toBe(3);
  });
}

/** Requests that a host's workers have relayed to the other one. */
async function relayedBy({ workers }: TestCluster): Promise<number> {
  const counts = workers.map((worker) => worker.run((ctx) => ctx.sticky.stats().relayedToHosts as number));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

describe.skipIf(!findRedisServer() || !NGINX || !HAPROXY)("two hosts by turns", () => {
  test("clients through nginx.conf and haproxy-http.cfg, which know no affinity", {
    timeout: 180_000,
  }, async () => {
    const redis = await RedisServer.start();
    const host = {
      workers: 2,
      adapter: "@holdfast/adapter",
      joinsHosts: true,
      backplane: { url: redis.url, app: "test" },
      stickyOptions: { hostAddress: "127.0.0.1", trustedProxies: ["127.0.0.1"] },
    } as const;
    try {
      const [one, two] = await Promise.all([start(host), start(host)]);
      await untilServers([...one.workers, ...two.workers], 4);
      for (const each of [one, two]) {
        await each.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 1));
      }
      for (const file of ["nginx.conf", "haproxy-http.cfg"]) {
        const before = await Promise.all([relayedBy(one), relayedBy(two)]);
        const port = await startProxy(file, one, two);
        const seen = await visitAll(port, 30);
        for (const [localAddress, { forwarded }] of seen) expect(forwarded).toBe(localAddress);
        for (const [i, each] of [one, two].entries()) {
          expect(await relayedBy(each)).toBeGreaterThan(before[i] ?? 0);
        }
        await proxy?.close();
      }
    } finally {
      await redis.close();
    }
  });
});
