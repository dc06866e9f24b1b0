/**
 * With connection state recovery, what was emitted before a connection is closed by its server arrives, as it does
 * with Socket.IO alone, and arrives once, also when the client comes back.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "../harness/after-each.js";
import { type RemoteWorker, TestCluster } from "../harness/cluster.js";
import type { WorkerContext } from "../harness/context.js";
import { openRaw } from "../harness/raw-client.js";
import { Manager, RecoveringClient, RecoveringClients } from "../harness/recovering-client.js";

type Way = (ctx: WorkerContext, id: string) => unknown;

/** How a server closes connections, each after it has emitted. */
const WAYS: Record<string, Way> = {
  "socket.conn.close()": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.emit("m", 1);
    ctx.io.emit("m", 2);
    socket?.conn.close();
    socket?.emit("m", "too late");
  },
  "socket.conn.close(true)": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.emit("m", 1);
    ctx.io.to(id).emit("m", 2);
    socket?.conn.close(true);
  },
  "socket.conn.close() twice": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.emit("m", 1);
    socket?.conn.close();
    socket?.conn.close(true);
  },
  "socket.disconnect()": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    ctx.io.emit("m", 1);
    socket?.emit("m", 2);
    socket?.disconnect();
  },
  "socket.disconnect(true)": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    ctx.io.emit("m", 1);
    socket?.emit("m", 2);
    socket?.disconnect(true);
  },
  "io.disconnectSockets()": (ctx, id) => {
    ctx.io.sockets.sockets.get(id)?.emit("m", 1);
    ctx.io.emit("m", 2);
    ctx.io.disconnectSockets();
  },
  "io.in(id).disconnectSockets(true)": (ctx, id) => {
    ctx.io.emit("m", 1);
    ctx.io.local.emit("m", 2);
    ctx.io.in(id).disconnectSockets(true);
  },
  "an error of the client": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.emit("m", 1);
    ctx.io.emit("m", 2);
    // As the engine gives it what the client has sent, which is no packet.
    socket?.conn.emit("data", "nonsense");
  },
  "a packet for a namespace that the client is not in": (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    ctx.io.emit("m", 1);
    socket?.emit("m", 2);
    socket?.conn.emit("data", '2/nowhere,["x"]');
  },
  "io.engine.close()": (ctx, id) => {
    ctx.io.emit("m", 1);
    ctx.io.sockets.sockets.get(id)?.emit("m", 2);
    ctx.io.engine.close();
  },
  "io.close()": (ctx, id) => {
    ctx.io.emit("m", 1);
    ctx.io.sockets.sockets.get(id)?.emit("m", 2);
    void ctx.io.close();
  },
};

/** These leave no server for the next one. */
const ENDS_SERVER = new Set(["io.engine.close()", "io.close()"]);

const HOLDFAST = { sticky: false, workers: 2, io: { connectionStateRecovery: {} } } as const;
const PLAIN = { sticky: false, adapter: false, hub: false, workers: 1 } as const;
const start = startsClusters(HOLDFAST, (cluster) => cluster.untilJoined());
const startPlain = startsClusters(PLAIN);
const clients = closedAfterEach(new RecoveringClients());

const OFFSET = /^[\w-]{4}0[0-9a-z]{9}$/;

/** Notes what the client gets, without offsets. */
function listen(client: RecoveringClient): unknown[][] {
  const heard: unknown[][] = [];
  client.socket.onAny((...event: unknown[]) => {
    heard.push(event.filter((arg) => !(typeof arg === "string" && OFFSET.test(arg))));
  });
  return heard;
}

/** Connects a client, and waits until its worker can send it something. */
async function connect(worker: RemoteWorker, transport: string): Promise<RecoveringClient> {
  const client = await clients.connect(worker.url, { reconnection: false, transports: [transport] });
  await worker.run(async (ctx, id) => {
    const transportOf = (sid: string) =>
      ctx.io.sockets.sockets.get(sid)?.conn.transport as { writable?: boolean } | undefined;
    await ctx.until(() => transportOf(id)?.writable);
  }, client.id);
  return client;
}

/** What a client hears until it is disconnected. */
async function hear(worker: RemoteWorker, transport: string, way: Way): Promise<unknown[][]> {
  const client = await connect(worker, transport);
  const heard = listen(client);
  const disconnected = client.next("disconnect");
  await worker.run(way, client.id);
  await disconnected;
  return heard;
}

describe("beside Socket.IO alone", () => {
  let shared: readonly [holdfast: TestCluster, plain: TestCluster];
  beforeAll(async () => {
    shared = await Promise.all([TestCluster.start(HOLDFAST), TestCluster.start(PLAIN)]);
    await shared[0].untilJoined();
  });
  afterAll(() => Promise.all(shared.map((cluster) => cluster.close())));

  test.each(
    ["websocket", "polling"].flatMap((transport) =>
      Object.keys(WAYS).map((name) => [name, transport] as const),
    ),
  )("%s over %s comes after the same events", async (name, transport) => {
    const way = WAYS[name] as Way;
    const clusters = ENDS_SERVER.has(name) ? await Promise.all([start(), startPlain()]) : shared;
    const [holdfast, plain] = clusters;
    const expected = await hear(plain.a, transport, way);
    expect(expected.length).toBeGreaterThan(0);
    // A poll that is answered takes one event of Socket.IO alone along; here it may take both.
    const heard = await hear(holdfast.a, transport, way);
    expect(heard.slice(0, expected.length)).toEqual(expected);
    expect(heard.flat()).not.toContain("too late");
  });
});

describe.each(["websocket", "polling"])("over %s", (transport) => {
  test.each(["conn.close()", "disconnect()"])(
    "%s in the connection handler comes after them, too",
    async (how) => {
      const { a } = await start();
      await a.run((ctx, closes) => {
        ctx.io.on("connection", (socket) => {
          socket.emit("m", 1);
          ctx.io.emit("m", 2);
          if (closes) socket.conn.close();
          else socket.disconnect(true);
        });
      }, how === "conn.close()");
      const client = clients.add(
        new RecoveringClient(a.url, { reconnection: false, transports: [transport] }),
      );
      const heard = listen(client);
      await client.next("disconnect");
      expect(heard).toEqual([
        ["m", 1],
        ["m", 2],
      ]);
    },
  );

  test("an acknowledgement arrives before the connection is closed", async () => {
    const { a } = await start();
    const client = await connect(a, transport);
    const heard = listen(client);
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      socket?.on("ask", (answer: (text: string) => void) => {
        socket.emit("m", 1);
        answer("yes");
        socket.conn.close();
      });
    }, client.id);
    const disconnected = client.next("disconnect");
    client.socket.emit("ask", (...answer: unknown[]) => heard.push(["answer", ...answer]));
    await disconnected;
    expect(heard).toEqual([
      ["m", 1],
      ["answer", "yes"],
    ]);
  });

  test("what the closed client has got does not come again when it is back, and what was too late comes then", async () => {
    const { a, b } = await start();
    const client = await connect(a, transport);
    const heard = listen(client);
    const { id } = client;
    const disconnected = client.next("disconnect");
    await a.run(WAYS["socket.conn.close()"] as Way, id);
    await disconnected;
    client.goesTo(b.url);
    const back = client.connected();
    client.socket.connect();
    expect(await back).toEqual({ id, recovered: true });
    await b.run((ctx) => void ctx.io.emit("m", "fence"));
    await client.has("m", "fence");
    expect(heard).toEqual([
      ["m", 1],
      ["m", 2],
      ["m", "too late"],
      ["m", "fence"],
    ]);
  });
});

test.each(["websocket", "polling"] as const)(
  "clients of Socket.IO 2 get it, too, over %s",
  async (transport) => {
    const { a } = await start({ io: { connectionStateRecovery: {}, allowEIO3: true } });
    await a.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.emit("m", 1);
        ctx.io.emit("bye");
        if (socket.handshake.query.how === "close") socket.conn.close();
        else socket.disconnect();
      });
    });
    for (const how of ["close", "disconnect"]) {
      const client = await openRaw(a.url, { transport, revision: 3, connectPacket: "", query: { how } });
      expect(String(await client.until("bye"))).toContain('["m",1');
      client.close();
    }
  },
);

test("a close of one namespace's socket waits for events of the others on the connection", async () => {
  const { a } = await start();
  await a.run((ctx) => void ctx.io.of("/admin"));
  const manager = new Manager(a.url, { reconnection: false, transports: ["websocket"] });
  const main = clients.add(new RecoveringClient(a.url, {}, "/", manager));
  const admin = clients.add(new RecoveringClient(a.url, {}, "/admin", manager));
  await Promise.all([main.connected(), admin.connected()]);
  const heard = [listen(main), listen(admin)];
  const disconnected = Promise.all([main.next("disconnect"), admin.next("disconnect")]);
  await a.run((ctx, id) => {
    ctx.io.of("/admin").emit("m", 1);
    ctx.io.sockets.sockets.get(id)?.conn.close();
  }, main.id);
  await disconnected;
  expect(heard).toEqual([[], [["m", 1]]]);
});

test.each<[string, (cluster: TestCluster) => Promise<unknown>]>([
  [
    "another worker",
    ({ b }) =>
      b.run((ctx) => {
        ctx.io.emit("m", 1);
        ctx.io.disconnectSockets(true);
      }),
  ],
  [
    "the primary",
    ({ primary }) =>
      primary.run((ctx) => {
        const emitter = ctx.hub.emitter();
        emitter.emit("m", 1);
        emitter.disconnectSockets(true);
      }),
  ],
])("what %s emits before it disconnects all sockets arrives", async (_who, act) => {
  const cluster = await start();
  const client = await connect(cluster.a, "websocket");
  const heard = listen(client);
  const disconnected = client.next("disconnect");
  await act(cluster);
  await disconnected;
  expect(heard).toEqual([["m", 1]]);
});

test("a connection without anything in flight is closed at once", async () => {
  const { a } = await start();
  const client = await connect(a, "websocket");
  const state = await a.run((ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.conn.close();
    return [socket?.connected, ctx.io.sockets.sockets.size];
  }, client.id);
  expect(state).toEqual([false, 0]);
});

test("a hub that is silent holds a close up for `requestsTimeout`, and the event comes with the client's return", async () => {
  const { a, b, primary } = await start({ adapterOptions: { requestsTimeout: 200 } });
  const client = await connect(a, "websocket");
  await b.run((ctx) => void ctx.io.emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  await primary.stop();
  const disconnected = client.next("disconnect");
  await a.run(WAYS["socket.conn.close()"] as Way, id);
  await disconnected;
  expect(client.of("m")).toEqual([[0]]);
  await primary.resume();
  const back = client.connected();
  client.socket.connect();
  expect(await back).toEqual({ id, recovered: true });
  await client.has("m", "too late");
  expect(client.of("m")).toEqual([[0], [1], [2], ["too late"]]);
});

test("io.close() settles, and a server that takes the closed one's place at once does not have to wait for it", async () => {
  const { a } = await start();
  const client = await connect(a, "websocket");
  const heard = listen(client);
  const disconnected = client.next("disconnect");
  const servers = await a.run(async (ctx) => {
    const { Server } = await ctx.import("socket.io");
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    ctx.io.emit("m", 1);
    const closed = ctx.io.close();
    const next = new Server({ connectionStateRecovery: {} });
    next.adapter(createAdapter());
    await closed;
    return next.of("/").adapter.serverCount();
  });
  await disconnected;
  expect(servers).toBe(2);
  // Nobody is left who could have placed it; without the new server it would have arrived.
  expect(heard).toEqual([]);
});
