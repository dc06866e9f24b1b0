/** Sessions whose clients are connected over TLS that ends in the workers: the keys stay where they are. */
import { once } from "node:events";
import { Agent, type RequestOptions, request } from "node:https";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { CERTIFICATE, KEY } from "./harness/certificate.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";

const start = startsClusters({ workers: 2 });

const own = closedAfterEach({
  agent: new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }),
  sockets: [] as WebSocket[],
  close() {
    this.agent.destroy();
    for (const socket of this.sockets.splice(0)) socket.terminate();
  },
});

/** Sets a worker up with a server of its own on `https`, whose sessions can move. */
function serveTls(worker: RemoteWorker): Promise<void> {
  return worker.run(
    async (ctx, key, cert) => {
      const https = await ctx.import("node:https");
      const { Server } = await ctx.import("socket.io");
      const { createAdapter, createMover } = await ctx.import("@holdfast/adapter");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      const io = new Server(https.createServer({ key, cert }), { connectionStateRecovery: {} });
      io.adapter(createAdapter({ scope: "tls" }));
      setupWorker(io, { name: "tls", mover: createMover(io) });
      io.on("connection", (socket) => {
        socket.on("who", (answer) => answer(ctx.cluster.worker?.id, socket.request.socket.remoteAddress));
      });
      ctx.store.tls = io;
    },
    KEY,
    CERTIFICATE,
  );
}

/** A port on which connections go to the worker that {@link leadTo} has named. */
async function listenTls(cluster: TestCluster): Promise<number> {
  const port = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:net");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    ctx.store.router = setupPrimary(server, { name: "tls", selectWorker: () => ctx.store.next });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as AddressInfo).port;
  });
  await Promise.all(cluster.workers.map(serveTls));
  return port;
}

function leadTo({ primary }: TestCluster, { workerId }: RemoteWorker): Promise<void> {
  return primary.run((ctx, next) => {
    ctx.store.next = next;
  }, workerId);
}

async function fetchText(
  port: number,
  path: string,
  options: RequestOptions = {},
  body = "",
): Promise<string> {
  const sent = request({ port, host: "127.0.0.1", path, agent: own.agent, ...options });
  sent.end(body);
  const [answer] = await once(sent, "response");
  return Buffer.concat(await answer.toArray()).toString();
}

async function openWebSocket(port: number, query: string): Promise<WebSocket> {
  const url = `wss://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket${query}`;
  const socket = new WebSocket(url, { rejectUnauthorized: false });
  own.sockets.push(socket);
  await once(socket, "open");
  return socket;
}

/** Sends, and waits for a message that begins so. */
async function ask(socket: WebSocket, text: string, beginning: string): Promise<string> {
  socket.send(text);
  for (;;) {
    const [data] = await once(socket, "message");
    if (String(data).startsWith(beginning)) return String(data);
  }
}

test("a session moves whose TLS ends in another worker; one whose TLS ends in its own is closed", async () => {
  const cluster = await start({});
  const port = await listenTls(cluster);
  await leadTo(cluster, cluster.a);
  const path = "/socket.io/?EIO=4&transport=polling";
  const { sid } = JSON.parse((await fetchText(port, path)).slice(1)) as { sid: string };
  await fetchText(port, `${path}&sid=${sid}`, { method: "POST" }, "40");
  await fetchText(port, `${path}&sid=${sid}`);
  const direct = await openWebSocket(port, "");
  await ask(direct, "40", "40");
  await leadTo(cluster, cluster.b);
  const across = await openWebSocket(port, `&sid=${sid}`);
  await ask(across, "2probe", "3probe");
  across.send("5");
  expect(await ask(across, '420["who"]', "430")).toBe(`430[${cluster.a.workerId},"127.0.0.1"]`);

  const successor = await cluster.fork();
  await cluster.untilJoined();
  await serveTls(successor);
  await cluster.primary.run((ctx) => ctx.until(() => ctx.store.router.stats().workers.length === 3));
  const closed = once(direct, "close");
  const result = await cluster.primary.run(
    (ctx, one, other) =>
      ctx.store.router.retire({ id: one }, { id: other }, { drainTimeout: 200, spread: 0 }),
    cluster.a.workerId,
    successor.workerId,
  );
  expect(result).toMatchObject({ outcome: "done", moved: 1, lost: 0, closed: 1, left: { tls: 1 } });
  expect((await closed)[0]).toBe(1012);
  await cluster.a.kill();
  expect(await ask(across, '421["who"]', "431")).toBe(`431[${successor.workerId},"127.0.0.1"]`);
});
