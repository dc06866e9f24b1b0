/** Sessions that cannot move, and workers that die while sessions move: everybody who could recover does. */
import { within } from "@holdfast/harness";
import { io, type Socket } from "socket.io-client";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "../harness/after-each.js";
import { Clients, whenConnected } from "../harness/clients.js";
import type { RemoteWorker, TestCluster } from "../harness/cluster.js";
import { signalWhenLanded } from "../harness/landed.js";
import { RawWebSocket } from "../harness/raw-websocket.js";
import { retire } from "../harness/retire.js";

const start = startsClusters(
  { workers: 1, moves: true, io: { connectionStateRecovery: {}, pingInterval: 1_000, pingTimeout: 2_000 } },
  (cluster) => cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());

/** Clients that come back, and what became of them. */
class Returning {
  readonly sockets: Socket[] = [];
  /** How many connections each has had that recovered nothing. */
  readonly fresh: number[] = [];

  async open(cluster: TestCluster, count: number, transport = "websocket"): Promise<void> {
    for (let i = 0; i < count; i++) {
      const socket = io(cluster.url, {
        forceNew: true,
        transports: [transport],
        reconnectionDelay: 50,
        reconnectionDelayMax: 200,
      });
      this.sockets.push(socket);
      this.fresh.push(0);
      socket.on("connect", () => {
        if (!socket.recovered) this.fresh[i] = (this.fresh[i] ?? 0) + 1;
      });
    }
    await Promise.all(this.sockets.map((socket) => whenConnected(socket, cluster.url)));
    // Without an offset nobody recovers.
    const first = Promise.all(
      this.sockets.map((socket) => new Promise((resolve) => socket.once("first", resolve))),
    );
    await cluster.a.run((ctx) => void ctx.io.emit("first"));
    await within(first, "first event of all clients");
  }

  /** Waits until each gets an event that the worker emits. */
  async untilReached(worker: RemoteWorker): Promise<void> {
    const all = Promise.all(
      this.sockets.map((socket) => new Promise((resolve) => socket.once("last", resolve))),
    );
    await worker.run(
      (ctx, count) => ctx.until(() => ctx.io.sockets.sockets.size === count),
      this.sockets.length,
    );
    await worker.run((ctx) => void ctx.io.emit("last"));
    await within(all, "last event of all clients");
  }

  close(): void {
    for (const socket of this.sockets.splice(0)) socket.disconnect();
    this.fresh.length = 0;
  }
}

const returning = closedAfterEach(new Returning());

/** A cluster of one worker with so many clients, and the worker that is to get them. */
async function startWithSuccessor(clientCount: number, transport?: string, pings = {}) {
  // A poll takes its time on a busy machine, and whoever is killed is missed at once.
  const cluster = await start(
    transport === "polling" ? { io: { connectionStateRecovery: {}, ...pings } } : {},
  );
  await returning.open(cluster, clientCount, transport);
  const successor = await cluster.fork();
  await cluster.untilJoined();
  return { cluster, successor };
}

const TRANSPORTS = ["websocket", "polling"];
/** By these, clients that poll find out that a worker has stopped. */
const STOP_PINGS = { pingInterval: 2_000, pingTimeout: 4_000 };

test.each(TRANSPORTS)(
  "when the successor is killed, what was on its way recovers and the rest stays: %s",
  async (transport) => {
    const { cluster, successor } = await startWithSuccessor(30, transport);
    await signalWhenLanded(cluster, successor, "SIGKILL");
    const retired = retire(cluster, cluster.a, successor, { window: 2 });
    const { moved, lost, ...result } = await retired;
    expect(result).toMatchObject({ outcome: "successor-gone", closed: 0 });
    const { moves } = await cluster.primary.run((ctx) => ctx.router.stats());
    expect(moves).toMatchObject({ underway: 0, moved, lost, closed: 0 });
    await returning.untilReached(cluster.a);
    expect(returning.fresh).toEqual(new Array(30).fill(1));
  },
);

test.each(TRANSPORTS)(
  "when the old worker is killed, everybody recovers or has moved: %s",
  async (transport) => {
    const { cluster, successor } = await startWithSuccessor(30, transport);
    await signalWhenLanded(cluster, cluster.a, "SIGKILL");
    const retired = retire(cluster, cluster.a, successor, { window: 2 });
    const { outcome, moved, lost } = await retired;
    expect(outcome).toBe("worker-gone");
    const { moves } = await cluster.primary.run((ctx) => ctx.router.stats());
    expect(moves).toMatchObject({ underway: 0, moved, lost });
    await returning.untilReached(successor);
    expect(returning.fresh).toEqual(new Array(30).fill(1));
  },
);

test.each(["the old worker", "the successor"])(
  "when %s is killed between two moves of clients that poll, all recover",
  async (which) => {
    const { cluster, successor } = await startWithSuccessor(12, "polling");
    const [victim, other] = which === "the successor" ? [successor, cluster.a] : [cluster.a, successor];
    await signalWhenLanded(cluster, victim, "SIGKILL");
    const retired = retire(cluster, cluster.a, successor, { window: 1 });
    expect((await retired).outcome).toBe(victim === successor ? "successor-gone" : "worker-gone");
    await returning.untilReached(other);
    expect(returning.fresh).toEqual(new Array(12).fill(1));
  },
);

test("when the first of several successors is killed, clients that poll stay, and nobody is closed", async () => {
  const { cluster, successor } = await startWithSuccessor(20, "polling");
  const other = await cluster.fork();
  await cluster.untilJoined();
  await signalWhenLanded(cluster, successor, "SIGKILL");
  const retired = cluster.primary.run(
    (ctx, from, ...to) =>
      ctx.router.retire(
        { id: from },
        to.map((id) => ({ id })),
        { window: 1, drainTimeout: 300, spread: 10 },
      ),
    cluster.a.workerId,
    successor.workerId,
    other.workerId,
  );
  expect(await retired).toMatchObject({ outcome: "successor-gone", closed: 0 });
  // Those that had moved come back to either of the two.
  await cluster.a.run((ctx) => ctx.until(async () => (await ctx.io.fetchSockets()).length === 20));
  expect(returning.fresh).toEqual(new Array(20).fill(1));
});

test.each(TRANSPORTS)(
  "when the successor stops in the middle, the rest stays, and whoever was on the way comes back: %s",
  async (transport) => {
    const { cluster, successor } = await startWithSuccessor(40, transport, STOP_PINGS);
    await signalWhenLanded(cluster, successor, "SIGSTOP");
    const retired = retire(cluster, cluster.a, successor, { window: 2 });
    const { outcome, lost, moved } = await retired;
    expect(outcome).toBe("successor-silent");
    // No more than what was on its way at the same time.
    expect(lost).toBeLessThanOrEqual(2);
    expect(moved).toBeLessThan(38);
    await successor.kill();
    await returning.untilReached(cluster.a);
    expect(returning.fresh).toEqual(new Array(40).fill(1));
  },
);

test.each(TRANSPORTS)(
  "when the old worker stops in the middle, everybody comes back to the successor: %s",
  async (transport) => {
    const { cluster, successor } = await startWithSuccessor(40, transport, STOP_PINGS);
    await signalWhenLanded(cluster, cluster.a, "SIGSTOP");
    const retired = retire(cluster, cluster.a, successor, { window: 2 });
    await returning.untilReached(successor);
    expect(returning.fresh).toEqual(new Array(40).fill(1));
    expect(await retired).toMatchObject({ outcome: "worker-silent", closed: 0 });
    // It finds out that its sessions are not its own any more.
    await cluster.a.resume();
    await cluster.a.run((ctx) => ctx.until(() => ctx.io.sockets.sockets.size === 0));
    expect(returning.fresh).toEqual(new Array(40).fill(1));
  },
);

test.each(TRANSPORTS.flatMap((transport) => ["old worker", "successor"].map((who) => [transport, who])))(
  "when the router is closed while one of the workers stands still, all go on with the next router: %s, %s",
  async (transport, who) => {
    const { cluster, successor } = await startWithSuccessor(20, transport, STOP_PINGS);
    const victim = who === "successor" ? successor : cluster.a;
    await signalWhenLanded(cluster, victim, "SIGSTOP");
    const retired = retire(cluster, cluster.a, successor, { window: 2 });
    await cluster.primary.run(async (ctx) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      await ctx.until(() => ctx.router.stats().moves.moved > 0);
      await ctx.router.close();
      Object.assign(ctx, { router: setupPrimary(ctx.httpServer) });
    });
    expect(await retired).toMatchObject({ outcome: "router-closed", closed: 0 });
    await victim.resume();
    const reached = Promise.all(
      returning.sockets.map((socket) => new Promise((resolve) => socket.once("last", resolve))),
    );
    // Whoever is not connected yet hears the next one.
    await successor.run((ctx) => {
      const timer = setInterval(() => ctx.io.emit("last"), 200);
      ctx.store.stop = () => clearInterval(timer);
    });
    await within(reached, "event of all clients");
    await successor.run((ctx) => ctx.store.stop());
    expect(returning.fresh).toEqual(new Array(20).fill(1));
    // Each session is at one worker.
    const counts = () =>
      Promise.all([cluster.a, successor].map((each) => each.run((ctx) => ctx.io.sockets.sockets.size)));
    const sum = async () => (await counts()).reduce((all, count) => all + count, 0);
    await expect.poll(sum).toBe(20);
  },
);

test("a successor that is busy for some seconds is waited for", async () => {
  const cluster = await start({ io: { connectionStateRecovery: {} } });
  await returning.open(cluster, 10);
  const ends: string[] = [];
  for (const socket of returning.sockets) socket.on("disconnect", (reason) => ends.push(reason));
  const successor = await cluster.fork();
  await cluster.untilJoined();
  await successor.run(() => {
    setImmediate(() => {
      const end = Date.now() + 3_000;
      while (Date.now() < end);
    });
  });
  expect(await retire(cluster, cluster.a, successor)).toMatchObject({ outcome: "done", moved: 10, lost: 0 });
  expect(ends).toEqual([]);
});

test("what cannot move is counted by its reason, and closed when its time is over", async () => {
  const cluster = await start({
    // One of them is silent for longer than a worker takes to start.
    io: { connectionStateRecovery: {} },
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        if (socket.handshake.query.data === "bad") socket.data.symbol = Symbol("no encoded form");
      });
    },
    adapterOptions: {},
  });
  const moving = await clients.connect(cluster.url);
  const bad = await clients.connect(cluster.url, { query: { data: "bad" } });
  const silent = await RawWebSocket.open(cluster.port);
  silent.pause();
  // More than the system takes, and than a move takes along.
  await cluster.a.run(
    (ctx, ...known) => {
      const [id = ""] = [...ctx.io.sockets.sockets.keys()].filter((each) => !known.includes(each));
      for (let i = 0; i < 40; i++) ctx.io.local.to(id).emit("much", Buffer.alloc(2 ** 20));
    },
    moving.id,
    bad.id,
  );
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const end = new Promise((resolve) => bad.socket.once("disconnect", resolve));
  const result = await retire(cluster, cluster.a, successor, { drainTimeout: 200, spread: 10 });
  const left = { data: 1, backlog: 1 };
  expect(result).toMatchObject({ outcome: "done", moved: 1, lost: 0, closed: 2, left });
  const { moves } = await cluster.primary.run((ctx) => ctx.router.stats());
  expect(moves).toEqual({ underway: 0, moved: 1, polling: 0, lost: 0, closed: 2, waited: 2 });
  expect(await end).toBe("transport close");
  expect(moving.socket.connected).toBe(true);
  silent.close();
});

test("what one client has sent, or one session's listener throws, stops no other session", async () => {
  const { cluster, successor } = await startWithSuccessor(10);
  const [deep, thrown] = returning.sockets as [Socket, Socket];
  // The attachment never comes. Values can be read that are nested too deep to be written.
  deep.io.engine.write(`51-["e",{"_placeholder":true,"num":0},${"[".repeat(20_000)}${"]".repeat(20_000)}]`);
  await cluster.a.run(
    (ctx, ...ids) => {
      const [deepId, id] = ids as [string, string];
      ctx.io.sockets.sockets.get(id)?.once("handover", () => {
        throw new Error("of the application");
      });
      ctx.store.uncaught = [];
      process.on("uncaughtException", ({ message }) => ctx.store.uncaught.push(message));
      const { client } = ctx.io.sockets.sockets.get(deepId) as unknown as {
        client: { decoder: { reconstructor?: object } };
      };
      return ctx.until(
        () => client.decoder.reconstructor !== undefined && client.decoder.reconstructor !== null,
      );
    },
    deep.id ?? "",
    thrown.id ?? "",
  );
  const { moved, closed, ...result } = await retire(cluster, cluster.a, successor, {
    drainTimeout: 200,
    spread: 1,
  });
  expect(result).toMatchObject({ outcome: "done", lost: 0, left: closed === 0 ? {} : { data: 1 } });
  // Newer versions of V8 write whatever they can read, and then that one moves as well.
  expect([10, 9]).toContain(moved);
  expect(moved + closed).toBe(10);
  expect(await cluster.a.run((ctx) => ctx.store.uncaught)).toEqual(["of the application"]);
  await returning.untilReached(successor);
  expect(returning.fresh).toEqual(new Array(10).fill(1));
});

test("without recovery nothing moves, and nothing is lost by trying", async () => {
  const cluster = await start({ io: {} });
  const client = await clients.connect(cluster.url);
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const moved = await cluster.primary.run(
    (ctx, from, to) => ctx.router.moveSessions({ id: from }, { id: to }),
    cluster.a.workerId,
    successor.workerId,
  );
  expect(moved).toEqual({ outcome: "done", total: 1, moved: 0, lost: 0, closed: 0, left: { recovery: 1 } });
  expect(client.socket.connected).toBe(true);
});

test("a worker that has retired has no session left, whatever its clients do", async () => {
  const cluster = await start({ io: {} });
  // It answers no close frame.
  const deaf = await RawWebSocket.open(cluster.port);
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const result = await retire(cluster, cluster.a, successor, { drainTimeout: 1, spread: 0 });
  expect(await cluster.a.run((ctx) => ctx.io.engine.clientsCount)).toBe(0);
  expect(result).toMatchObject({ outcome: "done", moved: 0, closed: 1, left: { recovery: 1 } });
  expect(await deaf.untilClosed()).toBe(1012);
  deaf.close();
});

test("a worker that has retired gets no connections of a router that is set up anew either", async () => {
  const cluster = await start();
  const successor = await cluster.fork();
  await cluster.untilJoined();
  expect(await retire(cluster, cluster.a, successor)).toMatchObject({ outcome: "done" });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    const router = setupPrimary(ctx.httpServer);
    Object.assign(ctx, { router });
    await ctx.until(() => router.stats().slots.filter((slot) => slot.workerId !== undefined).length === 2);
  });
  await Promise.all(Array.from({ length: 4 }, () => clients.connect(cluster.url)));
  expect(await successor.run((ctx) => ctx.io.engine.clientsCount)).toBe(4);
});

test("without a mover, the sessions of a worker that retires are closed", async () => {
  const cluster = await start({ moves: false });
  const client = await clients.connect(cluster.url);
  const end = new Promise((resolve) => client.socket.once("disconnect", resolve));
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const result = await retire(cluster, cluster.a, successor, { drainTimeout: 1, spread: 0 });
  expect(result).toMatchObject({ outcome: "done", moved: 0, closed: 1, left: { mover: 1 } });
  expect(await end).toBe("transport close");
});

test("retire() refuses workers that are not ready", async () => {
  const { primary, a } = await start();
  const code = (from: number, to: number) =>
    primary.run(
      (ctx, one, other) =>
        ctx.router.retire({ id: one }, { id: other }).catch((error: { code: string }) => error.code),
      from,
      to,
    );
  expect(await code(a.workerId, a.workerId)).toBe("HOLDFAST_ERR_NO_WORKER");
  expect(await code(a.workerId, 99)).toBe("HOLDFAST_ERR_NO_WORKER");
});

test("retire() refuses workers that are retiring or get sessions, and successors that have retired", async () => {
  const { cluster, successor } = await startWithSuccessor(4);
  const third = await cluster.fork();
  await cluster.untilJoined();
  const codes = await cluster.primary.run(
    async (ctx, one, other, another) => {
      const first = ctx.router.retire({ id: one }, { id: other });
      const refused = await Promise.all(
        [
          [one, another],
          [other, one],
          [other, another],
        ].map(([from, to]) =>
          ctx.router.retire({ id: from }, { id: to }).catch((error: { code: string }) => error.code),
        ),
      );
      const { outcome } = await first;
      const back = ctx.router.retire({ id: other }, { id: one });
      return [...refused, outcome, await back.catch((error: { code: string }) => error.code)];
    },
    cluster.a.workerId,
    successor.workerId,
    third.workerId,
  );
  const refused = "HOLDFAST_ERR_NO_WORKER";
  expect(codes).toEqual([refused, refused, refused, "done", refused]);
});

test("rebalance() levels workers, and nobody is disconnected", async () => {
  const cluster = await start();
  const all = await Promise.all(Array.from({ length: 20 }, () => clients.connect(cluster.url)));
  let disconnects = 0;
  for (const { socket } of all) socket.on("disconnect", () => disconnects++);
  await cluster.fork();
  await cluster.fork();
  await cluster.untilJoined();
  // One worker gives to two at the same time.
  const results = await cluster.primary.run((ctx) => ctx.router.rebalance());
  expect(results).toMatchObject([
    { outcome: "done", moved: 6, lost: 0 },
    { outcome: "done", moved: 6, lost: 0 },
  ]);
  expect(await cluster.primary.run((ctx) => ctx.router.rebalance())).toEqual([]);
  expect(disconnects).toBe(0);
});
