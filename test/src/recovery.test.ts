/** Connection state recovery on real clusters: what comes back, from where, and what does not. */
import { beforeEach, describe, expect, test } from "vitest";

import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";
import { Manager, RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";

let cluster: TestCluster;
let a: RemoteWorker;
let b: RemoteWorker;

const start = startsClusters(
  { sticky: false, workers: 2, io: { connectionStateRecovery: {} }, setUpWorker: keepReasons },
  async (started) => {
    cluster = started;
    ({ a, b } = cluster);
    await cluster.untilJoined();
  },
);
const startWithMsgpack = startsClusters({
  sticky: false,
  workers: 2,
  workerModule: new URL("../dist/fixtures/recovery-msgpack.js", import.meta.url).href,
});
const clients = closedAfterEach(new RecoveringClients());

/** Why sockets were disconnected. */
function keepReasons({ io, store }: WorkerContext): void {
  store.reasons = [];
  io.on("connection", (socket) => {
    socket.on("disconnect", (reason) => void store.reasons.push(reason));
  });
}

/** Everybody gets `event` from worker b; with it, an offset. */
async function tellAll(event: string, ...args: unknown[]): Promise<void> {
  await b.run((ctx, name, values) => void ctx.io.emit(name, ...values), event, args);
  await Promise.all(clients.all.map((client) => client.has(event, ...args)));
}

describe("a session", () => {
  beforeEach(() => start());

  test("is restored on another worker: id, rooms, data and every packet that was missed, in order", async () => {
    const client = await clients.connect(a.url);
    await a.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (!socket) throw new Error("no socket");
      socket.data = { name: "Ada", seen: new Map([[1, new Date(5)]]), bytes: Buffer.from([1]) };
      await socket.join(["r", "left", 7 as never]);
      socket.leave("left");
    }, client.id);
    await tellAll("first");
    const { id } = client;
    client.goesTo("http://127.0.0.1:9");
    const back = client.connected();
    client.leave("http://127.0.0.1:9");
    await a.run(async (ctx, sid) => {
      await ctx.until(() => !ctx.io.sockets.sockets.has(sid));
    }, id);
    await b.run((ctx, sid) => {
      for (let i = 0; i < 100; i++) ctx.io.to("r").emit("n", i);
      ctx.io.to(7 as never).emit("number");
      ctx.io.to("7").emit("not a number");
      ctx.io.to("left").emit("no");
      ctx.io.to("r").except(sid).emit("no");
      ctx.io.to("other").emit("no");
      ctx.io.emit("all", Buffer.from([1, 2]), { deep: new Uint8Array([3]) });
      ctx.io.to(sid).emit("mine");
    }, id);
    client.goesTo(b.url);
    expect(await back).toEqual({ id, recovered: true });
    await client.has("mine");
    expect(client.received).toEqual([
      ["first"],
      ...Array.from({ length: 100 }, (_, i) => ["n", i]),
      ["number"],
      ["all", Buffer.from([1, 2]), { deep: Buffer.from([3]) }],
      ["mine"],
    ]);
    const there = await b.run((ctx, sid) => {
      const socket = ctx.io.sockets.sockets.get(sid);
      return { recovered: socket?.recovered, rooms: [...(socket?.rooms ?? [])], data: socket?.data };
    }, id);
    expect(there).toEqual({
      recovered: true,
      rooms: expect.arrayContaining([id, "r", 7]),
      data: { name: "Ada", seen: new Map([[1, new Date(5)]]), bytes: Buffer.from([1]) },
    });
    expect(there.rooms).toHaveLength(3);
    await tellAll("live");
    expect(client.received.at(-1)).toEqual(["live"]);
  });

  test("misses nothing of what its new worker emits while it is on its way", async () => {
    const client = await clients.connect(a.url);
    await a.run(async (ctx, id) => void (await ctx.io.sockets.sockets.get(id)?.join("r")), client.id);
    await tellAll("first");
    await b.run((ctx) => {
      ctx.store.count = 0;
      // Nobody else here is in the room: most of these are made while this worker has no use for them.
      ctx.store.timer = setInterval(() => ctx.io.to("r").emit("n", ctx.store.count++), 1);
    });
    for (let i = 0; i < 8; i++) expect((await client.drop(b.url)).recovered).toBe(true);
    const count = await b.run((ctx) => {
      clearInterval(ctx.store.timer);
      return ctx.store.count as number;
    });
    await tellAll("last");
    expect(client.of("n")).toEqual(Array.from({ length: count }, (_, n) => [n]));
  });

  test("is restored several times in a row, here and there", async () => {
    const client = await clients.connect(a.url);
    await tellAll("m", -1);
    const { id } = client;
    for (let i = 0; i < 10; i++) {
      const back = client.drop(i % 2 === 0 ? b.url : a.url);
      await a.run((ctx, sid, n) => void ctx.io.to(sid).emit("m", n), id, i);
      expect(await back).toEqual({ id, recovered: true });
      await tellAll("fence", i);
    }
    expect(client.of("m")).toEqual(Array.from({ length: 11 }, (_, i) => [i - 1]));
  });

  test("is restored while its old connection still looks alive, which is closed", async () => {
    const client = await clients.connect(a.url);
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (socket) socket.data.step = 1;
    }, client.id);
    await tellAll("m", 0);
    const { id } = client;
    await a.run((ctx, sid) => {
      const socket = ctx.io.sockets.sockets.get(sid);
      if (socket) socket.data.step = 2;
    }, id);
    expect(await client.abandon(b.url)).toEqual({ id, recovered: true });
    expect(await b.run((ctx, sid) => ctx.io.sockets.sockets.get(sid)?.data, id)).toEqual({ step: 2 });
    expect(await a.run((ctx) => [ctx.io.sockets.sockets.size, ctx.store.reasons])).toEqual([
      0,
      ["forced close"],
    ]);
    expect(await client.abandon(b.url)).toEqual({ id, recovered: true });
    await tellAll("m", 1);
    expect(client.of("m")).toEqual([[0], [1]]);
  });

  test("survives the SIGKILL of its worker, with rooms and data", async () => {
    const client = await clients.connect(a.url);
    await a.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (!socket) throw new Error("no socket");
      socket.data.name = "Ada";
      await socket.join("r");
    }, client.id);
    await tellAll("m", 0);
    const { id } = client;
    await a.run((ctx, sid) => {
      const socket = ctx.io.sockets.sockets.get(sid);
      ctx.store.told = socket && ctx.dataTold(socket);
    }, id);
    client.socket.emit("something");
    await a.run((ctx) => ctx.store.told);
    const back = client.connected();
    client.goesTo(b.url);
    await a.kill("SIGKILL");
    await b.run((ctx) => void ctx.io.to("r").emit("m", 1));
    expect(await back).toEqual({ id, recovered: true });
    await tellAll("m", 2);
    expect(client.of("m")).toEqual([[0], [1], [2]]);
    expect(await b.run((ctx, sid) => ctx.io.sockets.sockets.get(sid)?.data, id)).toEqual({ name: "Ada" });
  });

  test("survives the end of every worker", async () => {
    const client = await clients.connect(a.url);
    await tellAll("m", 0);
    const { id } = client;
    client.goesTo("http://127.0.0.1:9");
    const back = client.connected();
    await b.run(async (ctx) => {
      ctx.io.emit("m", 1);
      // Behind it on its way to the hub.
      await ctx.io.of("/").adapter.serverCount();
    });
    await a.kill("SIGKILL");
    await b.kill("SIGKILL");
    const fresh = await cluster.fork();
    client.goesTo(fresh.url);
    expect(await back).toEqual({ id, recovered: true });
    await client.has("m", 1);
    expect(client.of("m")).toEqual([[0], [1]]);
  });

  test("survives a graceful end of its worker's server", async () => {
    const client = await clients.connect(a.url);
    await tellAll("m", 0);
    const { id } = client;
    client.goesTo(b.url);
    const back = client.connected();
    await a.run((ctx) => void ctx.io.close());
    expect(await back).toEqual({ id, recovered: true });
  });

  test("ends with its client's or its server's word", async () => {
    const client = await clients.connect(a.url);
    await tellAll("m");
    const { privateId, offset } = client;
    client.socket.disconnect();
    const again = client.connected();
    client.socket.connect();
    expect((await again).recovered).toBe(false);
    expect(client.privateId).not.toBe(privateId);

    await tellAll("m");
    const gone = client.next("disconnect");
    await a.run((ctx) => void ctx.io.disconnectSockets());
    await gone;
    const third = client.connected();
    client.socket.connect();
    expect((await third).recovered).toBe(false);
    expect(offset).toBeDefined();
    // The earlier two are forgotten, not suspended; the third is told when it is open.
    await cluster.primary.run(async (ctx) => {
      const isTold = ({ sessions, suspended }: { sessions: number; suspended: number }) =>
        sessions === 1 && suspended === 0;
      await ctx.until(() => isTold(ctx.hub.stats().recovery));
    });
  });

  test("is not given for forged, foreign or unknown ids and offsets; the client gets a new one", async () => {
    const victim = await clients.connect(a.url);
    await tellAll("m");
    const { privateId = "", offset = "", id } = victim;
    const forgeries: [string, string][] = [
      ["unknown", offset],
      [privateId, "nonsense"],
      [privateId, ""],
      [privateId, `${offset.slice(0, 4)}zzzzzzzzzz`],
      [privateId, `xxxx${offset.slice(4)}`],
      [privateId, offset.slice(0, 13)],
      [privateId, "x".repeat(500_000)],
      ["x".repeat(500_000), offset],
      [id, offset],
    ];
    for (const [forgedId, forgedOffset] of forgeries) {
      const thief = new RecoveringClient(b.url, { autoConnect: false } as never);
      clients.add(thief);
      thief.privateId = forgedId;
      thief.offset = forgedOffset;
      const connected = thief.connected();
      thief.socket.connect();
      expect((await connected).recovered).toBe(false);
      expect(thief.id).not.toBe(id);
      expect(thief.received).toEqual([]);
    }
    expect(await a.run((ctx) => ctx.io.sockets.sockets.size)).toBe(1);
    expect(victim.socket.connected).toBe(true);
  });

  test("goes to one of two clients that ask for it at once", async () => {
    const client = await clients.connect(a.url, { reconnection: false });
    await tellAll("m");
    const { privateId = "", offset = "" } = client;
    client.leave(b.url);
    const rivals = Array.from({ length: 8 }, (_, i) => {
      const rival = new RecoveringClient(i % 2 === 0 ? a.url : b.url, { reconnection: false });
      rival.privateId = privateId;
      rival.offset = offset;
      clients.add(rival);
      return rival;
    });
    await Promise.all(rivals.map((rival) => rival.connected()));
    // Who had it for a moment, before another asked, has been disconnected.
    const holders = () => rivals.filter(({ socket }) => socket.connected && socket.recovered);
    while (holders().length > 1) {
      const disconnects = holders().map((rival) => rival.next("disconnect"));
      await Promise.race(disconnects);
    }
    expect(holders()).toHaveLength(1);
    const ids = await a.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id));
    expect(ids.filter((id) => id === holders()[0]?.id)).toHaveLength(1);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("of several namespaces of one client come back each by itself", async () => {
    const manager = new Manager(a.url, { reconnectionDelay: 1, transports: ["websocket"] });
    for (const worker of [a, b]) await worker.run((ctx) => void ctx.io.of("/admin"));
    const main = new RecoveringClient(a.url, {}, "/", manager);
    const admin = new RecoveringClient(a.url, {}, "/admin", manager);
    for (const client of [main, admin]) clients.add(client);
    await Promise.all([main.connected(), admin.connected()]);
    const both = [main.next("m"), admin.next("m")];
    await a.run((ctx) => {
      ctx.io.emit("m", "main");
      ctx.io.of("/admin").emit("m", "admin");
    });
    await Promise.all(both);
    const ids = [main.id, admin.id];
    const adminBack = admin.connected();
    expect(await main.abandon(b.url)).toEqual({ id: ids[0], recovered: true });
    expect(await adminBack).toEqual({ id: ids[1], recovered: true });
    const more = [main.next("m"), admin.next("m")];
    await a.run((ctx) => {
      ctx.io.emit("m", "main 2");
      ctx.io.of("/admin").emit("m", "admin 2");
    });
    await Promise.all(more);
    expect([main.of("m"), admin.of("m")]).toEqual([
      [["main"], ["main 2"]],
      [["admin"], ["admin 2"]],
    ]);
  });

  test("that was restored with long-polling, upgrading or not", async () => {
    for (const transports of [["polling"], ["polling", "websocket"]]) {
      const client = await clients.connect(a.url, { transports });
      await tellAll("m", 0);
      const { id } = client;
      const back = client.drop(b.url);
      await b.run((ctx) => void ctx.io.emit("m", 1));
      expect(await back).toEqual({ id, recovered: true });
      await tellAll("m", 2);
      expect(client.of("m")).toEqual([[0], [1], [2]]);
      expect(await client.abandon(a.url)).toEqual({ id, recovered: true });
      client.close();
      clients.all.splice(clients.all.indexOf(client), 1);
    }
  });

  test("has the offset that volatile and local packets carry, too", async () => {
    const client = await clients.connect(b.url);
    await tellAll("m", 0);
    const { offset } = client;
    const volatile = client.next("v");
    await a.run((ctx) => void ctx.io.volatile.emit("v", "text as the last argument"));
    await volatile;
    expect(client.offset).toBe(offset);
    const local = client.next("l");
    await b.run((ctx) => void ctx.io.local.emit("l", "text"));
    await local;
    expect(client.offset).toBe(offset);
    const { id } = client;
    const back = client.drop(a.url);
    await a.run((ctx) => {
      ctx.io.emit("m", 1);
      ctx.io.volatile.emit("v", "not kept");
    });
    expect(await back).toEqual({ id, recovered: true });
    await tellAll("m", 2);
    expect(client.of("m")).toEqual([[0], [1], [2]]);
  });

  test("gets what the primary's emitter sends, live and missed", async () => {
    const client = await clients.connect(a.url);
    await cluster.primary.run((ctx) => {
      ctx.store.emitter = ctx.hub.emitter();
    });
    const first = client.next("m");
    await cluster.primary.run((ctx) => void ctx.store.emitter.emit("m", 0, "text"));
    await first;
    const { id } = client;
    const back = client.drop(b.url);
    await cluster.primary.run((ctx, sid) => {
      ctx.store.emitter.to(sid).emit("m", 1);
      ctx.store.emitter.volatile.emit("v", "text");
    }, id);
    expect(await back).toEqual({ id, recovered: true });
    await tellAll("m", 2);
    expect(client.of("m")).toEqual([[0, "text"], [1], [2]]);
  });

  test("is there for 1,000 returns before the loss was noticed", async () => {
    const people = await Promise.all(Array.from({ length: 10 }, () => clients.connect(a.url)));
    await tellAll("m");
    await Promise.all(
      people.map(async (client) => {
        const { id } = client;
        for (let i = 0; i < 100; i++) {
          expect(await client.abandon(i % 3 === 0 ? a.url : b.url)).toEqual({ id, recovered: true });
        }
      }),
    );
    await tellAll("last");
    for (const client of people) expect(client.received).toEqual([["m"], ["last"]]);
  });

  test("keeps data that can be kept, and names what cannot", async () => {
    const warned = a.next("warning");
    await a.run((ctx) => void process.on("warning", (warning) => ctx.emit("warning", warning.message)));
    await a.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.data = { good: 1, bad: Symbol("no") };
      });
    });
    const client = await clients.connect(a.url);
    expect(await warned).toContain(`socket.data.bad of socket ${client.id} cannot be kept`);
    await tellAll("m");
    const { id } = client;
    expect((await client.drop(b.url)).recovered).toBe(true);
    expect(await b.run((ctx, sid) => ctx.io.sockets.sockets.get(sid)?.data, id)).toEqual({ good: 1 });
  });
});

describe("order on one worker", () => {
  beforeEach(() => start());

  test("nothing that was emitted before a disconnection by the server is lost", async () => {
    const client = await clients.connect(a.url);
    const gone = client.next("disconnect");
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      socket?.emit("to the socket", 1);
      ctx.io.emit("to all", 2);
      ctx.io.to("elsewhere").emit("no");
      socket?.disconnect(true);
    }, client.id);
    await gone;
    expect(client.received).toEqual([
      ["to the socket", 1],
      ["to all", 2],
    ]);
  });

  test("who joins or leaves after an emit has had no part in it, or has", async () => {
    const client = await clients.connect(a.url);
    const other = await clients.connect(a.url);
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      ctx.io.to("r").emit("before joining");
      socket?.join("r");
      ctx.io.to("r").emit("joined");
      socket?.leave("r");
      ctx.io.to("r").emit("left");
      ctx.io.emit("end");
    }, client.id);
    await Promise.all([client, other].map((c) => (c.of("end").length ? undefined : c.next("end"))));
    expect(client.received).toEqual([["joined"], ["end"]]);
    expect(other.received).toEqual([["end"]]);
  });

  test("who leaves or is disconnected after a packet that is not kept gets it all the same", async () => {
    const [client, other] = [await clients.connect(a.url), await clients.connect(a.url)];
    const end = client.next("disconnect");
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      socket?.join("r");
      ctx.io.emit("kept");
      ctx.io.local.to("r").emit("local");
      socket?.leave("r");
      ctx.io.local.to("r").emit("no");
      ctx.io.local.emit("last");
      socket?.disconnect(true);
    }, client.id);
    await end;
    expect(client.received).toEqual([["kept"], ["local"], ["last"]]);
    await other.has("last");
    expect(other.received).toEqual([["kept"], ["last"]]);
  });

  test.each([true, false])("so with what is to be acknowledged; to this worker only: %s", async (local) => {
    const [leaving, joining, ended] = [
      await clients.connect(a.url),
      await clients.connect(a.url),
      await clients.connect(a.url),
    ];
    for (const [i, { socket }] of [leaving, joining, ended].entries()) {
      socket.on("question", (answer: (from: number) => void) => answer(i));
    }
    const end = ended.next("disconnect");
    const answers = a.run(
      async (ctx, ids, isLocal) => {
        const [goes, comes, isEnded] = ids.map((id) => ctx.io.sockets.sockets.get(id));
        const io = isLocal ? ctx.io.local : ctx.io;
        await goes?.join("r");
        await isEnded?.join("q");
        ctx.io.emit("before");
        const asked = io.to("r").timeout(20_000).emitWithAck("question");
        goes?.leave("r");
        comes?.join("r");
        io.to("q")
          .timeout(20_000)
          .emit("question", () => {});
        isEnded?.disconnect(true);
        ctx.io.emit("after");
        return await asked;
      },
      [leaving, joining, ended].map(({ id }) => id),
      local,
    );
    expect(await answers).toEqual([0]);
    await end;
    await Promise.all([leaving.has("after"), joining.has("after")]);
    const events = (client: typeof ended) => client.received.map(([event]) => event);
    expect(events(leaving)).toEqual(["before", "question", "after"]);
    expect(events(joining)).toEqual(["before", "after"]);
    expect(events(ended)).toEqual(["before", "question"]);
  });

  test("what a socket is asked before it is disconnected is asked in its place", async () => {
    const client = await clients.connect(a.url);
    const end = client.next("disconnect");
    await a.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      ctx.io.emit("before");
      socket?.emit("question", () => {});
      socket?.disconnect(true);
    }, client.id);
    await end;
    expect(client.received.map(([event]) => event)).toEqual(["before", "question"]);
  });

  test("acknowledgements and volatile packets keep their place among events", async () => {
    const client = await clients.connect(a.url);
    await a.run((ctx, id) => {
      ctx.io.sockets.sockets.get(id)?.on("ask", (answer: (value: string) => void) => {
        ctx.io.emit("one");
        ctx.io.local.emit("two");
        ctx.io.emit("three");
        answer("four");
        ctx.io.emit("five");
      });
    }, client.id);
    const end = client.next("five");
    client.socket.emit("ask", (value: string) => client.received.push([value]));
    await end;
    expect(client.received.map(([event]) => event)).toEqual(["one", "two", "three", "four", "five"]);
  });

  test("socket.emit() goes to the hub and back, and to no other worker", async () => {
    const client = await clients.connect(a.url);
    const framesTo = () =>
      cluster.primary.run((ctx) =>
        ctx.hub.stats().members.map((member: { framesOut: number }) => member.framesOut),
      );
    const workerIds = await cluster.primary.run((ctx) =>
      ctx.hub.stats().members.map((member: { workerId: number }) => member.workerId),
    );
    const before = await framesTo();
    const got = client.next("last");
    await a.run((ctx, id) => {
      for (let i = 0; i < 50; i++) ctx.io.sockets.sockets.get(id)?.emit("m", i);
      ctx.io.sockets.sockets.get(id)?.emit("last");
    }, client.id);
    await got;
    const after = await framesTo();
    const grown = workerIds.map((id: number, i: number) => [id, after[i] - before[i]]);
    expect(new Map(grown as [number, number][]).get(b.workerId)).toBe(0);
  });
});

describe("middlewares", () => {
  const io = { connectionStateRecovery: { skipMiddlewares: false } };

  test("are skipped unless told otherwise", async () => {
    await start();
    await b.run((ctx) => {
      ctx.store.ran = 0;
      ctx.io.use((_socket, next) => {
        ctx.store.ran++;
        next();
      });
    });
    const client = await clients.connect(a.url);
    await tellAll("m");
    expect((await client.drop(b.url)).recovered).toBe(true);
    expect(await b.run((ctx) => ctx.store.ran)).toBe(0);
  });

  test("that take their time lose no packet; what they refuse may be tried again", async () => {
    await start({ io });
    await b.run((ctx) => {
      ctx.store.refuse = true;
      ctx.io.use((_socket, next) => {
        if (ctx.store.refuse) return next(new Error("refused"));
        ctx.io.emit("m", "while the middleware runs");
        // The hub has placed that one when it answers.
        void ctx.io
          .of("/")
          .adapter.serverCount()
          .then(() => {
            ctx.io.emit("m", "just before it is done");
            next();
          });
      });
    });
    const client = await clients.connect(a.url);
    await tellAll("m", "first");
    const { id } = client;
    const refused = client.next("connect_error");
    client.leave(b.url);
    await refused;
    expect(client.received).toEqual([["m", "first"]]);
    await b.run((ctx) => {
      ctx.store.refuse = false;
    });
    const back = client.connected();
    client.socket.connect();
    expect(await back).toEqual({ id, recovered: true });
    await tellAll("m", "last");
    expect(client.of("m")).toEqual([
      ["first"],
      ["while the middleware runs"],
      ["just before it is done"],
      ["last"],
    ]);
  });

  test("whose client goes meanwhile leave the session to the next connection", async () => {
    await start({ io });
    await b.run((ctx) => {
      ctx.io.use((_socket, next) => {
        ctx.store.next = next;
        ctx.emit("asked");
      });
    });
    const client = await clients.connect(a.url);
    await tellAll("m", 0);
    const { id } = client;
    const asked = b.next("asked");
    client.leave(b.url);
    await asked;
    await a.run((ctx) => void ctx.io.emit("m", 1));
    expect(await client.abandon(a.url)).toEqual({ id, recovered: true });
    await b.run((ctx) => void ctx.store.next());
    await tellAll("m", 2);
    expect(client.of("m")).toEqual([[0], [1], [2]]);
  });
});

test("a custom parser with binary packets", async () => {
  const { a, b } = await startWithMsgpack();
  const parser = (await import("socket.io-msgpack-parser")).default as never;
  const client = await clients.connect(a.url, { parser });
  const got = client.next("m");
  await b.run((ctx) => void ctx.store.io.emit("m", Buffer.from([1]), { x: "é" }));
  await got;
  const { id } = client;
  const back = client.drop(b.url);
  await a.run((ctx) => void ctx.store.io.emit("m", Buffer.from([2])));
  expect(await back).toEqual({ id, recovered: true });
  await client.has("m", Buffer.from([2]));
  expect(client.of("m")).toEqual([[Buffer.from([1]), { x: "é" }], [Buffer.from([2])]]);
});

test("sessions that do not return are gone after the limit", async () => {
  await start({ io: { connectionStateRecovery: { maxDisconnectionDuration: 300 } } });
  const client = await clients.connect(a.url);
  await tellAll("m");
  client.goesTo("http://127.0.0.1:9");
  client.leave("http://127.0.0.1:9");
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.hub.stats().recovery.suspended > 0);
    await ctx.until(() => ctx.hub.stats().recovery.sessions === 0);
  });
  const back = client.connected();
  client.goesTo(b.url);
  expect((await back).recovered).toBe(false);
});
