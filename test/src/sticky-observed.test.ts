/** What the router and the workers tell of themselves: counts that never fall, and diagnostics channels. */
import { httpRequest, RawSocket } from "@holdfast/harness";
import type { PrimaryStats, SessionStats, SlotStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters({
  workers: 2,
  adapter: false,
  stickyOptions: { loadBalancingMethod: "round-robin" },
});
const clients = closedAfterEach(new Clients());

const stats = (cluster: TestCluster): Promise<PrimaryStats> =>
  cluster.primary.run((ctx) => ctx.router.stats());

/** Waits until the sessions of all slots are as expected, and gives the slots. */
async function untilSessions(cluster: TestCluster, open: object, opened: number): Promise<SlotStats[]> {
  return cluster.primary.run(
    (ctx, wanted, count) =>
      ctx.until(() => {
        const { slots } = ctx.router.stats() as PrimaryStats;
        const sum = (of: (sessions: SessionStats) => number) =>
          slots.reduce((total, { sessions }) => total + of(sessions), 0);
        const isSo = Object.entries(wanted).every(
          ([transport, expected]) =>
            sum((sessions) => sessions.open[transport as keyof SessionStats["open"]]) === expected,
        );
        return isSo && sum((sessions) => sessions.opened) === count && [...slots];
      }),
    open,
    opened,
  );
}

/** A request that a worker answers: it opens a session. */
const ask = (cluster: TestCluster) => httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`);

const sum = (slots: readonly SlotStats[], of: (slot: SlotStats) => number): number =>
  slots.reduce((total, slot) => total + of(slot), 0);

test("sessions are counted by transport, and by the reason of their end", async () => {
  const cluster = await start();
  const polling = await clients.connect(cluster.url, { transports: ["polling"] });
  const upgrading = await clients.connect(cluster.url, { transports: ["polling", "websocket"] });
  const websocket = await clients.connect(cluster.url);
  const slots = await untilSessions(cluster, { polling: 1, websocket: 2, webtransport: 0 }, 3);
  expect(sum(slots, ({ sessions }) => sessions.upgraded)).toBe(1);

  const closed = Promise.all([polling, upgrading].map(({ socket }) => socket.close()));
  await closed;
  for (const worker of cluster.workers) {
    await worker.run((ctx, id) => void ctx.io.sockets.sockets.get(id)?.disconnect(true), websocket.id);
  }
  const after = await untilSessions(cluster, { polling: 0, websocket: 0 }, 3);
  expect(sum(after, ({ sessions }) => sessions.ended["transport close"])).toBe(2);
  expect(sum(after, ({ sessions }) => sessions.ended["forced close"])).toBe(1);
  const own = await Promise.all(
    cluster.workers.map((worker) => worker.run((ctx) => ctx.sticky.stats().sessions)),
  );
  expect(own.map(({ opened }) => opened).sort()).toEqual(after.map(({ sessions }) => sessions.opened).sort());
});

test("sessions whose ends the application's listeners disturb are counted", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      process.on("uncaughtException", () => ctx.emit("thrown"));
      ctx.io.on("connection", (socket) => {
        socket.on("disconnecting", () => {
          throw new Error("disconnecting");
        });
      });
    },
  });
  const thrown = cluster.workers.map((worker) => worker.next("thrown"));
  const opened = [await clients.connect(cluster.url), await clients.connect(cluster.url)];
  await untilSessions(cluster, { websocket: 2 }, 2);
  for (const { socket } of opened) socket.io.engine.close();
  await Promise.all(thrown);
  const after = await untilSessions(cluster, { websocket: 0 }, 2);
  expect(sum(after, ({ sessions }) => sessions.ended["transport close"])).toBe(2);
});

/** Waits until so many requests were refused, and gives the slots. */
async function untilRefused(cluster: TestCluster, count: number): Promise<SlotStats[]> {
  return cluster.primary.run(
    (ctx, wanted) =>
      ctx.until(() => {
        const { slots } = ctx.router.stats() as PrimaryStats;
        const refused = slots.flatMap(({ sessions }) => Object.values(sessions.refused));
        return refused.reduce((total, each) => total + each, 0) === wanted && [...slots];
      }),
    count,
  );
}

test("requests that workers refuse are counted by reason, and on when a worker is replaced", async () => {
  const cluster = await start();
  const refused = async (query: string, method = "GET") =>
    (await httpRequest(`${cluster.url}/socket.io/?${query}`, { method })).status;
  expect(await refused("EIO=4&transport=pigeon")).toBe(400);
  expect(await refused("EIO=4&transport=polling&sid=nobody")).toBe(400);
  expect(await refused("EIO=4&transport=polling&sid=nobody-else")).toBe(400);
  expect(await refused("EIO=4&transport=polling", "POST")).toBe(400);
  expect(await refused("EIO=3&transport=polling")).toBe(400);
  const before = await untilRefused(cluster, 5);
  const by = (slots: SlotStats[]) => (reason: keyof SessionStats["refused"]) =>
    sum(slots, ({ sessions }) => sessions.refused[reason]);
  const reasons = [
    "unknown transport",
    "unknown session",
    "bad handshake method",
    "unsupported protocol",
  ] as const;
  expect(reasons.map(by(before))).toEqual([1, 2, 1, 1]);

  await cluster.worker(0).kill();
  await cluster.fork();
  await Promise.all([0, 1].map(() => refused("EIO=4&transport=pigeon")));
  expect(reasons.map(by(await untilRefused(cluster, 7)))).toEqual([3, 2, 1, 1]);
});

test("what a worker has is counted in its slot while it gets no more, also by the next router", async () => {
  const cluster = await start({ workers: 1 });
  const client = await clients.connect(cluster.url);
  await untilSessions(cluster, { websocket: 1 }, 1);
  await cluster.a.run((ctx) => ctx.sticky.close());
  const had = { workerId: undefined, connections: 1, handedOver: 1, closed: 0 };
  expect((await stats(cluster)).slots).toMatchObject([had]);
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.router.close();
    Object.assign(ctx, { router: setupPrimary(ctx.httpServer) });
  });
  expect((await stats(cluster)).slots).toMatchObject([had]);
  client.close();
  const end = cluster.primary.run((ctx) =>
    ctx.until(() => {
      const [slot] = (ctx.router.stats() as PrimaryStats).slots;
      return slot?.connections === 0 && slot.closed;
    }),
  );
  expect(await end).toBe(1);
});

test("a slot's counts agree when its worker takes the place of one that was sent away", async () => {
  const cluster = await start();
  const [old] = (await stats(cluster)).slots;
  const successor = await cluster.fork();
  await cluster.primary.run((ctx) => ctx.until(() => ctx.router.stats().workers.length === 3));
  const all = await Promise.all(Array.from({ length: 6 }, () => clients.connect(cluster.url)));
  await untilSessions(cluster, { websocket: 6 }, 6);
  const leaving = cluster.workers.find(({ workerId }) => workerId === old?.workerId);
  await leaving?.run((ctx) => void setImmediate(() => ctx.cluster.worker?.disconnect()));
  await cluster.primary.run(
    (ctx, id) =>
      ctx.until(() =>
        (ctx.router.stats() as PrimaryStats).workers.some((w) => w.workerId === id && w.slot === 0),
      ),
    successor.workerId,
  );
  for (const client of all) client.close();
  const slots = await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const now = (ctx.router.stats() as PrimaryStats).slots;
      return now.every(({ connections, sessions }) => connections + sessions.open.websocket === 0) && now;
    }),
  );
  for (const { handedOver, closed, sessions } of slots) {
    expect(closed).toBe(handedOver);
    expect(Object.values(sessions.ended).reduce((sum, count) => sum + count, 0)).toBe(sessions.opened);
  }
});

test("a slot's counts go on when its worker is replaced", async () => {
  const cluster = await start();
  await Promise.all(Array.from({ length: 6 }, () => clients.connect(cluster.url)));
  const before = await untilSessions(cluster, { websocket: 6 }, 6);
  const victim = cluster.worker(0);
  const slot = before.find(({ workerId }) => workerId === victim.workerId) as SlotStats;
  await victim.kill();
  await cluster.primary.run(
    (ctx, at) => ctx.until(() => (ctx.router.stats() as PrimaryStats).slots[at]?.workerId === undefined),
    slot.slot,
  );
  const empty = (await stats(cluster)).slots[slot.slot] as SlotStats;
  expect(empty).toMatchObject({ connections: 0, handedOver: slot.handedOver, closed: slot.handedOver });
  expect(empty.sessions).toMatchObject({ open: { websocket: 0 }, opened: slot.sessions.opened });
  expect(empty.sessions.ended["worker gone"]).toBe(slot.sessions.open.websocket);

  const successor = await cluster.fork();
  await Promise.all(Array.from({ length: 4 }, () => clients.connect(cluster.url)));
  const after = await untilSessions(cluster, { websocket: 7 }, 10);
  const goneOn = after[slot.slot] as SlotStats;
  expect(goneOn.workerId).toBe(successor.workerId);
  expect(goneOn.handedOver).toBe(slot.handedOver + 2);
  expect(goneOn.sessions.opened).toBe(slot.sessions.opened + 2);
  expect(after).toHaveLength(2);
});

test("counts do not start anew with another router of the primary, and are not taken twice", async () => {
  const cluster = await start();
  await Promise.all([clients.connect(cluster.url), clients.connect(cluster.url)]);
  const before = await untilSessions(cluster, { websocket: 2 }, 2);
  await cluster.primary.run(async (ctx) => {
    await ctx.router.close();
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    ctx.store.router = setupPrimary(ctx.httpServer, { loadBalancingMethod: "round-robin" });
    await ctx.store.router.ready(2);
  });
  await clients.connect(cluster.url);
  const after = await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const { slots } = ctx.store.router.stats() as PrimaryStats;
      return slots.reduce((total, { sessions }) => total + sessions.open.websocket, 0) === 3 && [...slots];
    }),
  );
  expect(sum(after, ({ sessions }) => sessions.opened)).toBe(3);
  expect(sum(after, ({ handedOver }) => handedOver)).toBe(sum(before, ({ handedOver }) => handedOver) + 1);
});

test("every connection is accepted, and then handed over or refused; hand-overs are timed", async () => {
  const cluster = await start();
  const bad = new RawSocket(cluster.port);
  bad.write("\0\0\0\0");
  expect(await bad.whole()).toMatch(/^HTTP\/1.1 400 /);
  for (let i = 0; i < 5; i++) await ask(cluster);
  const { accepted, refused, slots, handover } = await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const now = ctx.router.stats() as PrimaryStats;
      return now.handover.count === 5 && now;
    }),
  );
  expect(accepted).toBe(6);
  expect(refused["bad-request"]).toBe(1);
  expect(sum(slots, ({ handedOver }) => handedOver)).toBe(5);
  expect(handover.counts).toHaveLength(handover.boundsMs.length + 1);
  expect(handover.counts.reduce((total, each) => total + each, 0)).toBe(5);
  expect(handover.sumMs).toBeGreaterThan(0);
});

const CHANNELS = ["ready", "gone", "stalled", "resumed", "handover", "refusal", "relay", "move", "failure"];

test("diagnostics channels tell what happens in the primary", async () => {
  const cluster = await start();
  await cluster.primary.run(async (ctx, channels) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.told = [];
    for (const name of channels) {
      subscribe(`holdfast:sticky:${name}`, (message) => ctx.store.told.push({ name, message }));
    }
  }, CHANNELS);
  const client = new RawSocket(cluster.port);
  client.write("\0\0\0\0");
  await client.whole();
  await ask(cluster);
  const { workerId } = cluster.worker(0);
  await cluster.worker(0).kill();
  await cluster.fork();
  const told = (await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const all = ctx.store.told as { name: string }[];
      return (
        ["refusal", "handover", "gone", "ready"].every((name) => all.some((each) => each.name === name)) &&
        all
      );
    }),
  )) as { name: string; message: object }[];
  const of = (name: string) => told.filter((each) => each.name === name).map(({ message }) => message);
  expect(of("refusal")).toEqual([
    { name: "default", reason: "bad-request", remoteAddress: "127.0.0.1", status: 400 },
  ]);
  expect(of("handover")).toEqual([
    {
      workerId: expect.any(Number),
      slot: expect.any(Number),
      name: "default",
      durationMs: expect.any(Number),
      owner: undefined,
    },
  ]);
  expect(of("gone")).toEqual([{ workerId, slot: expect.any(Number), name: "default", returned: 0 }]);
  expect(of("ready")).toEqual([{ workerId: 3, slot: expect.any(Number), name: "default" }]);
});

test("diagnostics channels tell of a worker that takes nothing, and takes connections again", async () => {
  const cluster = await start();
  await cluster.primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.told = [];
    for (const name of ["stalled", "resumed"]) {
      subscribe(`holdfast:sticky:${name}`, (message) =>
        ctx.store.told.push({ channel: name, ...(message as object) }),
      );
    }
  });
  const stopped = cluster.worker(0);
  await stopped.stop();
  const asked = Array.from({ length: 6 }, () => ask(cluster));
  const told = (name: string) =>
    cluster.primary.run(
      (ctx, wanted) =>
        ctx.until(() => ctx.store.told.find((each: { channel: string }) => each.channel === wanted)),
      name,
    );
  expect(await told("stalled")).toMatchObject({ workerId: stopped.workerId, returned: expect.any(Number) });
  await stopped.resume();
  await Promise.all(asked);
  expect(await told("resumed")).toMatchObject({ workerId: stopped.workerId });
});

test("diagnostics channels tell of relayed requests and moved connections in workers", async () => {
  const cluster = await start();
  for (const worker of cluster.workers) {
    await worker.run(async (ctx) => {
      const { subscribe } = await ctx.import("node:diagnostics_channel");
      ctx.store.told = [];
      for (const name of ["relay", "move"]) {
        subscribe(`holdfast:sticky:${name}`, (message) =>
          ctx.store.told.push({ channel: name, ...(message as object) }),
        );
      }
    });
  }
  // Connections go to the two workers by turns.
  const connections = [];
  for (let i = 0; i < 4; i++) {
    const connection = await RawSocket.open(cluster.port);
    connection.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
    await connection.until(/"sid":"[^"]+"/);
    connections.push(connection);
  }
  const [first, second, , fourth] = connections as [RawSocket, RawSocket, RawSocket, RawSocket];
  const sid = /"sid":"([^"]+)"/.exec(first.text)?.[1];
  const told = (name: string) =>
    Promise.race(
      cluster.workers.map((worker) =>
        worker.run(
          (ctx, it) => ctx.until(() => ctx.store.told.find((one: { channel: string }) => one.channel === it)),
          name,
        ),
      ),
    );
  const relayed = told("relay");
  second.write(`GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const { owner } = await relayed;
  expect(await relayed).toEqual({ channel: "relay", what: "request", owner, name: "default" });
  const moved = told("move");
  fourth.write(
    `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  expect(await moved).toMatchObject({ owner });
  await fourth.until("101 Switching Protocols");
});

test("the debug log says what the channels tell, once for each", async () => {
  const cluster = await start({ env: { DEBUG: "holdfast:sticky:*", NO_COLOR: "1" } });
  const client = new RawSocket(cluster.port);
  client.write("\0\0\0\0");
  await client.whole();
  await cluster.waitForOutput("refused 127.0.0.1: bad-request");
  const lines = cluster.output.split("\n").filter((line) => line.includes('is ready for "default"'));
  expect(lines).toHaveLength(2);
  expect(cluster.output).toContain("holdfast:sticky:router");
});

test("a numbering that is asynchronous numbers nobody, and its failure ends nothing", async () => {
  const cluster = await start();
  const warned = cluster.primary.next("warned");
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const { createServer } = await ctx.import("node:http");
    const slotOf = async () => {
      throw new Error("no number");
    };
    const second = setupPrimary(createServer(), { name: "second", slotOf: slotOf as never });
    second.on("warning", (error: Error) => ctx.emit("warned", error.message));
  });
  const { workerId } = await cluster.fork();
  expect(await warned).toBe("slotOf() has thrown.");
  const slot = await cluster.primary.run(
    (ctx, id) =>
      ctx.until(() => (ctx.router.stats() as PrimaryStats).slots.find((each) => each.workerId === id)?.slot),
    workerId,
  );
  expect(slot).toBe(2);
});

test("whoever numbers the workers is believed, as far as that makes sense", async () => {
  const cluster = await start();
  const warned = cluster.primary.next("warned");
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const { createServer } = await ctx.import("node:http");
    const numbers = [5, 2 ** 40, 1.5];
    let calls = 0;
    const slotOf = () => {
      if (calls < numbers.length) return numbers[calls++];
      throw new Error("no number");
    };
    const second = setupPrimary(createServer(), { name: "second", slotOf });
    second.on("warning", (error: Error) => ctx.emit("warned", error.message));
  });
  const numbered: number[] = [];
  for (let i = 0; i < 4; i++) {
    const { workerId } = await cluster.fork();
    const { slot } = await cluster.primary.run(
      (ctx, id) =>
        ctx.until(() => (ctx.router.stats() as PrimaryStats).slots.find((each) => each.workerId === id)),
      workerId,
    );
    numbered.push(slot);
  }
  expect(numbered).toEqual([5, 2, 3, 4]);
  expect((await stats(cluster)).slots).toHaveLength(6);
  expect(await warned).toBe("slotOf() has thrown.");
});
