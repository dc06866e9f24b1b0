/** The router with real clusters and clients: every request reaches the worker that holds its session. */

import { once } from "node:events";
import { Agent, get, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { within } from "@holdfast/harness";
import { io as connectClient, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { afterEach, expect, test } from "vitest";
import { whenConnected } from "./harness/clients.js";
import { TestCluster } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";

const clusters: TestCluster[] = [];
const clients: Socket[] = [];

async function start(config: ClusterConfig): Promise<TestCluster> {
  const cluster = await TestCluster.start({ adapter: false, ...config });
  clusters.push(cluster);
  return cluster;
}

async function client(
  cluster: TestCluster,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<Socket> {
  const socket = connectClient(cluster.url, { forceNew: true, reconnection: false, ...options });
  clients.push(socket);
  await whenConnected(socket, cluster.url);
  return socket;
}

afterEach(async () => {
  for (const socket of clients.splice(0)) socket.disconnect();
  await Promise.all(clusters.splice(0).map((cluster) => cluster.close()));
});

function echo(cluster: TestCluster): Promise<unknown> {
  return Promise.all(
    cluster.workers.map((worker) =>
      worker.run((ctx) => {
        ctx.io.on("connection", (socket) => {
          socket.on("echo", (value, answer) => answer(value, ctx.cluster.worker?.id));
        });
      }),
    ),
  );
}

for (const serialization of ["json", "advanced"] as const) {
  test(`polling, WebSocket and upgrade, ${serialization} serialization`, async () => {
    const cluster = await start({ workers: 4, serialization });
    await echo(cluster);
    const served = new Set<unknown>();
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      const sockets = await Promise.all(Array.from({ length: 12 }, () => client(cluster, { transports })));
      for (const socket of sockets) {
        const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        const [value, workerId] = await new Promise<[Buffer, number]>((resolve) =>
          socket.emit("echo", binary, (value: Buffer, workerId: number) => resolve([value, workerId])),
        );
        expect(Buffer.from(value)).toEqual(binary);
        served.add(workerId);
      }
    }
    expect(served.size).toBe(4);
  });
}

test("a burst of 400 connections gives each of 4 workers 100 ± 10", async () => {
  const cluster = await start({ workers: 4 });
  await Promise.all(Array.from({ length: 400 }, () => client(cluster, { transports: ["websocket"] })));
  const counts = await Promise.all(cluster.workers.map((w) => w.run((ctx) => ctx.io.engine.clientsCount)));
  expect(counts.reduce((a, b) => a + b, 0)).toBe(400);
  for (const count of counts) expect(Math.abs(count - 100)).toBeLessThanOrEqual(10);
});

function fetchText(cluster: TestCluster, path: string, agent?: Agent): Promise<[IncomingMessage, string]> {
  return new Promise((resolve, reject) => {
    const outgoing = get(cluster.url + path, { agent: agent ?? false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve([response, text]));
    });
    outgoing.on("error", reject);
  });
}

test("round-robin takes turns", async () => {
  const cluster = await start({ workers: 3, stickyOptions: { loadBalancingMethod: "round-robin" } });
  await Promise.all(
    cluster.workers.map((w) =>
      w.run((ctx) => void ctx.httpServer.on("request", (_, res) => res.end(String(ctx.cluster.worker?.id)))),
    ),
  );
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) ids.push((await fetchText(cluster, "/"))[1]);
  expect(ids).toEqual(["1", "2", "3", "1", "2", "3"]);
});

test("keep-alive stays on and a body of 20 MB arrives unharmed", async () => {
  const cluster = await start({ workers: 2 });
  await Promise.all(
    cluster.workers.map((w) =>
      w.run(async (ctx) => {
        const { createHash } = (await ctx.import("node:crypto")) as typeof import("node:crypto");
        ctx.httpServer.on("request", (req, res) => {
          if (req.url?.startsWith("/socket.io")) return;
          const hash = createHash("sha256");
          req.on("data", (chunk) => hash.update(chunk)).on("end", () => res.end(hash.digest("hex")));
        });
      }),
    ),
  );
  const { createHash, randomBytes } = await import("node:crypto");
  const body = randomBytes(20e6);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const locals = new Set<number | undefined>();
  for (let i = 0; i < 3; i++) {
    const answer = await new Promise<string>((resolve, reject) => {
      const outgoing = request(`${cluster.url}/upload`, { method: "POST", agent }, (response) => {
        let text = "";
        locals.add(response.socket.localPort);
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve(text));
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
    expect(answer).toBe(createHash("sha256").update(body).digest("hex"));
  }
  expect(locals.size).toBe(1);
  agent.destroy();
});

test("without a worker a connection waits, then gets 503", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { workerTimeout: 300 } });
  const [response] = await fetchText(cluster, "/");
  expect(response.statusCode).toBe(503);
  expect(response.headers["retry-after"]).toBe("1");
  expect(response.headers.connection).toBe("close");
});

test("a connection that waits gets the first worker that comes up", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { workerTimeout: 30_000 } });
  const connecting = client(cluster, { transports: ["websocket"] });
  await cluster.fork();
  expect((await connecting).connected).toBe(true);
});

test("the head may come byte by byte", async () => {
  const cluster = await start({ workers: 4 });
  const [, open] = await fetchText(cluster, "/socket.io/?EIO=4&transport=polling");
  const { sid } = JSON.parse(open.slice(1)) as { sid: string };
  for (let i = 0; i < 8; i++) {
    const socket = connect(cluster.port, "127.0.0.1").setNoDelay(true);
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3`;
    for (const char of head) {
      socket.write(char);
      await new Promise(setImmediate);
    }
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    await within(once(socket, "close"), "end of the answer");
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
  }
});
