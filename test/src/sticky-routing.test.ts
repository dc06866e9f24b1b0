/** The router with real clusters and clients: every request reaches the worker that holds its session. */

import { createHash, randomBytes } from "node:crypto";
import { Agent } from "node:http";
import { httpRequest, RawSocket } from "@holdfast/harness";
import type { Socket } from "socket.io-client";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { type ClientOptions, Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

const start = startsClusters({ adapter: false });
const clients = closedAfterEach(new Clients());

async function client(cluster: TestCluster, options: ClientOptions): Promise<Socket> {
  return (await clients.connect(cluster.url, options)).socket;
}

function echo({ io, cluster }: WorkerContext): void {
  io.on("connection", (socket) => {
    socket.on("echo", (value, answer) => answer(value, cluster.worker?.id));
  });
}

for (const serialization of ["json", "advanced"] as const) {
  test(`polling, WebSocket and upgrade, ${serialization} serialization`, async () => {
    const cluster = await start({ workers: 4, serialization, setUpWorker: echo });
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

test("round-robin takes turns", async () => {
  const cluster = await start({
    workers: 3,
    stickyOptions: { loadBalancingMethod: "round-robin" },
    setUpWorker: (ctx) => ctx.httpServer.on("request", (_, res) => res.end(String(ctx.cluster.worker?.id))),
  });
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) ids.push((await httpRequest(cluster.url)).text);
  expect(ids).toEqual(["1", "2", "3", "1", "2", "3"]);
});

test("keep-alive stays on and a body of 20 MB arrives unharmed", async () => {
  const cluster = await start({
    setUpWorker: async (ctx) => {
      const { createHash } = await ctx.import("node:crypto");
      ctx.httpServer.on("request", (req, res) => {
        if (req.url?.startsWith("/socket.io")) return;
        const hash = createHash("sha256");
        req.on("data", (chunk) => hash.update(chunk)).on("end", () => res.end(hash.digest("hex")));
      });
    },
  });
  const body = randomBytes(20e6);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const locals = new Set<number | undefined>();
  for (let i = 0; i < 3; i++) {
    const { text, localPort } = await httpRequest(`${cluster.url}/upload`, { method: "POST", agent }, body);
    locals.add(localPort);
    expect(text).toBe(createHash("sha256").update(body).digest("hex"));
  }
  expect(locals.size).toBe(1);
  agent.destroy();
});

test("without a worker a connection waits, then gets 503", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { workerTimeout: 300 } });
  const { status, headers } = await httpRequest(cluster.url);
  expect(status).toBe(503);
  expect(headers["retry-after"]).toBe("1");
  expect(headers.connection).toBe("close");
});

test("a connection that waits gets the first worker that comes up", async () => {
  const cluster = await start({ workers: 0, stickyOptions: { workerTimeout: 30_000 } });
  const connecting = client(cluster, { transports: ["websocket"] });
  await cluster.fork();
  expect((await connecting).connected).toBe(true);
});

test("the head may come byte by byte", async () => {
  const cluster = await start({ workers: 4 });
  const { text } = await httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  for (let i = 0; i < 8; i++) {
    const raw = new RawSocket(cluster.port);
    raw.socket.setNoDelay(true);
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3`;
    for (const char of head) {
      raw.write(char);
      await new Promise(setImmediate);
    }
    expect(await raw.whole()).toMatch(/^HTTP\/1.1 200 /);
  }
});
