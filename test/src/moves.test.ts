/** Live sessions that move to another worker while their clients stay connected. */
import { Agent } from "node:http";
import type { PrimaryStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";
import { CONTINUATION, clientFrame, RawWebSocket } from "./harness/raw-websocket.js";

const start = startsClusters({ workers: 1, moves: true, io: { connectionStateRecovery: {} } }, (cluster) =>
  cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());
const raw: RawWebSocket[] = closedAfterEach(
  Object.assign([], {
    close(this: RawWebSocket[]) {
      for (const client of this.splice(0)) client.close();
    },
  }),
);

async function openRaw(cluster: TestCluster): Promise<RawWebSocket> {
  const client = await RawWebSocket.open(cluster.port);
  raw.push(client);
  return client;
}

/** Moves all sessions of a worker, and gives what came of it. */
async function retire(cluster: TestCluster, worker: RemoteWorker, successor: RemoteWorker, options = {}) {
  return cluster.primary.run(
    async (ctx, from, to, opts) => ctx.router.retire({ id: from }, { id: to }, opts),
    worker.workerId,
    successor.workerId,
    options,
  );
}

/** Why the client was disconnected so far. */
function disconnectsOf({ socket }: TestClient): string[] {
  const reasons: string[] = [];
  socket.on("disconnect", (reason) => reasons.push(reason));
  return reasons;
}

test("a client stays connected while its session moves, with its id, rooms and data", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        if (!socket.recovered) {
          socket.data.name = "x";
          void socket.join(["tea", "milk"]);
        }
        socket.on("where", (answer) =>
          answer([ctx.cluster.worker?.id, socket.id, socket.recovered, socket.request.headers.host]),
        );
        socket.on("handover", () => ctx.emit("handover", socket.id));
      });
    },
  });
  const client = await clients.connect(cluster.url);
  const disconnects = disconnectsOf(client);
  const { id } = client;
  const b = await cluster.fork();
  await cluster.untilJoined();
  const handover = cluster.a.next("handover");
  await cluster.primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    subscribe("holdfast:sticky:landed", (message: unknown) => ctx.emit("landed", message));
  });
  const landed = cluster.primary.next("landed");
  expect(await retire(cluster, cluster.a, b)).toEqual({
    outcome: "done",
    total: 1,
    moved: 1,
    lost: 0,
    closed: 0,
    left: {},
  });
  expect(await handover).toBe(id);
  expect(await client.socket.emitWithAck("where")).toEqual([
    b.workerId,
    id,
    true,
    `127.0.0.1:${cluster.port}`,
  ]);
  expect(disconnects).toEqual([]);
  expect(await landed).toEqual({
    name: "default",
    workerId: cluster.a.workerId,
    successor: b.workerId,
    durationMs: expect.any(Number),
  });
  const stats = await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const now = ctx.router.stats();
      return now.slots[1]?.sessions.opened === 1 && now.slots[0]?.sessions.open.websocket === 0 && now;
    }),
  );
  expect(stats.moves).toEqual({ underway: 0, moved: 1, polling: 0, lost: 0, closed: 0, waited: 0 });
  expect(stats.moveDuration.count).toBe(1);
  expect(stats.moveDuration.sumMs).toBeGreaterThan(0);
  expect(stats.slots[0]?.sessions.ended).toMatchObject({ "moved away": 1, "transport close": 0 });
  client.close();
  const slots = await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const now = (ctx.router.stats() as PrimaryStats).slots;
      return now.every(({ connections }) => connections === 0) && now;
    }),
  );
  for (const { handedOver, closed } of slots) expect(closed).toBe(handedOver);
  expect(cluster.output).toBe("");
});

test.each([
  ["skipped", {}, 0],
  ["run again where they are not to be skipped", { skipMiddlewares: false }, 1],
])("middlewares of the new worker are %s", async (_what, connectionStateRecovery, times) => {
  const cluster = await start({
    io: { connectionStateRecovery },
    setUpWorker: (ctx) => {
      ctx.store.times = 0;
      ctx.io.use((_socket, next) => {
        ctx.store.times++;
        next();
      });
    },
  });
  const client = await clients.connect(cluster.url);
  const disconnects = disconnectsOf(client);
  const b = await cluster.fork();
  await cluster.untilJoined();
  expect(await retire(cluster, cluster.a, b)).toMatchObject({ outcome: "done", moved: 1 });
  expect(await b.run((ctx) => [ctx.io.sockets.sockets.size, ctx.store.times])).toEqual([1, times]);
  expect(disconnects).toEqual([]);
});

test("whoever watches how far it is and throws is uncaught, and the sessions move", async () => {
  const cluster = await start();
  const client = await clients.connect(cluster.url);
  const disconnects = disconnectsOf(client);
  const successor = await cluster.fork();
  const [result, thrown] = await cluster.primary.run(
    async (ctx, from, to) => {
      const all: string[] = [];
      process.on("uncaughtException", ({ message }) => all.push(message));
      const onProgress = () => {
        throw new Error("mine");
      };
      return [await ctx.router.retire({ id: from }, { id: to }, { onProgress }), all];
    },
    cluster.a.workerId,
    successor.workerId,
  );
  expect(result).toMatchObject({ outcome: "done", moved: 1 });
  expect(new Set(thrown)).toEqual(new Set(["mine"]));
  expect(disconnects).toEqual([]);
});

const ECHO: ClusterConfig["setUpWorker"] = (ctx) => {
  ctx.io.on("connection", (socket) => {
    socket.on("echo", (value, extra) => socket.emit("echoed", value, extra, ctx.cluster.worker?.id));
  });
};

/** Moves the sessions of the first worker to a new one, which it gives. */
async function moveAll(cluster: TestCluster, options?: object): Promise<RemoteWorker> {
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const { moved, lost, closed } = await retire(cluster, cluster.a, successor, options);
  expect({ lost, closed }).toEqual({ lost: 0, closed: 0 });
  expect(moved).toBeGreaterThan(0);
  return successor;
}

const TEXT = clientFrame(`42["echo","${"x".repeat(200)}"]`);
const BINARY = clientFrame('451-["echo","with",{"_placeholder":true,"num":0}]');
const ATTACHMENT = clientFrame(Buffer.from([1, 2, 3]));

/** What a client has sent when its session moves, and what it sends then. */
const CUTS: [string, Buffer[], Buffer[], string][] = [
  ["before a frame", [], [TEXT], "xxx"],
  ["in the first byte of its head", [TEXT.subarray(0, 1)], [TEXT.subarray(1)], "xxx"],
  ["in its length", [TEXT.subarray(0, 3)], [TEXT.subarray(3)], "xxx"],
  ["in its mask", [TEXT.subarray(0, 6)], [TEXT.subarray(6)], "xxx"],
  ["in its data", [TEXT.subarray(0, 50)], [TEXT.subarray(50)], "xxx"],
  ["before an attachment", [BINARY], [ATTACHMENT], "with"],
  ["in an attachment", [BINARY, ATTACHMENT.subarray(0, 7)], [ATTACHMENT.subarray(7)], "with"],
  [
    "between fragments",
    [clientFrame('42["echo",', { fin: false })],
    [clientFrame('"parts"]', { opcode: CONTINUATION })],
    "parts",
  ],
  [
    "in the second fragment, with a pong before",
    [
      clientFrame('42["echo",', { fin: false }),
      clientFrame(Buffer.alloc(0), { opcode: 10 }),
      clientFrame('"parts"]', { opcode: CONTINUATION }).subarray(0, 8),
    ],
    [clientFrame('"parts"]', { opcode: CONTINUATION }).subarray(8)],
    "parts",
  ],
];

test("what a client sends may be cut anywhere", async () => {
  const cluster = await start({ setUpWorker: ECHO });
  const opened = await Promise.all(CUTS.map(() => openRaw(cluster)));
  CUTS.forEach(([, before], i) => {
    for (const bytes of before) opened[i]?.send(bytes);
  });
  const successor = await moveAll(cluster);
  CUTS.forEach(([, , after], i) => {
    for (const bytes of after) opened[i]?.send(bytes);
  });
  const answers = await Promise.all(
    opened.map((client) => client.untilMessage((message) => message.includes("echoed"))),
  );
  const found = answers.map(
    (answer, i) => answer.includes(CUTS[i]?.[3] ?? "") && answer.includes(`,${successor.workerId},"`),
  );
  expect(CUTS.filter((_, i) => !found[i]).map(([name]) => name)).toEqual([]);
  expect(opened.map(({ closed }) => closed)).toEqual(CUTS.map(() => undefined));
  expect(cluster.output).toBe("");
});

/** Clients that poll share connections, which end at whichever worker. */
const pool = closedAfterEach({
  agent: new Agent({ keepAlive: true }),
  close() {
    this.agent.destroy();
  },
});

test.each([
  ["WebSocket", { transports: ["websocket"] }],
  ["long-polling", { transports: ["polling"], agent: pool.agent }],
])(
  "with traffic both ways over %s nothing is lost, doubled or reordered, and every acknowledgement comes",
  async (_, options) => {
    const cluster = await start({
      workers: 2,
      setUpWorker: (ctx) => {
        ctx.store.asked = 0;
        ctx.store.acked = 0;
        ctx.io.on("connection", (socket) => {
          let going = true;
          socket.on("handover", () => {
            going = false;
          });
          socket.on("disconnect", (reason) => ctx.emit("disconnect", reason));
          const ask = () => {
            if (!going) return;
            ctx.store.asked++;
            socket.emit("ask", () => {
              ctx.store.acked++;
              ask();
            });
          };
          socket.on("go", ask);
          if (socket.recovered) ask();
          socket.on("echo", (n, answer) => {
            socket.emit("pushed", n);
            setTimeout(answer, n % 5, n);
          });
          if (!socket.recovered) void socket.join("all");
        });
      },
    });
    const { a, b } = cluster;
    const all = await Promise.all(
      Array.from({ length: 24 }, () => clients.connect(cluster.url, options as object)),
    );
    const disconnects = all.flatMap(disconnectsOf);
    await b.run((ctx) => {
      let tick = 0;
      ctx.store.timer = setInterval(() => ctx.io.to("all").emit("tick", ++tick), 2);
    });
    let isOver = false;
    const talks = all.map(async ({ socket }) => {
      socket.on("ask", (answer) => answer());
      socket.emit("go");
      let n = 0;
      while (!isOver) expect(await socket.emitWithAck("echo", ++n)).toBe(n);
      return n;
    });
    const successor = await cluster.fork();
    await cluster.untilJoined();
    const result = await retire(cluster, a, successor);
    expect(result).toMatchObject({ outcome: "done", lost: 0, closed: 0, left: {} });
    expect(result.moved).toBeGreaterThan(5);
    isOver = true;
    const counts = await Promise.all(talks);
    const last = await b.run((ctx) => {
      clearInterval(ctx.store.timer);
      ctx.io.to("all").emit("end");
    });
    expect(last).toBeUndefined();
    await Promise.all(all.map((client) => client.untilReceived("end")));
    all.forEach((client, i) => {
      const ticks = client.received("tick").map(([tick]) => tick as number);
      expect(ticks).toEqual(ticks.map((_, at) => (ticks[0] ?? 0) + at));
      expect(client.received("pushed")).toEqual(Array.from({ length: counts[i] ?? 0 }, (_, at) => [at + 1]));
    });
    const ends = new Set(all.map((client) => client.received("tick").at(-1)?.[0]));
    expect(ends.size).toBe(1);
    expect(disconnects).toEqual([]);
    // What the old sockets had asked was answered to them, over the new ones.
    await a.run((ctx) => ctx.until(() => ctx.store.asked === ctx.store.acked));
    expect(cluster.output).toBe("");
  },
);

test("all namespaces of a client move, with a parser of its own and with compression", async () => {
  const cluster = await start({
    parser: "socket.io-msgpack-parser",
    io: { connectionStateRecovery: {}, perMessageDeflate: { threshold: 0 } },
    setUpWorker: (ctx) => {
      for (const name of ["/", "/chat", "/news"]) {
        ctx.io.of(name).on("connection", (socket) => {
          if (!socket.recovered) socket.data.from = name;
          socket.on("where", (value, answer) => answer(ctx.cluster.worker?.id, socket.data.from, value));
        });
      }
    },
  });
  const parser = await import("socket.io-msgpack-parser");
  const first = await clients.connect(cluster.url, {
    parser: parser.default,
    perMessageDeflate: {},
  } as object);
  const sockets = [first.socket, first.socket.io.socket("/chat"), first.socket.io.socket("/news")];
  await Promise.all(
    sockets.map((socket) => socket.connected || new Promise<void>((done) => socket.once("connect", done))),
  );
  const disconnects = disconnectsOf(first);
  const value = { text: "x".repeat(2_000), bytes: Buffer.from([1, 2, 3]) };
  // So that both sides have compressed something before.
  await Promise.all(sockets.map((socket) => ask(socket, value)));
  const successor = await moveAll(cluster);
  const answers = await Promise.all(sockets.map((socket) => ask(socket, value)));
  expect(answers.map(([worker, from]) => [worker, from])).toEqual(
    ["/", "/chat", "/news"].map((name) => [successor.workerId, name]),
  );
  expect(answers[0]?.[2]).toMatchObject({ text: value.text });
  expect(disconnects).toEqual([]);
  expect(cluster.output).toBe("");
});

/** All arguments of the answer. */
function ask(socket: TestClient["socket"], value: unknown): Promise<unknown[]> {
  return new Promise((resolve) => socket.emit("where", value, (...answer: unknown[]) => resolve(answer)));
}

test("a slow reader gets everything that was not sent, byte by byte", async () => {
  const PACKETS = 40;
  const cluster = await start({
    io: { connectionStateRecovery: {}, maxHttpBufferSize: 1e8 },
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.on("flood", (packets) => {
          for (let i = 0; i < packets; i++) {
            ctx.io.local.to(socket.id).emit("data", i, Buffer.alloc(256 * 1024, i + 1));
          }
          ctx.emit("flooded");
        });
        socket.on("where", () => socket.emit("here", ctx.cluster.worker?.id));
      });
    },
  });
  const client = await openRaw(cluster);
  const flooded = cluster.a.next("flooded");
  client.send(clientFrame(`42["flood",${PACKETS}]`));
  client.pause();
  await flooded;
  await cluster.a.run((ctx) =>
    ctx.until(() => {
      const [{ conn }] = [...ctx.io.sockets.sockets.values()] as unknown as [{ conn: unknown }];
      // biome-ignore lint/suspicious/noExplicitAny: how much waits is no public field
      return (conn as any).transport.socket._socket.writableLength > 1_000_000;
    }),
  );
  const successor = await moveAll(cluster);
  client.resume();
  client.send(clientFrame('42["where"]'));
  expect(await client.untilMessage((message) => message.includes("here"))).toContain(`${successor.workerId}`);
  const attachments = client.messages.filter((message) => typeof message !== "string");
  expect(attachments.map((bytes) => bytes.length)).toEqual(new Array(PACKETS).fill(256 * 1024));
  expect(attachments.every((bytes, i) => bytes.every((byte: unknown) => byte === i + 1))).toBe(true);
  expect(client.closed).toBeUndefined();
  expect(cluster.output).toBe("");
});

test("a ghost joins, leaves and emits for its client; what is broadcast meanwhile comes once", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.on("handover", async () => {
          void socket.join("late");
          socket.emit("said", "by the ghost");
          ctx.store.answer = await socket.emitWithAck("asked");
          ctx.emit("answered", ctx.store.answer);
        });
      });
    },
  });
  const client = await clients.connect(cluster.url);
  client.socket.on("asked", (answer) => answer("yes"));
  const answered = cluster.a.next("answered");
  const said = client.next("said");
  const successor = await moveAll(cluster);
  expect(await answered).toBe("yes");
  expect(await said).toEqual(["by the ghost"]);
  await successor.run((ctx) => ctx.until(() => (ctx.io.sockets.adapter.rooms.get("late")?.size ?? 0) > 0));
  const late = client.next("late");
  await cluster.a.run((ctx) => void ctx.io.to("late").emit("late", 1));
  expect(await late).toEqual([1]);
  expect(await cluster.a.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id))).toEqual([
    client.id,
  ]);
});

test("what the server and the client close while it moves is closed", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.on("handover", () => {
          if (socket.data.victim) socket.disconnect(true);
        });
        if (!socket.recovered && ctx.io.sockets.sockets.size % 2 === 0) socket.data.victim = true;
      });
    },
  });
  const all = await Promise.all(Array.from({ length: 8 }, () => clients.connect(cluster.url)));
  const reasons = all.map(disconnectsOf);
  const leaving = all[7] as TestClient;
  const { id: gone } = leaving;
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const retired = retire(cluster, cluster.a, successor);
  leaving.close();
  expect(await retired).toMatchObject({ outcome: "done", left: {} });
  const isVictim = await successor.run((ctx) =>
    ctx.until(() => {
      const left = [...ctx.io.sockets.sockets.values()];
      return left.every(({ data }) => !data.victim) && left.map(({ id }) => id);
    }),
  );
  expect(isVictim.length).toBeLessThan(8);
  const stayed = all.filter(({ id }) => isVictim.includes(id));
  expect(stayed.map((client) => reasons[all.indexOf(client)])).toEqual(stayed.map(() => []));
  expect(isVictim).not.toContain(gone);
});
