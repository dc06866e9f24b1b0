/** Workers whose primary has no router: they listen themselves, and find the owners of sessions by themselves. */

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { Agent, type RequestOptions } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { freePort, httpRequest, within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters({
  workers: 3,
  adapter: false,
  router: false,
  env: { XDG_RUNTIME_DIR: "" },
  setUpWorker: (ctx) => {
    ctx.io.on("connection", (socket) => {
      socket.on("who", (answer) => answer(ctx.cluster.worker?.id));
      socket.on("say", (text) => ctx.io.emit("said", text));
    });
  },
});
const clients = closedAfterEach(new Clients());

const SHARED = { port: 0, host: "127.0.0.1" };
const PATH = "/socket.io/?EIO=4&transport=polling";

/** Opens a polling session at a port. */
async function open(url: string, options: RequestOptions = {}): Promise<string> {
  const { text } = await httpRequest(url + PATH, options);
  return (JSON.parse(text.slice(1)) as { sid: string }).sid;
}

async function poll(url: string, sid: string, options: RequestOptions = {}): Promise<string> {
  const { status, text } = await httpRequest(`${url}${PATH}&sid=${sid}`, options);
  return status === 200 ? text : `${status} ${text}`;
}

async function post(url: string, sid: string, body: string, options: RequestOptions = {}): Promise<string> {
  const { text } = await httpRequest(`${url}${PATH}&sid=${sid}`, { ...options, method: "POST" }, body);
  return text;
}

/** The private directories of the cluster, with what is in them. */
function directories({ directory }: TestCluster): Record<string, string[]> {
  const names = readdirSync(directory).filter((name) => name.startsWith("holdfast-"));
  return Object.fromEntries(names.map((name) => [name, readdirSync(join(directory, name))]));
}

const sockets = (cluster: TestCluster): string[] => Object.values(directories(cluster)).flat();

test("requests at the wrong worker are relayed to the owner of their session", async () => {
  const cluster = await start();
  const urls = cluster.workers.map(({ url }) => url);
  for (const home of urls) {
    const sid = await open(home);
    for (const url of urls) expect(await post(url, sid, url === urls[0] ? "40" : '420["who"]')).toBe("ok");
    const first = await poll(urls[1] as string, sid);
    expect(first).toMatch(/^40\{"sid".*/);
  }
  expect(sockets(cluster)).toHaveLength(3);
  const stats = await Promise.all(cluster.workers.map((worker) => worker.run((ctx) => ctx.sticky.stats())));
  for (const { relayed, forwardedIn, received, moved } of stats) {
    expect(relayed).toBeGreaterThan(0);
    expect(forwardedIn).toBeGreaterThan(0);
    expect(received).toBeGreaterThan(0);
    expect(moved).toBe(0);
  }
  expect(cluster.output).toBe("");
});

test("an upgrade at the wrong worker reaches the owner of its session", async () => {
  const { a, b } = await start({ workers: 2 });
  const client = await clients.connect(a.url, { transports: ["polling"], upgrade: false });
  const sid = client.socket.io.engine.id as string;
  const url = `${b.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket&sid=${sid}`;
  const socket = new WebSocket(url);
  socket.once("open", () => socket.send("2probe"));
  const [probed] = await within(once(socket, "message"), "an answer");
  socket.terminate();
  expect(String(probed)).toBe("3probe");
});

/** A session of `a` that upgrades through `b`. */
async function upgrading({ a, b }: TestCluster): Promise<{ sid: string; socket: WebSocket }> {
  const sid = await open(a.url);
  await post(a.url, sid, "40");
  expect(await poll(a.url, sid)).toMatch(/^40/);
  return { sid, socket: await upgrade({ b }, sid) };
}

async function upgrade({ b }: { readonly b: { readonly url: string } }, sid: string): Promise<WebSocket> {
  const socket = new WebSocket(
    `${b.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket&sid=${sid}`,
  );
  await within(once(socket, "open"), "an open WebSocket");
  return socket;
}

async function probe(socket: WebSocket): Promise<void> {
  socket.send("2probe");
  const [answer] = await within(once(socket, "message"), "an answer");
  expect(String(answer)).toBe("3probe");
}

describe("a worker that ends while a client upgrades through it", () => {
  /** Lets `b` end; settles when `a` has heard of it. */
  async function drain({ a, b }: TestCluster): Promise<{ ended: Promise<unknown> }> {
    const sid = await open(a.url);
    await post(a.url, sid, "40");
    expect(await poll(a.url, sid)).toMatch(/^40/);
    const told = poll(b.url, sid);
    const waits = (id: string) =>
      a.run((ctx, of) => {
        const { clients } = ctx.io.engine as never as {
          clients: Record<string, { transport: { writable: boolean } }>;
        };
        return clients[of]?.transport.writable;
      }, id);
    await expect.poll(() => waits(sid)).toBe(true);
    const ended = b.run((ctx) => ctx.sticky.drain({ timeout: 60_000 }));
    expect(await told).toBe("6");
    return { ended };
  }

  test("does not end the WebSocket before the client goes on there, and does then", async () => {
    const cluster = await start({ workers: 2 });
    const { sid, socket } = await upgrading(cluster);
    await probe(socket);
    const { ended } = await drain(cluster);
    expect(await post(cluster.a.url, sid, '420["who"]')).toBe("ok");
    expect(socket.readyState).toBe(WebSocket.OPEN);
    const closed = once(socket, "close");
    expect(await poll(cluster.a.url, sid)).toBe("430[1]");
    socket.send("5");
    await within(closed, "the end of the WebSocket");
    await ended;
    expect(cluster.output).toBe("");
  });

  test("ends it before its probe is answered; the client goes on polling", async () => {
    const cluster = await start({ workers: 2 });
    const { sid, socket } = await upgrading(cluster);
    const closed = once(socket, "close");
    const { ended } = await drain(cluster);
    await within(closed, "the end of the WebSocket");
    await ended;
    expect(await post(cluster.a.url, sid, '420["who"]')).toBe("ok");
    expect(await poll(cluster.a.url, sid)).toBe("430[1]");
  });

  test("does not end: a client that gives up its upgrade keeps its session", async () => {
    const cluster = await start({ workers: 2 });
    const { sid, socket } = await upgrading(cluster);
    await probe(socket);
    socket.terminate();
    await cluster.a.run(async (ctx, id) => {
      type Session = { upgrading: boolean };
      const { clients } = ctx.io.engine as never as { clients: Record<string, Session> };
      await ctx.until(() => !clients[id]?.upgrading);
    }, sid);
    await probe(await upgrade(cluster, sid));
    expect(await post(cluster.a.url, sid, '420["who"]')).toBe("ok");
    expect(await poll(cluster.a.url, sid)).toBe("430[1]");
  });

  test("leaves nothing behind of upgrades, however many a client tries at a time", async () => {
    const cluster = await start({ workers: 2 });
    const { sid, socket } = await upgrading(cluster);
    await probe(socket);
    const refused = await Promise.all(Array.from({ length: 20 }, () => upgrade(cluster, sid)));
    const listeners = () =>
      cluster.a.run((ctx, id) => {
        const { clients } = ctx.io.engine as never as { clients: Record<string, NodeJS.EventEmitter> };
        return clients[id]?.listenerCount("upgrading");
      }, sid);
    expect(await listeners()).toBe(1);
    for (const each of refused) each.terminate();
    socket.send("5");
    await post(cluster.a.url, sid, '420["who"]');
    expect(cluster.output).toBe("");
  });

  test("is killed: its last poll tells the client that the session is over", async () => {
    const cluster = await start({ workers: 2 });
    const { sid, socket } = await upgrading(cluster);
    await probe(socket);
    socket.on("error", () => {});
    await cluster.b.kill();
    let answer = "6";
    while (answer === "6") answer = await poll(cluster.a.url, sid);
    // It may be told before it polls.
    expect(["1", "6\u001e1"]).toContain(answer);
  });
});

test("a connection over which nothing comes, as browsers open some in advance, holds up no end", async () => {
  const { a } = await start({ workers: 1 });
  const { port } = new URL(a.url);
  const silent = connect(Number(port), "127.0.0.1");
  await once(silent, "connect");
  // Connections come in their order.
  await httpRequest(a.url + PATH);
  const closed = once(silent.resume(), "close");
  // Longer than this test may take.
  await a.run((ctx) => ctx.sticky.drain({ timeout: 600_000 }));
  await within(closed, "the end of the connection");
});

test("a session that begins over the last connection of a worker that ends is told of it, by way of another one", async () => {
  const { a, b } = await start({ workers: 2 });
  await a.run((ctx) => {
    ctx.httpServer.once("connection", (connection) => {
      ctx.store.connection = connection;
    });
  });
  const socket = connect(Number(new URL(a.url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n`);
  await a.run(async (ctx) => {
    await ctx.until(() => ctx.store.connection?.bytesRead > 0);
    const { engine } = ctx.io;
    const closed = new Promise<void>((done) => {
      const close = engine.close;
      engine.close = () => {
        done();
        return close.call(engine);
      };
    });
    void ctx.sticky.drain({ timeout: 60_000 });
    await closed;
  });
  socket.write("\r\n");
  const [answer] = await within(once(socket, "data"), "an answer");
  const [, sid] = /"sid":"([^"]+)"/.exec(String(answer)) ?? [];
  expect(sid).toBeDefined();
  await within(once(socket, "close"), "the end of the connection");
  expect(await post(b.url, sid as string, "40")).toBe("ok");
  expect(["1", "6\u001e1"]).toContain(await poll(b.url, sid as string));
});

test.each([["shared by node:cluster", SHARED] as const, ["of each", undefined] as const])(
  "clients of all kinds on a port %s, over a pool of connections",
  { timeout: 60_000 },
  async (_name, listen) => {
    const cluster = await start({ ...(listen && { listen }) });
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const kinds = [["polling"], ["websocket"], ["polling", "websocket"]];
    const all = await Promise.all(
      Array.from({ length: 18 }, (_, i) => {
        const transports = kinds[i % 3] as string[];
        const { url } = cluster.worker(i % 3);
        return clients.connect(url, { transports, ...(i % 2 && { agent: agent as never }) } as never);
      }),
    );
    const workers = await Promise.all(all.map(({ socket }) => socket.emitWithAck("who")));
    for (let round = 0; round < 5; round++) {
      expect(await Promise.all(all.map(({ socket }) => socket.emitWithAck("who")))).toEqual(workers);
    }
    expect(new Set(workers).size).toBe(3);
    agent.destroy();
    expect(cluster.output).toBe("");
  },
);

// CI runs this file on the other lines of Node.js, too.
const HAS_REUSE_PORT = Number(process.versions.node.split(".")[0]) >= 23;
const withReusePort = HAS_REUSE_PORT ? test : () => {};
withReusePort("with reusePort", async () => {
  const port = await freePort();
  const cluster = await start({ listen: { port, host: "127.0.0.1", reusePort: true } });
  const url = `http://127.0.0.1:${port}`;
  const sids = await Promise.all(Array.from({ length: 12 }, () => open(url)));
  for (const sid of sids) expect(await post(url, sid, "40")).toBe("ok");
  for (const sid of sids) expect(await poll(url, sid)).toMatch(/^40/);
  expect(cluster.output).toBe("");
});

test("sessions of a worker that was killed are unknown, those of the others live on; its socket is removed", async () => {
  const cluster = await start();
  const { a, b, c } = cluster;
  const [gone, lives] = [await open(a.url), await open(b.url)];
  const socketsBefore = sockets(cluster);
  await a.kill();
  expect(await poll(c.url, gone)).toMatch(/^400 .*Session ID unknown/);
  expect(await post(c.url, lives, "40")).toBe("ok");
  expect(await poll(c.url, lives)).toMatch(/^40/);
  const d = await cluster.fork();
  const isGone = (name: string) => !sockets(cluster).includes(name);
  await expect.poll(() => socketsBefore.filter(isGone).length).toBe(1);
  expect(sockets(cluster)).toHaveLength(3);
  expect(await post(d.url, lives, "41")).toBe("ok");
});

test("an end by a signal closes the clients first, and leaves nothing", async () => {
  // As PM2 tells it; by itself, it leaves too little time for a busy machine.
  const env = { XDG_RUNTIME_DIR: "", kill_timeout: "20000" };
  const cluster = await start({ listen: SHARED, workers: 2, env });
  const all = await Promise.all(
    [["polling"], ["websocket"], ["polling"], ["websocket"]].map((transports) =>
      clients.connect(cluster.worker(0).url, { transports, reconnection: true, reconnectionDelay: 10 }),
    ),
  );
  const workers = await Promise.all(all.map(({ socket }) => socket.emitWithAck("who")));
  expect(new Set(workers)).toEqual(new Set([1, 2]));
  const { a, b } = cluster;
  const reasons = all.map(({ socket }, i) =>
    workers[i] === a.workerId ? new Promise((done) => socket.once("disconnect", done)) : "none",
  );
  const ended = cluster.primary.run(
    (ctx) =>
      new Promise<string>((done) => ctx.cluster.once("exit", (_worker, _code, signal) => done(signal))),
  );
  process.kill(a.pid, "SIGINT");
  expect(await ended).toBe("SIGINT");
  // The error is of a client that was between two polls.
  for (const [i, reason] of (await Promise.all(reasons)).entries()) {
    const expected = workers[i] === a.workerId ? ["transport close", "transport error"] : ["none"];
    expect(expected).toContain(reason);
  }
  for (const { socket } of all) {
    if (!socket.connected) await new Promise<void>((done) => socket.once("connect", () => done()));
    expect(await socket.emitWithAck("who")).toBe(b.workerId);
  }
  expect(sockets(cluster)).toHaveLength(1);
  process.kill(b.pid, "SIGTERM");
  await expect.poll(() => directories(cluster)).toEqual({});
});

/** Sets a router up in the primary, late; its server listens where the workers do. */
const addRouter = (cluster: TestCluster, port: number, name = "default"): Promise<void> =>
  cluster.primary.run(
    async (ctx, place, of) => {
      const { createServer } = await ctx.import("node:http");
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const server = createServer();
      ctx.store.router = setupPrimary(server, { name: of });
      await new Promise<void>((done, failed) =>
        server.once("error", failed).listen(place, "127.0.0.1", () => done()),
      );
      if (of === "default") await ctx.store.router.ready();
    },
    port,
    name,
  );

test("a router that comes late gets the connections, and the sessions from before live on", async () => {
  const cluster = await start({ listen: SHARED });
  const { url, port } = cluster.worker(0);
  const before = await Promise.all(Array.from({ length: 6 }, () => open(url)));
  await addRouter(cluster, port);
  const after = await Promise.all(Array.from({ length: 6 }, () => open(url)));
  for (const sid of [...before, ...after]) expect(await post(url, sid, "40")).toBe("ok");
  for (const sid of [...before, ...after]) expect(await poll(url, sid)).toMatch(/^40/);
  const { workers } = await cluster.primary.run((ctx) => ctx.store.router.stats());
  expect(workers).toHaveLength(3);
  const tags = new Set([...before, ...after].map((sid) => sid.slice(0, 6)));
  expect(tags.size).toBe(2);
  const d = await cluster.fork();
  expect(d.port).toBe(port);
  expect(cluster.output).toBe("");
});

test("a server that is not set up in the primary by name listens itself, beside a router", async () => {
  const cluster = await start({ listen: SHARED });
  const { url } = cluster.worker(0);
  await addRouter(cluster, 0, "other");
  const sids = await Promise.all(Array.from({ length: 6 }, () => open(url)));
  for (const sid of sids) expect(await post(url, sid, "40")).toBe("ok");
  for (const sid of sids) expect(await poll(url, sid)).toMatch(/^40/);
});

test("close() stops listening; setupWorker() and listen() begin anew", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  const sid = await open(a.url);
  await a.run((ctx) => ctx.sticky.close());
  await expect(poll(a.url, sid)).rejects.toThrow("ECONNREFUSED");
  expect(await post(b.url, sid, "40")).toBe("ok");
  const port = await a.run(async (ctx) => {
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    setupWorker(ctx.io);
    await new Promise<void>((done) =>
      ctx.httpServer.listen({ port: 0, host: "127.0.0.1", exclusive: true }, done),
    );
    return (ctx.httpServer.address() as AddressInfo).port;
  });
  expect(await poll(`http://127.0.0.1:${port}`, sid)).toMatch(/^40/);
});

test("a server that comes after one that was drained relays as any other", async () => {
  const { a, b } = await start({ workers: 2 });
  const sid = await open(a.url);
  await post(b.url, sid, "40");
  expect(await poll(b.url, sid)).toMatch(/^40/);
  await b.run((ctx) => ctx.sticky.drain({ timeout: 5_000 }));
  const port = await b.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupWorker(new Server(server));
    await new Promise<void>((done) => server.listen({ port: 0, host: "127.0.0.1", exclusive: true }, done));
    return (server.address() as AddressInfo).port;
  });
  const url = `http://127.0.0.1:${port}`;
  const waiting = poll(url, sid);
  expect(await post(url, sid, '420["who"]')).toBe("ok");
  expect(await waiting).toBe("430[1]");
  await probe(await upgrade({ b: { url } }, sid));
});

test("who does not listen is told so", { timeout: 60_000 }, async () => {
  const cluster = await start({ workers: 1 });
  const warning = await cluster.worker(0).run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    const handle = setupWorker(new Server(server), { name: "silent" });
    const warned = new Promise<Error & { code?: string }>((done) => handle.once("warning", done));
    const { code, message } = await warned;
    return [code, message, server.listening];
  });
  expect(warning).toEqual([
    "HOLDFAST_ERR_NOT_LISTENING",
    expect.stringContaining("Call httpServer.listen(port) here, or setupPrimary(server) in the primary"),
    false,
  ]);
});

test("arguments of listen() that are wrong are told by the server", async () => {
  const cluster = await start({ workers: 1 });
  const code = await cluster.worker(0).run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupWorker(new Server(server), { name: "wrong" });
    const failed = new Promise<NodeJS.ErrnoException>((done) => server.once("error", done));
    server.listen(70_000);
    return (await failed).code;
  });
  expect(code).toBe("ERR_SOCKET_BAD_PORT");
});

test("servers of several workers that close at the same time do no harm to the primary", async () => {
  const cluster = await start({ workers: 2 });
  await Promise.all(
    cluster.workers.map((worker) =>
      worker.run(async (ctx) => {
        const { createServer } = await ctx.import("node:http");
        const { Server } = await ctx.import("socket.io");
        const { setupWorker } = await ctx.import("@holdfast/sticky");
        const all = ["a", "b", "c"].map((name) => setupWorker(new Server(createServer()), { name }));
        await Promise.all(all.map((sticky) => sticky.close()));
      }),
    ),
  );
  expect(await cluster.primary.run(() => "alive")).toBe("alive");
});
