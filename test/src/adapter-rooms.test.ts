/**
 * Rooms that are no plain strings: Socket.IO compares rooms as a `Set` does, whatever they are. What one worker does
 * with a room of sockets of another is compared with what Socket.IO's own adapter does in one process.
 */
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import type { RemoteWorker } from "./harness/cluster.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const start = startsClusters({ sticky: false, workers: 2 }, (cluster) => cluster.untilJoined());
const clients = closedAfterEach(new Clients());
const returning = closedAfterEach(new RecoveringClients());

/** Each is a room of its own. As text, because JSON has not got all of them. */
const ROOMS = `[
  "text", "", "\\ud83d", "\\ude00", "\\ud83d\\ude00", "\\ufffd", "r\\u00e4ume", "\\u0000",
  7, "7", 0, "0", NaN, "NaN", Infinity, 1.5, 1e21,
  7n, 12345678901234567890n, "7n",
  true, "true", false, undefined, "undefined", null, "null",
]`;
const COUNT = new Function(`return ${ROOMS}`)().length as number;
/** What a room looks like from outside; the index says which it is. */
const ALL = Array.from({ length: COUNT }, (_, i) => i);

/** Runs in a worker: joins each client to the room of its index, and one client to all. */
async function joinEach(worker: RemoteWorker, each: readonly TestClient[], all: TestClient): Promise<void> {
  await worker.run(
    async (ctx, rooms, ids, allId) => {
      const list = new Function(`return ${rooms}`)() as string[];
      const { sockets } = ctx.io.sockets;
      for (const [i, id] of ids.entries()) await sockets.get(id)?.join(list[i] as string);
      for (const room of list) await sockets.get(allId)?.join(room);
    },
    ROOMS,
    each.map(({ id }) => id),
    all.id,
  );
}

describe.each([
  ["Socket.IO's own adapter, within one process", false, {}],
  ["another worker", "@holdfast/adapter", {}],
  ["another worker, with recovery", "@holdfast/adapter", { connectionStateRecovery: {} }],
] as const)("by %s", (_name, adapter, io) => {
  const start2 = startsClusters({ sticky: false, workers: adapter ? 2 : 1, adapter, hub: adapter !== false });

  test("a room of any type is found, excepted, joined, left and told as what it is", async () => {
    const cluster = await start2({ io });
    if (adapter) await cluster.untilJoined();
    const here = cluster.a;
    const there = adapter ? cluster.b : cluster.a;
    const each = await Promise.all(ALL.map(() => clients.connectTo(there)));
    const everywhere = await clients.connectTo(there);
    await joinEach(there, each, everywhere);

    const end = Promise.all([...each, everywhere].map((client) => client.next("end")));
    const found = await here.run(async (ctx, rooms) => {
      const list = new Function(`return ${rooms}`)() as string[];
      list.forEach((room, i) => {
        ctx.io.to(room).emit("to", i);
        ctx.io.except(room).emit("except", i);
      });
      const ids = await Promise.all(
        list.map(async (room) => (await ctx.io.in(room).fetchSockets()).map(({ id }) => id)),
      );
      ctx.io.emit("end");
      return ids;
    }, ROOMS);
    await end;
    const received = (client: TestClient, event: string) => client.received(event).map(([i]) => i);
    expect(each.map((client) => received(client, "to"))).toEqual(ALL.map((i) => [i]));
    expect(received(everywhere, "to")).toEqual(ALL);
    expect(each.map((client) => received(client, "except"))).toEqual(
      ALL.map((i) => ALL.filter((other) => other !== i)),
    );
    expect(received(everywhere, "except")).toEqual([]);
    expect(found.map((ids) => ids.sort())).toEqual(each.map(({ id }) => [id, everywhere.id].sort()));

    // Whoever is in a room joins the next one by its name, and one leaves all.
    await here.run(
      async (ctx, rooms, allId) => {
        const list = new Function(`return ${rooms}`)() as string[];
        ctx.io.in(allId).socketsLeave(list);
        for (const room of list) ctx.io.in(room).socketsJoin([room, "found"]);
        ctx.io.in("text").socketsJoin(list);
        await ctx.io.of("/").adapter.serverCount();
      },
      ROOMS,
      everywhere.id,
    );
    const rooms = await there.run(
      async (ctx, source, ids) => {
        // The answer comes behind what the other one has sent.
        await ctx.io.of("/").adapter.serverCount();
        const list = new Function(`return ${source}`)() as unknown[];
        return ids.map((id) => {
          const has = ctx.io.sockets.sockets.get(id)?.rooms ?? new Set();
          const indexes = [...has].map((room) => list.findIndex((one) => new Set([one]).has(room)));
          return { size: has.size, indexes: indexes.filter((i) => i !== -1).sort((x, y) => x - y) };
        });
      },
      ROOMS,
      [...each, everywhere].map(({ id }) => id),
    );
    expect(rooms).toEqual([
      { size: COUNT + 2, indexes: ALL },
      ...ALL.slice(1).map((i) => ({ size: 3, indexes: [i] })),
      { size: 1, indexes: [] },
    ]);
    expect(cluster.output).toBe("");
  });
});

describe("objects and symbols as rooms", () => {
  test.each([{}, { connectionStateRecovery: {} }])(
    "stay within their worker, and harm nobody: %j",
    async (io) => {
      const cluster = await start({ io });
      const { a, b } = cluster;
      const [here, there] = await Promise.all([returning.connect(a.url), clients.connectTo(b)]);
      const { id } = here;
      here.socket.on("question", (answer) => answer("yes"));
      const asked = await a.run(
        async (ctx, sid, other) => {
          const socket = ctx.io.sockets.sockets.get(sid);
          // As a client sends them, and as nobody can.
          const odd = [
            { toString: 1 },
            JSON.parse('{"__proto__":null}'),
            Object.create(null),
            Symbol("room"),
            () => {},
          ];
          for (const room of odd as string[]) await socket?.join(room);
          for (const room of odd as string[]) {
            ctx.io.to(room).emit("here");
            ctx.io.to(room).except(other).emit("here");
            ctx.io.except(room).emit("there");
            ctx.io.in(room).socketsJoin(["joined", room]);
            ctx.io.in(other).socketsJoin(room);
            ctx.io.in(other).socketsLeave(room);
          }
          const found = await Promise.all(
            (odd as string[]).map(async (room) => (await ctx.io.in(room).fetchSockets()).length),
          );
          const answers = await ctx.io
            .timeout(10_000)
            .to(odd[3] as unknown as string)
            .emitWithAck("question");
          return { found, answers, rooms: socket?.rooms.size };
        },
        id,
        there.id,
      );
      expect(asked).toEqual({ found: [1, 1, 1, 1, 1], answers: ["yes"], rooms: 7 });
      const rooms = await b.run(async (ctx, sid) => {
        const sockets = await ctx.io.in("joined").fetchSockets();
        return {
          here: sockets.map((socket) => [...socket.rooms]),
          own: ctx.io.sockets.sockets.get(sid)?.rooms.size,
        };
      }, there.id);
      // Nobody else can have them, so nobody else is told of them.
      expect(rooms).toEqual({ here: [[id, "joined"]], own: 1 });
      const end = there.next("end");
      await a.run((ctx) => void ctx.io.emit("end"));
      await end;
      await here.has("end");
      expect([here.of("here").length, here.of("there").length]).toEqual([10, 0]);
      expect([there.received("here").length, there.received("there").length]).toEqual([0, 5]);
      expect(cluster.output).toBe("");
      if (!("connectionStateRecovery" in io)) return;
      expect(await here.drop(b.url)).toEqual({ id, recovered: true });
      const kept = await b.run((ctx, sid) => [...(ctx.io.sockets.sockets.get(sid)?.rooms ?? [])], id);
      expect(kept.sort()).toEqual([id, "joined"].sort());
    },
  );
});

test("a session comes back with rooms of any type", async () => {
  const { a, b } = await start({ io: { connectionStateRecovery: {} } });
  const client = await returning.connect(a.url);
  const { id } = client;
  await a.run(
    async (ctx, rooms, sid) => {
      await ctx.io.sockets.sockets.get(sid)?.join(new Function(`return ${rooms}`)());
      ctx.io.to(sid).emit("start");
    },
    ROOMS,
    id,
  );
  await client.has("start");
  const back = client.connected();
  await a.kill();
  client.goesTo(b.url);
  await b.run((ctx, rooms) => {
    (new Function(`return ${rooms}`)() as string[]).forEach((room, i) => void ctx.io.to(room).emit("n", i));
  }, ROOMS);
  expect(await back).toEqual({ id, recovered: true });
  await client.has("n", COUNT - 1);
  expect(client.of("n")).toEqual(ALL.map((i) => [i]));
  const rooms = await b.run(
    (ctx, source, sid) => {
      const list = new Function(`return ${source}`)() as string[];
      const has = ctx.io.sockets.sockets.get(sid)?.rooms;
      return list.map((room) => has?.has(room));
    },
    ROOMS,
    id,
  );
  expect(rooms).toEqual(ALL.map(() => true));
});

test("a room that is left in one namespace is still heard in another, whatever the two are called", async () => {
  // Of each pair, numbers and endings are as far apart as the namespaces are, or the same.
  const pairs: [inMain: string, inChat: string][] = [
    ["2001", "1001"],
    ["a:7", "b:7"],
    ["same", "same"],
  ];
  const { a, b } = await start();
  for (const worker of [a, b]) await worker.run((ctx) => void ctx.io.of("/chat"));
  const main = await clients.connectTo(b);
  const chat = await clients.connectTo(b, {}, "/chat");
  const counts = await b.run(
    async (ctx, all, mainId, chatId) => {
      const [here, there] = [ctx.io.sockets.sockets.get(mainId), ctx.io.of("/chat").sockets.get(chatId)];
      await here?.join(all.map(([room]) => room));
      await there?.join(all.map(([, room]) => room));
      for (const [, room] of all) void there?.leave(room);
      // The hub has heard of it: what waits to be told goes along.
      await ctx.io.of("/chat").adapter.serverCount();
      return [here?.rooms.size, there?.rooms.size];
    },
    pairs,
    main.id,
    chat.id,
  );
  expect(counts).toEqual([pairs.length + 1, 1]);
  const end = main.next("end");
  const found = await a.run(async (ctx, all) => {
    const lists = await Promise.all(all.map(([room]) => ctx.io.in(room).fetchSockets()));
    for (const [room] of all) ctx.io.to(room).emit("m", room);
    for (const [, room] of all) ctx.io.of("/chat").to(room).emit("m", room);
    ctx.io.emit("end");
    return lists.map(({ length }) => length);
  }, pairs);
  await end;
  expect(found).toEqual(pairs.map(() => 1));
  expect(main.received("m")).toEqual(pairs.map(([room]) => [room]));
  expect(chat.received("m")).toEqual([]);
});
