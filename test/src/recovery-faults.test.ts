/** Connection state recovery when workers stop, are cut off, or more is sent than memory may hold. */
import { expect, test } from "vitest";

import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { type RemoteWorker, type TestCluster, untilServers } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";
import { CutOff } from "./harness/cut-off.js";
import { Manager, RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";

let cluster: TestCluster;
let a: RemoteWorker;
let b: RemoteWorker;

const start = startsClusters(
  { sticky: false, workers: 2, io: { connectionStateRecovery: {} } },
  async (started) => {
    cluster = started;
    ({ a, b } = cluster);
    await cluster.untilJoined();
  },
);
const startWithoutHub = startsClusters({
  sticky: false,
  workers: 1,
  hub: false,
  adapterOptions: { hub: { path: "/none/hub.sock" } },
  io: { connectionStateRecovery: {} },
});
const clients = closedAfterEach(new RecoveringClients());

/** @param then what the worker still does when its link is gone */
async function cutOff(worker: RemoteWorker, then?: (ctx: WorkerContext) => void): Promise<CutOff> {
  await cluster.primary.run((ctx) => void ctx.hub.once("leave", () => ctx.emit("left")));
  const left = cluster.primary.next("left");
  const cut = new CutOff(worker, then);
  await left;
  return cut;
}

/** The worker goes on and has been taken back. */
async function takeBack(worker: RemoteWorker, cut: CutOff): Promise<void> {
  await cut.wake();
  await untilServers([worker], 2);
}

/** Sends events that the hub has placed when this settles. */
async function place(worker: RemoteWorker, ...numbers: number[]): Promise<void> {
  await worker.run(async (ctx, all) => {
    for (const number of all) ctx.io.emit("m", number);
    await ctx.io.of("/").adapter.serverCount();
  }, numbers);
}

test("a worker that stops past the ping timeout and goes on: its clients are elsewhere and get nothing twice", async () => {
  await start({ io: { connectionStateRecovery: {}, pingInterval: 2_000, pingTimeout: 2_000 } });
  const people = await Promise.all(Array.from({ length: 10 }, () => clients.connect(a.url)));
  await a.run((ctx) => {
    ctx.store.gone = 0;
    for (const socket of ctx.io.sockets.sockets.values()) {
      socket.data.of = socket.id;
      socket.join("r");
      socket.on("disconnect", () => {
        ctx.store.gone++;
        ctx.io.emit("m", "from the zombie", socket.id);
      });
    }
    ctx.io.to("r").emit("m", 0);
  });
  await Promise.all(people.map((client) => client.has("m", 0)));
  // What the sockets' data is has to be told before the worker stops: a client's message makes it look.
  await a.run((ctx) => {
    ctx.store.told = Promise.all([...ctx.io.sockets.sockets.values()].map(ctx.dataTold));
  });
  for (const client of people) client.socket.emit("hello");
  await a.run((ctx) => ctx.store.told);
  const ids = people.map(({ id }) => id);
  for (const client of people) client.goesTo(b.url);
  const back = people.map((client) => client.connected());
  await a.stop();
  await b.run((ctx) => void ctx.io.to("r").emit("m", 1));
  const returns = await Promise.all(back);
  expect(returns).toEqual(ids.map((id) => ({ id, recovered: true })));
  await b.run((ctx) => void ctx.io.to("r").emit("m", 2));
  await Promise.all(people.map((client) => client.has("m", 2)));
  await a.resume();
  await a.run(async (ctx, count) => {
    await ctx.until(() => ctx.store.gone === count);
    ctx.io.to("r").emit("m", 3);
  }, people.length);
  await Promise.all(people.map((client) => client.has("m", 3)));
  for (const client of people) {
    const messages = client.of("m");
    expect(messages.filter(([what]) => typeof what === "number")).toEqual([[0], [1], [2], [3]]);
    const fromZombie = messages.filter(([what]) => what === "from the zombie").map(([, id]) => id);
    expect([...fromZombie].sort()).toEqual([...ids].sort());
  }
  const there = await b.run((ctx) =>
    [...ctx.io.sockets.sockets.values()].map((socket) => [
      socket.data.of === socket.id,
      socket.rooms.has("r"),
    ]),
  );
  expect(there).toEqual(people.map(() => [true, true]));
});

test("a holder that is silent is passed over, and what it says afterwards does not count", async () => {
  await start();
  const client = await clients.connect(a.url);
  await a.run((ctx) => void ctx.io.emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  await a.stop();
  expect(await client.abandon(b.url)).toEqual({ id, recovered: true });
  await b.run((ctx, sid) => ctx.io.sockets.sockets.get(sid)?.join("mine"), id);
  await a.resume();
  await a.run(async (ctx) => {
    await ctx.until(() => ctx.io.sockets.sockets.size === 0);
    await ctx.io.fetchSockets();
  });
  const { recovery } = await cluster.primary.run((ctx) => ctx.hub.stats());
  expect(recovery).toMatchObject({ sessions: 1, suspended: 0 });
  const back = client.drop(a.url);
  await b.run((ctx) => void ctx.io.to("mine").emit("m", 1));
  expect(await back).toEqual({ id, recovered: true });
  await client.has("m", 1);
});

test("a clock that is set back keeps no session, and no packet, for longer", async () => {
  const connectionStateRecovery = { maxDisconnectionDuration: 300 };
  await start({ io: { connectionStateRecovery, pingInterval: 300, pingTimeout: 300 } });
  const client = await clients.connect(a.url, { reconnection: false });
  await place(a, 0);
  await client.has("m", 0);
  await cluster.primary.run((ctx) => ctx.passTime(-3_600_000));
  client.leave(b.url);
  await cluster.primary.run((ctx) =>
    ctx.until(() => ctx.hub.stats().recovery.sessions === 0 && ctx.hub.stats().recovery.packets === 0),
  );
});

test("the hub's memory stays within its bound under a flood, which is told", async () => {
  const journalBytes = 2 * 2 ** 20;
  await start({ hubOptions: { journalBytes } });
  const client = await clients.connect(a.url, { reconnection: false });
  await a.run((ctx) => void ctx.io.emit("m"));
  await client.has("m");
  const { privateId = "", offset = "" } = client;
  client.leave(a.url);
  await cluster.primary.run((ctx) => {
    ctx.store.full = 0;
    ctx.hub.on("journalFull", () => void ctx.store.full++);
  });
  await a.run(async (ctx) => {
    for (let turn = 0; turn < 200; turn++) {
      for (let i = 0; i < 100; i++) ctx.io.to("nobody").emit("m", "x".repeat(1_000));
      await new Promise(setImmediate);
    }
    await ctx.io.fetchSockets();
  });
  const { recovery, full } = await cluster.primary.run((ctx) => ({
    recovery: ctx.hub.stats().recovery,
    full: ctx.store.full,
  }));
  expect(recovery.bytes).toBeLessThanOrEqual(journalBytes);
  expect(recovery.packets).toBeGreaterThan(1_000);
  expect(recovery.packets + recovery.cut).toBe(20_001);
  expect(full).toBe(1);
  // The flood was for others: this client has missed nothing, and the hub knows it.
  const again = new RecoveringClient(b.url, { reconnection: false });
  clients.add(again);
  again.privateId = privateId;
  again.offset = offset;
  expect((await again.connected()).recovered).toBe(true);
});

test("a worker that was cut off sends its clients away, and they come back with what they missed", async () => {
  await start({ hubOptions: { maxBacklogBytes: 2 ** 20, killStalled: false, stallTimeout: 2_000 } });
  const [client, flooded] = [await clients.connect(a.url), await clients.connect(a.url)];
  await a.run((ctx, id) => {
    ctx.io.sockets.sockets.get(id)?.join("flood");
    ctx.io.emit("m", 0);
    process.on("warning", () => {});
  }, flooded.id);
  await client.has("m", 0);
  const { id } = client;
  await cluster.primary.run((ctx) => {
    ctx.store.stalled = new Promise<void>((resolve) => ctx.hub.once("stalled", () => resolve()));
  });
  await a.stop();
  await b.run(async (ctx) => {
    ctx.io.emit("m", 1);
    for (let i = 0; i < 3_000; i++) {
      ctx.io.to("flood").emit("filler", "x".repeat(1_000));
      // Its own link has to take it: with more than `maxBacklogBytes` on the way, what follows would not be kept.
      if (i % 50 === 0) await ctx.io.of("/").adapter.serverCount();
    }
  });
  await cluster.primary.run((ctx) => ctx.store.stalled);
  await b.run((ctx) => void ctx.io.emit("m", 2));
  const back = client.connected();
  await a.resume();
  expect(await back).toEqual({ id, recovered: true });
  await client.has("m", 2);
  await b.run((ctx) => void ctx.io.emit("m", 3));
  await client.has("m", 3);
  expect(client.of("m")).toEqual([[0], [1], [2], [3]]);
  expect(cluster.output).not.toContain("HOLDFAST_ERR_BACKLOG_FULL");
});

test("a client whose middlewares ran while its worker was cut off comes back with what it missed", async () => {
  await start({ io: { connectionStateRecovery: { skipMiddlewares: false } } });
  await b.run((ctx) => {
    ctx.io.use((_socket, next) => {
      if (ctx.store.next) return next();
      ctx.store.next = next;
      ctx.emit("asked");
    });
  });
  const client = await clients.connect(a.url);
  await place(a, 0);
  await client.has("m", 0);
  const { id } = client;
  const asked = b.next("asked");
  client.leave(b.url);
  await asked;
  const cut = await cutOff(b);
  await place(a, 1);
  const back = client.connected();
  await takeBack(b, cut);
  await b.run((ctx) => void ctx.store.next());
  expect(await back).toEqual({ id, recovered: true });
  await place(a, 2);
  await client.has("m", 2);
  expect(client.of("m")).toEqual([[0], [1], [2]]);
});

test("a client whose question was on the link that its worker lost gets its session all the same", async () => {
  await start();
  await b.run((ctx) => {
    const { adapter } = ctx.io.of("/");
    const restore = adapter.restoreSession;
    adapter.restoreSession = (...args) => {
      adapter.restoreSession = restore;
      const restored = restore.apply(adapter, args);
      ctx.loseLink();
      return restored;
    };
  });
  const client = await clients.connect(a.url);
  await place(a, 0);
  await client.has("m", 0);
  const { id } = client;
  expect(await client.drop(b.url)).toEqual({ id, recovered: true });
  await place(a, 1);
  await client.has("m", 1);
  expect(client.of("m")).toEqual([[0], [1]]);
});

test("sessions of several namespaces come back from a worker that was cut off as they were when it was taken back", async () => {
  await start();
  for (const worker of [a, b]) await worker.run((ctx) => void ctx.io.of("/admin"));
  const manager = new Manager(a.url, { reconnectionDelay: 1, transports: ["websocket"] });
  const main = new RecoveringClient(a.url, {}, "/", manager);
  const admin = new RecoveringClient(a.url, {}, "/admin", manager);
  for (const client of [main, admin]) clients.add(client);
  await Promise.all([main.connected(), admin.connected()]);
  await b.run((ctx) => {
    ctx.io.emit("m", 0);
    ctx.io.of("/admin").emit("m", 0);
  });
  await Promise.all([main.has("m", 0), admin.has("m", 0)]);
  const ids = [main.id, admin.id];
  const back = [main.connected(), admin.connected()];
  main.goesTo("http://127.0.0.1:9");
  const cut = await cutOff(a, (ctx) => {
    for (const nsp of [ctx.io.of("/"), ctx.io.of("/admin")]) {
      for (const socket of nsp.sockets.values()) {
        socket.join("late");
        socket.data.late = true;
      }
    }
  });
  await takeBack(a, cut);
  // Behind what the worker has told the hub of the sessions.
  await a.run((ctx) => ctx.io.of("/admin").adapter.serverCount());
  main.goesTo(b.url);
  expect(await Promise.all(back)).toEqual(ids.map((id) => ({ id, recovered: true })));
  const there = await b.run((ctx) =>
    [ctx.io.of("/"), ctx.io.of("/admin")].map((nsp) =>
      [...nsp.sockets.values()].map(({ rooms, data }) => [rooms.has("late"), data.late]),
    ),
  );
  expect(there).toEqual([[[true, true]], [[true, true]]]);
});

test("what listeners throw when clients are sent away keeps no other client, and no message, from its way", async () => {
  await start();
  const people = await Promise.all([clients.connect(a.url), clients.connect(a.url), clients.connect(a.url)]);
  await place(b, 0);
  await Promise.all(people.map((client) => client.has("m", 0)));
  const ids = people.map(({ id }) => id);
  const thrown = a.next("thrown");
  await a.run((ctx) => {
    process.once("uncaughtException", ({ message }) => ctx.emit("thrown", message));
    const [first] = ctx.io.sockets.sockets.values();
    first?.on("disconnecting", () => {
      throw new Error("from a listener");
    });
  });
  const back = people.map((client) => client.connected());
  const cut = await cutOff(a, (ctx) => void setImmediate(() => ctx.io.emit("m", 2)));
  await place(b, 1);
  await takeBack(a, cut);
  expect(await thrown).toBe("from a listener");
  expect(await Promise.all(back)).toEqual(ids.map((id) => ({ id, recovered: true })));
  await place(b, 3);
  await Promise.all(people.map((client) => client.has("m", 3)));
  for (const client of people) expect(client.of("m")).toEqual([[0], [1], [2], [3]]);
});

test("data that is too large for a message is reported, and the rest of the session comes back", async () => {
  await start({ hubOptions: { maxMessageBytes: 65_536 } });
  const warned = a.next("warning");
  await a.run((ctx) => void process.on("warning", (warning) => ctx.emit("warning", warning.message)));
  await a.run((ctx) => {
    ctx.io.on("connection", (socket) => {
      socket.data.large = "x".repeat(100_000);
      socket.join("r");
    });
  });
  const client = await clients.connect(a.url);
  expect(await warned).toContain(`socket.data.large of socket ${client.id} cannot be kept`);
  await a.run((ctx) => void ctx.io.to("r").emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  expect(await client.drop(b.url)).toEqual({ id, recovered: true });
  await a.run((ctx) => void ctx.io.to("r").emit("m", 1));
  await client.has("m", 1);
});

test("data that is too large for a message does not end a worker that was cut off", async () => {
  await start({ hubOptions: { maxMessageBytes: 65_536 } });
  const client = await clients.connect(a.url);
  await a.run((ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    if (socket) socket.data.large = "x".repeat(100_000);
  }, client.id);
  await place(b, 0);
  await client.has("m", 0);
  const { id } = client;
  const warned = a.next("warning");
  const cut = await cutOff(a, (ctx) => {
    process.on("warning", ({ message }) => {
      if (message.includes("cannot be kept")) ctx.emit("warning", message);
    });
    // Has the data looked at.
    for (const socket of ctx.io.sockets.sockets.values()) socket.conn.emit("data", "");
  });
  await place(b, 1);
  await takeBack(a, cut);
  expect(await warned).toContain(`socket.data of socket ${id} cannot be kept`);
  await client.has("m", 1);
  expect(client.connects.map((connect) => connect.recovered)).toEqual([false, true]);
});

test("a parser that keeps no text is refused with a code", async () => {
  await start();
  const code = await a.run(async (ctx) => {
    const { Server } = await ctx.import("socket.io");
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    class Encoder {
      encode(packet: unknown) {
        return [Buffer.from(JSON.stringify(packet)).toString("base64")];
      }
    }
    class Decoder {}
    const parser = { Encoder, Decoder } as never;
    const io = new Server({ parser, connectionStateRecovery: {} });
    io.adapter(createAdapter({ scope: "base64" }));
    try {
      io.emit("m");
      return undefined;
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(code).toBe("HOLDFAST_ERR_UNSUPPORTED_PARSER");
});

test("without a hub, packets reach the worker's own clients at once", async () => {
  const { a } = await startWithoutHub();
  const client = await clients.connect(a.url);
  await a.run((ctx) => void ctx.io.emit("m", "before it is known that there is no hub"));
  await client.has("m", "before it is known that there is no hub");
  await a.run((ctx, id) => {
    ctx.io.emit("m", 1);
    ctx.io.sockets.sockets.get(id)?.emit("m", 2);
    ctx.io.local.emit("m", 3);
  }, client.id);
  await client.has("m", 3);
  expect(client.of("m").slice(1)).toEqual([[1], [2], [3]]);
});
