/** How workers end: what they have begun is finished, nothing new comes, and nothing holds the process. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { request as requestSecure, Agent as SecureAgent } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { RawSocket, within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { CERTIFICATE, KEY } from "./harness/certificate.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

const PATH = "/socket.io/?EIO=4&transport=polling";

/** `/hold` is answered when the test says so, anything else at once, with the worker's id. */
function serve(ctx: WorkerContext): void {
  ctx.store.held = [];
  ctx.httpServer.on("request", (request, response) => {
    if (request.url?.startsWith("/socket.io/")) return;
    if (request.url !== "/hold") return void response.end(String(ctx.cluster.worker?.id));
    ctx.store.held.push(response);
    ctx.emit("holding");
  });
}

const start = startsClusters({
  workers: 2,
  adapter: false,
  stickyOptions: { loadBalancingMethod: "round-robin" },
  setUpWorker: serve,
});
const clients = closedAfterEach(new Clients());
const agents: Agent[] = [];
const sessions: ClientHttp2Session[] = [];
closedAfterEach({
  close() {
    for (const agent of agents.splice(0)) agent.destroy();
    for (const session of sessions.splice(0)) session.destroy();
  },
});

const release = (worker: RemoteWorker): Promise<void> =>
  worker.run((ctx) => {
    for (const response of ctx.store.held.splice(0)) response.end("released");
  });

function keepAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  return agent;
}

interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly text: string;
  readonly socket: Socket;
}

function ask(port: number, path: string, agent: Agent | false = false, body?: string): Promise<Answer> {
  const answer = new Promise<Answer>((resolve, reject) => {
    const receive = (response: IncomingMessage) => {
      const { socket, statusCode: status } = response;
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status, connection: response.headers.connection, text, socket }));
      response.on("error", reject);
    };
    const isSecure = agent instanceof SecureAgent;
    const method = body === undefined ? "GET" : "POST";
    const options = { host: "127.0.0.1", port, path, agent, method, rejectUnauthorized: false };
    const outgoing = isSecure ? requestSecure(options, receive) : request(options, receive);
    outgoing.on("error", reject).end(body);
  });
  return within(answer, `answer to ${path}`);
}

/** A keep-alive connection to that worker. */
async function connectionTo(cluster: TestCluster, worker: RemoteWorker): Promise<[Agent, Socket]> {
  for (let i = 0; i < 20; i++) {
    const agent = keepAlive();
    const { text, socket } = await ask(cluster.port, "/", agent);
    if (text === String(worker.workerId)) return [agent, socket];
    agent.destroy();
  }
  throw new Error(`no connection came to worker ${worker.workerId}`);
}

/** A second server in each worker, with a router of its own in the primary, on the port that is returned. */
async function addServer(cluster: TestCluster, kind: "http" | "https" | "http2"): Promise<number> {
  const port = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:net");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupPrimary(server, { name: "second" });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as AddressInfo).port;
  });
  const add = async (worker: RemoteWorker) => {
    await worker.run(
      async (ctx, which, key, cert) => {
        const http = await ctx.import("node:http");
        const https = await ctx.import("node:https");
        const http2 = await ctx.import("node:http2");
        const { Server } = await ctx.import("socket.io");
        const { setupWorker } = await ctx.import("@holdfast/sticky");
        const server = {
          http: () => http.createServer(),
          https: () => https.createServer({ key, cert }),
          http2: () => http2.createSecureServer({ key, cert, allowHTTP1: true }),
        }[which]();
        Object.assign(ctx, { httpServer: server });
        const io = new Server(server);
        setupWorker(io, { name: "second" });
        Object.assign(ctx.store, { server, io });
      },
      kind,
      KEY,
      CERTIFICATE,
    );
    await worker.run(serve);
  };
  await Promise.all(cluster.workers.map(add));
  return port;
}

describe.each(["http", "https", "http2"] as const)("a worker's %s server that is closed", (kind) => {
  const agentOf = () => {
    if (kind === "http") return keepAlive();
    const agent = new SecureAgent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    return agent;
  };

  test("answers what is in progress, closes what is idle, and calls back without an error", async () => {
    const cluster = await start({ workers: 1 });
    const port = await addServer(cluster, kind);
    const worker = cluster.worker(0);
    const { socket: idle } = await ask(port, "/", agentOf());
    const idleClosed = once(idle, "close");
    const holding = worker.next("holding");
    const held = ask(port, "/hold", agentOf());
    await holding;
    const closed = worker.next("closed");
    const listening = await worker.run((ctx) => {
      ctx.store.told = [];
      const { server } = ctx.store;
      const before = server.listening;
      server.once("close", () => ctx.store.told.push("event"));
      server.close((error?: NodeJS.ErrnoException) => {
        ctx.store.told.push(error?.code ?? "callback");
        ctx.emit("closed");
      });
      return [before, server.listening];
    });
    expect(listening).toEqual([true, false]);
    await within(idleClosed, "end of the idle connection");
    expect(await worker.run((ctx) => ctx.store.told)).toEqual([]);
    await release(worker);
    expect(await held).toMatchObject({ text: "released", connection: "close" });
    await closed;
    expect(await worker.run((ctx) => ctx.store.told)).toEqual(["event", "callback"]);
    const again = worker.run(
      (ctx) =>
        new Promise((resolve) =>
          ctx.store.server.close((error: NodeJS.ErrnoException) => resolve(error.code)),
        ),
    );
    expect(await again).toBe("ERR_SERVER_NOT_RUNNING");
  });

  test("can have its connections closed by force", async () => {
    const cluster = await start({ workers: 1 });
    const port = await addServer(cluster, kind);
    const worker = cluster.worker(0);
    const holding = worker.next("holding");
    const held = ask(port, "/hold", agentOf()).catch((error: NodeJS.ErrnoException) => error.code);
    await holding;
    await worker.run(
      (ctx) =>
        new Promise<void>((resolve, reject) => {
          const { server } = ctx.store;
          server.close((error?: Error) => (error ? reject(error) : resolve()));
          // http2's servers have no such method.
          if (server.closeAllConnections) server.closeAllConnections();
          else for (const response of ctx.store.held) response.socket.destroy();
        }),
    );
    expect(await held).toBe("ECONNRESET");
  });
});

test("HTTP/2 sessions end with the streams that they have when the server takes no more", async () => {
  const cluster = await start({ workers: 1 });
  const port = await addServer(cluster, "http2");
  const worker = cluster.worker(0);
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  sessions.push(session);
  const holding = worker.next("holding");
  const stream = session.request({ ":path": "/hold" });
  await holding;
  const told = once(session, "goaway");
  const closed = worker.run(
    (ctx) => new Promise<void>((resolve) => void ctx.store.server.close(() => resolve())),
  );
  await within(told, "GOAWAY");
  await release(worker);
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) text += chunk;
  expect(text).toBe("released");
  await closed;
});

test("http-terminator ends a worker's server: what is in progress is finished, and there is no error", async () => {
  const cluster = await start({ workers: 1 });
  const worker = cluster.worker(0);
  await worker.run(async (ctx) => {
    const { createHttpTerminator } = await ctx.import("http-terminator");
    const gracefulTerminationTimeout = 600_000;
    ctx.store.terminator = createHttpTerminator({ server: ctx.httpServer, gracefulTerminationTimeout });
  });
  const { socket: idle } = await ask(cluster.port, "/", keepAlive());
  const idleClosed = once(idle, "close");
  const holding = worker.next("holding");
  const held = ask(cluster.port, "/hold", keepAlive());
  await holding;
  await worker.run((ctx) => {
    ctx.store.terminated = ctx.store.terminator.terminate().then(() => "done", String);
  });
  await within(idleClosed, "end of the idle connection");
  await release(worker);
  expect(await held).toMatchObject({ text: "released", connection: "close" });
  expect(await worker.run((ctx) => ctx.store.terminated)).toBe("done");
});

test("io.close() waits for the answers in progress", async () => {
  const cluster = await start({ workers: 1 });
  const worker = cluster.worker(0);
  const holding = worker.next("holding");
  const held = ask(cluster.port, "/hold");
  await holding;
  const closed = worker.run((ctx) => ctx.io.close());
  await release(worker);
  expect((await held).text).toBe("released");
  await closed;
});

/** Sends a packet to every session of the worker. */
const sendToAll = (worker: RemoteWorker, packet: string): Promise<void> =>
  worker.run((ctx, data) => {
    const { clients } = ctx.io.engine as unknown as { clients: Record<string, { send(data: string): void }> };
    for (const socket of Object.values(clients)) socket.send(data);
  }, packet);

test("a poll that a closing worker relays is answered, and its session lives on", async () => {
  const cluster = await start();
  const [owner, closing] = cluster.workers as [RemoteWorker, RemoteWorker];
  const [agent] = await connectionTo(cluster, owner);
  const { sid } = JSON.parse((await ask(cluster.port, PATH, agent)).text.slice(1)) as { sid: string };
  const poll = (through: Agent) => ask(cluster.port, `${PATH}&sid=${sid}`, through);
  const [stray] = await connectionTo(cluster, closing);
  const relayed = owner.run(
    (ctx) => new Promise<void>((resolve) => void ctx.httpServer.once("request", () => resolve())),
  );
  const pending = poll(stray);
  await within(relayed, "relayed poll");
  const closed = closing.run(
    (ctx) => new Promise<void>((resolve) => void ctx.httpServer.close(() => resolve())),
  );
  await sendToAll(owner, "late");
  expect(await pending).toMatchObject({ status: 200, text: "4late", connection: "close" });
  await closed;
  expect(await owner.run((ctx) => ctx.io.engine.clientsCount)).toBe(1);
  await sendToAll(owner, "more");
  expect((await poll(agent)).text).toBe("4more");
});

describe.each(["close()", "disconnect()"] as const)("after %s", (how) => {
  test("idle connections are closed, and the others after their answer", async () => {
    const cluster = await start();
    const [leaving, staying] = cluster.workers as [RemoteWorker, RemoteWorker];
    const [idle, idleSocket] = await connectionTo(cluster, leaving);
    const [busy] = await connectionTo(cluster, leaving);
    const holding = leaving.next("holding");
    const held = ask(cluster.port, "/hold", busy);
    await holding;
    const idleClosed = once(idleSocket, "close");
    if (how === "close()") await leaving.run((ctx) => ctx.sticky.close());
    else
      await cluster.primary.run((ctx, id) => void ctx.cluster.workers?.[id]?.disconnect(), leaving.workerId);
    await within(idleClosed, "end of the idle connection");
    await release(leaving);
    expect(await held).toMatchObject({ text: "released", connection: "close" });
    for (const agent of [idle, busy, idle, busy]) {
      expect((await ask(cluster.port, "/", agent)).text).toBe(String(staying.workerId));
    }
  });
});

test("a worker that closes before the router's welcome gets no connections", async () => {
  const cluster = await start({ sticky: false });
  const port = await cluster.primary.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupPrimary(server, { loadBalancingMethod: "round-robin" });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as AddressInfo).port;
  });
  const setUp = (worker: RemoteWorker, closes: boolean): Promise<void> =>
    worker.run(async (ctx, now) => {
      const { createServer } = await ctx.import("node:http");
      const { Server } = await ctx.import("socket.io");
      const { setupWorker } = await ctx.import("@holdfast/sticky");
      const server = createServer((_, response) => void response.end(String(ctx.cluster.worker?.id)));
      const sticky = setupWorker(new Server(server));
      // In the same turn, so that no answer of the router can have come.
      if (now) await sticky.close();
    }, closes);
  const [closing, staying] = cluster.workers as [RemoteWorker, RemoteWorker];
  await setUp(closing, true);
  await setUp(staying, false);
  for (let i = 0; i < 4; i++) expect((await ask(port, "/")).text).toBe(String(staying.workerId));
});

describe("drain()", () => {
  /** A cluster with the adapter, and a client of the worker that is to be drained. */
  async function startWithClient(transport: "polling" | "websocket") {
    const cluster = await start({ adapter: "@holdfast/adapter" });
    const client = await clients.connect(cluster.url, {
      transports: [transport],
      reconnection: true,
      reconnectionDelay: 10,
    });
    const own = await Promise.all(
      cluster.workers.map((worker) => worker.run((ctx, id) => ctx.io.sockets.sockets.has(id), client.id)),
    );
    const draining = cluster.workers[own.indexOf(true)] as RemoteWorker;
    const staying = cluster.workers[own.indexOf(false)] as RemoteWorker;
    return { cluster, client, draining, staying };
  }

  test.each(["polling", "websocket"] as const)(
    "finishes requests with all that they say, then sends %s clients elsewhere, and nothing holds the process",
    async (transport) => {
      const { cluster, client, draining, staying } = await startWithClient(transport);
      const other = await clients.connect(cluster.url);
      const [agent] = await connectionTo(cluster, draining);
      const holding = draining.next("holding");
      const held = ask(cluster.port, "/hold", agent);
      await holding;
      const left = new Promise((resolve) => client.socket.once("disconnect", resolve));
      const back = new Promise<void>((resolve) => client.socket.once("connect", () => resolve()));
      await draining.run((ctx) => {
        ctx.store.drained = ctx.sticky.drain();
        ctx.store.isSame = ctx.sticky.drain() === ctx.store.drained;
      });
      const heard = Promise.all([client, other].map((each) => each.next("said")));
      await draining.run((ctx) => void ctx.io.emit("said", "before I go"));
      expect(await heard).toEqual([["before I go"], ["before I go"]]);
      await release(draining);
      expect(await held).toMatchObject({ text: "released", connection: "close" });
      // In either case Socket.IO's client comes back by itself; the error is of one that took too long between two polls.
      expect(["transport close", "transport error"]).toContain(await within(left, "disconnection"));
      expect(await draining.run((ctx) => ctx.store.drained.then(() => ctx.store.isSame))).toBe(true);
      await within(back, "reconnection");
      expect(await staying.run((ctx, id) => ctx.io.sockets.sockets.has(id), client.id)).toBe(true);
      await draining.run((ctx) => {
        ctx.release();
        setImmediate(() => ctx.cluster.worker?.disconnect());
      });
      await within(draining.gone, "end of the process");
      expect(cluster.output).toBe("");
    },
  );

  test("takes no new connection while it waits: all go to the other worker", async () => {
    const cluster = await start();
    const [draining, other] = cluster.workers as [RemoteWorker, RemoteWorker];
    const [agent] = await connectionTo(cluster, draining);
    const holding = draining.next("holding");
    const held = ask(cluster.port, "/hold", agent);
    await holding;
    await cluster.primary.run((ctx) => {
      ctx.store.left = new Promise<void>((resolve) => ctx.router.once("worker:gone", () => resolve()));
    });
    await draining.run((ctx) => {
      ctx.store.came = 0;
      ctx.httpServer.on("connection", () => ctx.store.came++);
      ctx.store.drained = ctx.sticky.drain();
    });
    await cluster.primary.run((ctx) => ctx.store.left);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => ask(cluster.port, i % 2 === 0 ? "/" : PATH, keepAlive())),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    const ids = answers.map(({ text }) => text).filter((text) => !text.startsWith("0{"));
    expect(ids).toEqual(Array.from({ length: 20 }, () => String(other.workerId)));
    expect(await other.run((ctx) => ctx.io.engine.clientsCount)).toBe(20);
    expect(await draining.run((ctx) => [ctx.store.came, ctx.store.held.length])).toEqual([0, 1]);
    await release(draining);
    expect(await held).toMatchObject({ text: "released", connection: "close" });
    await draining.run((ctx) => ctx.store.drained);
  });

  test("leaves idle connections open for a moment: what clients ask when they hear of it comes over any of them", async () => {
    const cluster = await start();
    const [draining, other] = cluster.workers as [RemoteWorker, RemoteWorker];
    const openSession = async (worker: RemoteWorker) => {
      const [agent] = await connectionTo(cluster, worker);
      const { sid } = JSON.parse((await ask(cluster.port, PATH, agent)).text.slice(1)) as { sid: string };
      return { agent, sid };
    };
    const [own, strays] = [await openSession(draining), await openSession(other)];
    const connections: Agent[] = [];
    for (let i = 0; i < 5; i++) connections.push((await connectionTo(cluster, draining))[0]);
    const [polling, stray, sending, beginning, idle] = connections as [Agent, Agent, Agent, Agent, Agent];
    await sendToAll(draining, "x");
    await sendToAll(other, "x");
    await draining.run((ctx) => {
      ctx.store.sockets = [];
      ctx.httpServer.prependListener("request", ({ socket }, response) => {
        ctx.store.sockets.push(socket);
        ctx.store.response = response;
      });
    });
    const forOther = `${PATH}&sid=${strays.sid}`;
    await Promise.all([
      ask(cluster.port, `${PATH}&sid=${own.sid}`, polling),
      ask(cluster.port, forOther, stray),
      ask(cluster.port, `${PATH}&sid=${own.sid}`, sending, "40"),
      ask(cluster.port, PATH, beginning),
      ask(cluster.port, "/", idle),
    ]);
    const [waiting] = await connectionTo(cluster, draining);
    const poll = ask(cluster.port, forOther, waiting);
    await draining.run((ctx) => ctx.until(() => ctx.store.response.req.url.includes("sid")));
    const closed = await draining.run((ctx) => {
      const answered = new Promise<boolean[]>((resolve) => {
        ctx.store.response.once("close", () =>
          resolve(ctx.store.sockets.map(({ destroyed }: Socket) => destroyed)),
        );
      });
      void ctx.sticky.drain();
      return answered;
    });
    expect((await poll).text).toBe("6");
    // The last two brought the worker's id and the poll that waited; that connection closes with its answer.
    expect(closed.slice(0, 5)).toEqual([false, false, false, false, false]);
  });

  test("cuts at its timeout what does not end", async () => {
    const cluster = await start({ workers: 1 });
    const worker = cluster.worker(0);
    const holding = worker.next("holding");
    const held = ask(cluster.port, "/hold").catch((error: NodeJS.ErrnoException) => error.code);
    await holding;
    // A client that never answers the closing handshake.
    const deaf = new RawSocket(cluster.port);
    deaf.write(
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await deaf.until("101 Switching Protocols");
    await worker.run((ctx) => ctx.sticky.drain({ timeout: 100 }));
    expect(await held).toBe("ECONNRESET");
    await within(deaf.closed, "end of the WebSocket");
  });

  test("settles when the application's listeners throw, whether the clients hear of it in time or not", async () => {
    const cluster = await start({ workers: 2 });
    const drain = (worker: RemoteWorker, isDeaf: boolean, timeout: number) =>
      worker.run(
        async (ctx, hearsNothing, ms) => {
          const thrown: string[] = [];
          process.on("uncaughtException", ({ message }, origin) => thrown.push(`${message}, ${origin}`));
          for (const socket of ctx.io.sockets.sockets.values()) {
            socket.on("disconnect", () => {
              throw new Error("disconnect");
            });
            if (!hearsNothing) continue;
            // As when its connection takes no more.
            (socket.conn.transport as { writable: boolean }).writable = false;
            socket.emit("news");
          }
          await ctx.sticky.drain({ timeout: ms });
          return [ctx.httpServer.listening, thrown];
        },
        isDeaf,
        timeout,
      );
    for (let i = 0; i < 4; i++) await clients.connect(cluster.url);
    const [inTime, late] = cluster.workers as [RemoteWorker, RemoteWorker];
    const thrown = "disconnect, uncaughtException";
    const ended = [false, [thrown, thrown]];
    // The first has more time than the test.
    expect(await drain(inTime, false, 600_000)).toEqual(ended);
    expect(await drain(late, true, 200)).toEqual(ended);
  });

  test("settles in a worker that is disconnected, and with a server that is closed", async () => {
    const cluster = await start();
    const [first, second] = cluster.workers as [RemoteWorker, RemoteWorker];
    await first.run((ctx) => {
      ctx.store.drained = new Promise<void>((resolve) => {
        process.once("disconnect", () => resolve(ctx.sticky.drain()));
      });
    });
    const drained = first.run((ctx) => ctx.store.drained as Promise<void>);
    await cluster.primary.run((ctx, id) => void ctx.cluster.workers?.[id]?.disconnect(), first.workerId);
    await drained;
    await second.run(async (ctx) => {
      await ctx.io.close();
      await ctx.sticky.drain();
    });
  });

  test("refuses options that it does not have", async () => {
    const cluster = await start({ workers: 1 });
    const codes = cluster.worker(0).run((ctx) =>
      [{ timeout: -1 }, { timeout: "1s" }, { deadline: 1 }].map((options) => {
        try {
          return ctx.sticky.drain(options);
        } catch (error) {
          return (error as { code: string }).code;
        }
      }),
    );
    expect(new Set(await codes)).toEqual(new Set(["HOLDFAST_ERR_INVALID_OPTION"]));
  });
});

test("after relays between them, workers end by themselves when they are disconnected", async () => {
  const cluster = await start({ workers: 2 });
  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const [agent] = await connectionTo(cluster, cluster.worker(from));
    const [other] = await connectionTo(cluster, cluster.worker(to));
    const { sid } = JSON.parse((await ask(cluster.port, PATH, agent)).text.slice(1)) as { sid: string };
    // A poll that is relayed and answered leaves an idle connection between the two.
    const poll = ask(cluster.port, `${PATH}&sid=${sid}`, other);
    await cluster.worker(from).run((ctx) => ctx.until(() => ctx.sticky.stats().forwardedIn > 0));
    await sendToAll(cluster.worker(from), "x");
    expect((await poll).text).toBe("4x");
    await cluster.worker(from).run((ctx) => void (ctx.io.engine as unknown as { close(): void }).close());
  }
  for (const agent of agents.splice(0)) agent.destroy();
  await Promise.all(cluster.workers.map((worker) => worker.run((ctx) => ctx.release())));
  const gone = cluster.workers.map((worker) => worker.gone);
  await cluster.primary.run((ctx) => ctx.cluster.disconnect());
  await within(Promise.all(gone), "end of the workers");
});

test("many Socket.IO servers on one HTTP server warn of nothing", async () => {
  const cluster = await start({ workers: 1 });
  await cluster.worker(0).run(async (ctx) => {
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    // With one more, Socket.IO itself would have so many listeners that Node.js warns.
    for (let i = 0; i < 8; i++) {
      const io = new Server(ctx.httpServer, { path: `/path-${i}/` });
      io.adapter(createAdapter({ onError: () => {} }) as never);
      setupWorker(io);
    }
    await new Promise(setImmediate);
  });
  expect(cluster.output).toBe("");
});
