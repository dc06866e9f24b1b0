/** Clients that come back in masses, with much that they have missed, or to a hub that is busy: none loses its session. */
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import type { RemotePrimary, RemoteWorker } from "./harness/cluster.js";
import type { PrimaryContext, WorkerContext } from "./harness/context.js";
import { RecoveringClients } from "./harness/recovering-client.js";
import { ReturningClients } from "./harness/returning-clients.js";

const start = startsClusters({ sticky: false, io: { connectionStateRecovery: {} } }, (cluster) =>
  cluster.untilJoined(),
);
const clients = closedAfterEach(new RecoveringClients());
const masses = closedAfterEach(new ReturningClients());

const CLIENTS = 2_000;
const JOURNAL_BYTES = 64 * 2 ** 20;
/** Short for what waits for the hub here: it must not matter. */
const REQUESTS_TIMEOUT_MS = 50;
const LONG_MS = 300_000;
/**
 * Processor time of the primary in one turn of its event loop, and for each client that comes back: several times what
 * it takes, and a fraction of what it takes to look through a full journal for all of them, or for one.
 */
const BLOCK_MS = 250;
const RETURN_MS = 2;

/** Tells when a client asks for its session, and keeps the answer. */
function noteQuestions(ctx: WorkerContext): void {
  const { adapter } = ctx.io.of("/");
  const restore = adapter.restoreSession;
  adapter.restoreSession = (...args) => {
    adapter.restoreSession = restore;
    ctx.store.answer = restore.apply(adapter, args);
    ctx.emit("asked");
    return ctx.store.answer;
  };
}

/** From now on, {@link cpuSince} knows. */
function watchCpu({ store }: PrimaryContext): void {
  const used = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const start = used();
  let [before, longestMs] = [start, 0];
  const look = () => {
    const now = used();
    longestMs = Math.max(longestMs, now - before);
    before = now;
    return { longestMs, allMs: now - start };
  };
  const timer = setInterval(look, 1);
  store.stopWatch = () => {
    clearInterval(timer);
    return look();
  };
}

/** Processor time since {@link watchCpu}, in all and between two looks at most, milliseconds. */
function cpuSince({ store }: PrimaryContext): { longestMs: number; allMs: number } {
  return store.stopWatch();
}

/**
 * Fills the journal with packets to rooms that nobody is in, and drops none: rooms are known by hashes there, so a
 * client in a room with the hash of one that something was dropped from would have to begin anew.
 */
async function fillJournal(worker: RemoteWorker, primary: RemotePrimary): Promise<void> {
  const journal = () => primary.run((ctx) => ctx.hub.stats().recovery);
  while ((await journal()).bytes < JOURNAL_BYTES * 0.95) {
    await worker.run(async (ctx) => {
      const filler = "x".repeat(200);
      for (let i = 0; i < 4_000; i++) ctx.io.to(`nobody ${i % 1_000}`).emit("m", filler);
      // The hub has taken them: what it is asked comes behind them.
      await ctx.io.timeout(30_000).in("nobody at all").fetchSockets();
    });
  }
  expect((await journal()).cut).toBe(0);
}

test("2,000 clients get their sessions back after SIGKILL of their worker, with a full journal", {
  timeout: LONG_MS,
}, async () => {
  const { a, b, c, primary } = await start({
    workers: 3,
    adapterOptions: { requestsTimeout: REQUESTS_TIMEOUT_MS },
    setUpWorker: ({ io }) => {
      let joined = 0;
      io.on("connection", (socket) => {
        const rooms = Array.from({ length: 20 }, (_, i) => `room ${joined * 20 + i}`);
        joined++;
        if (!socket.recovered) void socket.join(["all", ...rooms]);
      });
    },
  });
  await masses.connect(a.url, CLIENTS);
  await c.run((ctx) => void ctx.io.to("all").emit("m", 0));
  await masses.have(0);
  await fillJournal(c, primary);
  await a.kill("SIGKILL");
  await c.run((ctx) => {
    for (let i = 1; i <= 5; i++) ctx.io.to("all").emit("m", i);
  });
  await primary.run(watchCpu);
  const back = masses.comeBack(b.url);
  await c.run(async (ctx) => {
    for (let i = 6; i <= 50; i++) {
      ctx.io.to("all").emit("m", i);
      await ctx.io.of("/").adapter.serverCount();
    }
  });
  await back;
  const { longestMs, allMs } = await primary.run(cpuSince);
  expect(longestMs).toBeLessThan(BLOCK_MS);
  expect(allMs).toBeLessThan(CLIENTS * RETURN_MS);
  await c.run((ctx) => void ctx.io.to("all").emit("m", 51));
  await masses.have(51);
  const { declined } = await primary.run((ctx) => ctx.hub.stats().recovery);
  expect(declined).toEqual({ unknown: 0, cut: 0, overtaken: 0, "too-large": 0 });
  expect(masses.all.filter(({ lost }) => lost > 0)).toHaveLength(0);
  const expected = Array.from({ length: 52 }, (_, i) => i);
  for (const { received } of masses.all) expect(received).toEqual(expected);
  const { sessions, suspended } = await primary.run((ctx) => ctx.hub.stats().recovery);
  expect({ sessions, suspended }).toEqual({ sessions: CLIENTS, suspended: 0 });
});

test("a client that has missed 40 MB gets all of it, while others get what is live", {
  timeout: LONG_MS,
}, async () => {
  const { a, b, primary } = await start();
  const client = await clients.connect(a.url, { reconnection: false });
  const other = await clients.connect(b.url);
  await b.run((ctx) => void ctx.io.emit("m", -1));
  await Promise.all([client.has("m", -1), other.has("m", -1)]);
  const { id } = client;
  await a.run((ctx, sid) => ctx.io.sockets.sockets.get(sid)?.join("much"), id);
  const gone = client.next("disconnect");
  client.leave(b.url);
  await gone;
  const count = 20_000;
  await b.run(async (ctx, events) => {
    const filler = "x".repeat(2_000);
    for (let i = 0; i < events; i++) {
      ctx.io.to("much").emit("much", i, filler);
      // Its own link has to take it: with more than `maxBacklogBytes` on the way, what follows would not be kept.
      if (i % 500 === 499) await ctx.io.of("/").adapter.serverCount();
    }
  }, count);
  const back = client.connected();
  // To look for an event among so many others takes too long.
  const fences = [client.next("m"), other.next("m")];
  client.socket.connect();
  await b.run((ctx) => {
    ctx.io.to("much").emit("much", "live");
    ctx.io.emit("m", 0);
  });
  expect(await back).toEqual({ id, recovered: true });
  await Promise.all(fences);
  const last = client.next("m");
  await b.run((ctx) => void ctx.io.emit("m", 1));
  await last;
  const numbers = client.of("much").map(([number]) => number);
  expect(numbers).toEqual([...Array.from({ length: count }, (_, i) => i), "live"]);
  expect(client.of("m")).toEqual([[-1], [0], [1]]);
  const { cut } = await primary.run((ctx) => ctx.hub.stats().recovery);
  expect(cut).toBe(0);
});

test("a client waits for its session as long as the hub takes, whatever `requestsTimeout` is", async () => {
  const { a, b, primary } = await start({ adapterOptions: { requestsTimeout: REQUESTS_TIMEOUT_MS } });
  const client = await clients.connect(a.url);
  await b.run((ctx) => void ctx.io.emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  await b.run(noteQuestions);
  await primary.stop();
  const question = b.next("asked");
  const back = client.drop(b.url);
  await question;
  // Ends with the time, twice: the hub does not answer.
  await b.run(async (ctx) => {
    for (let i = 0; i < 2; i++) await ctx.io.of("/").adapter.serverCount();
  });
  await primary.resume();
  expect(await back).toEqual({ id, recovered: true });
});

test("a session goes to its client's newest connection, in whatever order a hub that stood still reads of them", async () => {
  const { a, b, primary } = await start();
  const client = await clients.connect(a.url);
  await b.run((ctx) => void ctx.io.emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  await Promise.all([a, b].map((worker) => worker.run(noteQuestions)));
  await primary.stop();
  const [first, second] = [b.next("asked"), a.next("asked")];
  client.leave(b.url);
  await first;
  // It does not see that its client goes.
  await b.stop();
  const back = client.connected();
  client.leave(a.url);
  await second;
  await primary.resume();
  expect(await back).toEqual({ id, recovered: true });
  await b.resume();
  await b.run((ctx) => void ctx.io.emit("m", 1));
  await client.has("m", 1);
  expect(client.of("m")).toEqual([[0], [1]]);
});

test("a client that has gone while it waited leaves its session to the next connection", async () => {
  const { a, b, primary } = await start();
  const client = await clients.connect(a.url);
  await b.run((ctx) => void ctx.io.emit("m", 0));
  await client.has("m", 0);
  const { id } = client;
  await b.run(noteQuestions);
  await primary.stop();
  const question = b.next("asked");
  client.leave(b.url);
  await question;
  const back = client.connected();
  client.leave(a.url);
  // Told at once, without the hub.
  expect(await b.run((ctx) => ctx.store.answer)).toBeNull();
  await primary.resume();
  expect(await back).toEqual({ id, recovered: true });
  const { sessions, suspended } = await primary.run((ctx) => ctx.hub.stats().recovery);
  expect({ sessions, suspended }).toEqual({ sessions: 1, suspended: 0 });
  await b.run((ctx) => void ctx.io.emit("m", 1));
  await client.has("m", 1);
  expect(client.of("m")).toEqual([[0], [1]]);
});
