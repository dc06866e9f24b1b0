/** What one listener of the application throws keeps nothing from the others for whom a frame is. */
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { type ClientOptions, Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, type TestCluster, untilServers } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

const open = startsClusters({ sticky: false, workers: 2, setUpWorker: keepUncaught });
const clients = closedAfterEach(new Clients());

function keepUncaught({ store }: WorkerContext): void {
  store.uncaught = [];
  process.on("uncaughtException", ({ message }) => store.uncaught.push(message));
}

/** Waits for that. It may take a turn until it is thrown. */
const untilUncaught = (worker: RemoteWorker, expected: readonly string[]) =>
  worker.run((ctx, all) => ctx.until(() => ctx.store.uncaught.join() === all), expected.join());

interface Started {
  readonly cluster: TestCluster;
  readonly a: RemoteWorker;
  readonly b: RemoteWorker;
  /** Of worker b. Listeners throw for the first. */
  readonly three: [TestClient, TestClient, TestClient];
  readonly first: string;
}

async function start(io: object, options?: ClientOptions): Promise<Started> {
  const cluster = await open({ io });
  const { a, b } = cluster;
  await untilServers([a, b], 2);
  const connect = () => clients.connectTo(b, options);
  const three: Started["three"] = [await connect(), await connect(), await connect()];
  return { cluster, a, b, three, first: three[0].id };
}

const idsIn = (worker: RemoteWorker, room: string) =>
  worker.run(async (ctx, name) => (await ctx.io.in(name).fetchSockets()).map(({ id }) => id).sort(), room);

describe.each([
  ["without recovery", {}],
  ["with recovery", { connectionStateRecovery: {} }],
])("%s", (_, io) => {
  const idsOf = (some: readonly TestClient[]) => some.map(({ id }) => id).sort();

  test.each(["emit", "volatile", "to the room of its id"])(
    "a listener of outgoing packets that throws keeps a broadcast from nobody: %s",
    async (how) => {
      const { a, b, three, first } = await start(io);
      await b.run((ctx, id) => {
        ctx.io.sockets.sockets.get(id)?.onAnyOutgoing(() => {
          throw new Error("mine");
        });
      }, first);
      const got = three.map((client) => client.next("m"));
      await a.run(
        (ctx, way, ids) => {
          if (way === "emit") ctx.io.emit("m", 1);
          else if (way === "volatile") ctx.io.volatile.emit("m", 1);
          else for (const id of ids) ctx.io.to(id).emit("m", 1);
        },
        how,
        three.map(({ id }) => id),
      );
      expect(await Promise.all(got)).toEqual([[1], [1], [1]]);
      await untilUncaught(b, ["mine"]);
    },
  );

  test("a listener of outgoing packets that throws keeps a question from nobody", async () => {
    const { a, b, three, first } = await start(io);
    await b.run((ctx, id) => {
      ctx.io.sockets.sockets.get(id)?.onAnyOutgoing(() => {
        throw new Error("mine");
      });
    }, first);
    for (const { socket, id } of three) socket.on("q", (answer: (id: string) => void) => answer(id));
    const answers = await a.run((ctx) => ctx.io.timeout(20_000).emitWithAck("q"));
    expect(answers.sort()).toEqual(idsOf(three));
    await untilUncaught(b, ["mine"]);
  });

  test("a listener of the engine's packets that throws keeps a broadcast from no other", async () => {
    const { a, b, three, first } = await start(io, { transports: ["polling"] });
    await b.run((ctx, id) => {
      ctx.io.sockets.sockets.get(id)?.conn.once("packetCreate", () => {
        throw new Error("mine");
      });
    }, first);
    const [, ...others] = three;
    const got = others.map((client) => client.next("m"));
    await a.run((ctx) => void ctx.io.emit("m", 1));
    expect(await Promise.all(got)).toEqual([[1], [1]]);
    await untilUncaught(b, ["mine"]);
  });

  test("a listener of disconnections that throws keeps no other socket connected", async () => {
    const { a, b, three, first } = await start(io);
    await b.run((ctx, id) => {
      ctx.io.sockets.sockets.get(id)?.on("disconnect", () => {
        throw new Error("mine");
      });
    }, first);
    await a.run((ctx) => void ctx.io.disconnectSockets());
    await b.run((ctx) => ctx.until(() => ctx.io.sockets.sockets.size === 0));
    await untilUncaught(b, ["mine"]);
    await expect.poll(() => three.map(({ socket }) => socket.connected)).toEqual([false, false, false]);
  });

  test("a listener of disconnections that throws keeps no connection from being closed", async () => {
    const { a, b, three, first } = await start(io);
    await b.run((ctx, id) => {
      void ctx.io.of("/other");
      ctx.io.sockets.sockets.get(id)?.on("disconnect", () => {
        throw new Error("mine");
      });
    }, first);
    const other = three[0].socket.io.socket("/other");
    const isConnected = new Promise<void>((resolve) => other.once("connect", resolve));
    await isConnected;
    await a.run((ctx) => void ctx.io.disconnectSockets(true));
    await b.run((ctx) => ctx.until(() => ctx.io.engine.clientsCount === 0));
    expect(await b.run((ctx) => ctx.io.of("/other").sockets.size)).toBe(0);
    await untilUncaught(b, ["mine"]);
  });

  test("listeners of rooms that throw keep no other socket in or out, and what is told of rooms is whole", async () => {
    const { a, b, three, first } = await start(io);
    await b.run((ctx, id) => {
      const { adapter } = ctx.io.of("/");
      for (const event of ["create-room", "delete-room"]) {
        adapter.on(event, (room: string) => {
          throw new Error(`${event} ${room}`);
        });
      }
      for (const event of ["join-room", "leave-room"]) {
        adapter.on(event, (room: string, sid: string) => {
          if (sid === id) throw new Error(`${event} ${room}`);
        });
      }
    }, first);
    await a.run((ctx) => void ctx.io.socketsJoin(["r", "s"]));
    expect([await idsIn(a, "r"), await idsIn(a, "s")]).toEqual([idsOf(three), idsOf(three)]);
    const got = three.map((client) => client.next("m"));
    await a.run((ctx) => void ctx.io.to("s").emit("m", 1));
    await Promise.all(got);
    await a.run((ctx) => void ctx.io.socketsLeave(["r", "s"]));
    expect([await idsIn(a, "r"), await idsIn(a, "s")]).toEqual([[], []]);
    expect(await b.run((ctx) => ["r", "s"].filter((room) => ctx.io.of("/").adapter.rooms.has(room)))).toEqual(
      [],
    );
    await b.run((ctx) =>
      ctx.until(() =>
        ["create-room", "join-room", "leave-room", "delete-room"].every(
          (event) => ctx.store.uncaught.includes(`${event} r`) && ctx.store.uncaught.includes(`${event} s`),
        ),
      ),
    );
  });

  test("what listeners of rooms throw comes to whoever changes them, when they are changed as a whole", async () => {
    const { a, b, three, first } = await start(io);
    const thrown = await b.run((ctx, id) => {
      const { adapter } = ctx.io.of("/");
      for (const event of ["create-room", "delete-room"]) {
        adapter.on(event, (room: string) => {
          if (room !== "s") throw new Error(`${event} ${room}`);
        });
      }
      const caught = (run: () => unknown) => {
        try {
          return String(run());
        } catch (error) {
          return (error as Error).message;
        }
      };
      const socket = ctx.io.sockets.sockets.get(id);
      return [
        caught(() => socket?.join(["r", "s", "t"])),
        caught(() => socket?.leave("t")),
        [...(socket?.rooms ?? [])].filter((room) => room !== id),
        ["r", "s", "t"].filter((room) => adapter.rooms.has(room)),
      ];
    }, first);
    expect(thrown).toEqual(["create-room r", "delete-room t", ["r", "s"], ["r", "s"]]);
    await untilUncaught(b, ["create-room t"]);
    // The hub knows the rooms.
    const got = three[0].next("m");
    await a.run((ctx) => void ctx.io.to("s").emit("m", 1));
    await got;
    expect(await idsIn(a, "r")).toEqual([first]);
  });

  test("a socket whose listeners of rooms throw as it goes is in no room any more, and nobody asks for it", async () => {
    const { a, b, three, first } = await start(io);
    await b.run((ctx, id) => {
      ctx.io.sockets.sockets.get(id)?.join(["r", "s"]);
      ctx.io.of("/").adapter.on("leave-room", (room: string, sid: string) => {
        if (sid === id) throw new Error(`leave-room ${room}`);
      });
    }, first);
    await a.run((ctx) => void ctx.io.disconnectSockets());
    await b.run((ctx) => ctx.until(() => ctx.store.uncaught.length >= 3));
    expect(
      await b.run((ctx) => [ctx.io.of("/").adapter.sids.size, ctx.io.of("/").adapter.rooms.size]),
    ).toEqual([0, 0]);
    await expect.poll(() => three.slice(1).map(({ socket }) => socket.connected)).toEqual([false, false]);
  });
});

test("what a listener of outgoing packets throws comes to whoever broadcasts here, as without this adapter", async () => {
  const { a, b, three, first } = await start({});
  const elsewhere = await clients.connectTo(a);
  await b.run((ctx, id) => {
    ctx.io.sockets.sockets.get(id)?.onAnyOutgoing(() => {
      throw new Error("mine");
    });
  }, first);
  const got = elsewhere.next("m");
  const thrown = await b.run((ctx) => {
    try {
      return ctx.io.emit("m", 1);
    } catch (error) {
      return (error as Error).message;
    }
  });
  expect(thrown).toBe("mine");
  await got;
  expect(three[0].received("m")).toEqual([]);
  expect(await b.run((ctx) => ctx.store.uncaught)).toEqual([]);
});

test("what the callback of a question throws is uncaught, and no promise is rejected with it", async () => {
  const { workers } = await open();
  await untilServers(workers, 2);
  const [a] = workers as [RemoteWorker];
  const uncaught = await a.run(
    (ctx) =>
      new Promise((resolve) => {
        process.once("uncaughtException", ({ message }, origin) => resolve([message, origin]));
        ctx.io.timeout(20_000).emit("q", () => {
          throw new Error("mine");
        });
      }),
  );
  expect(uncaught).toEqual(["mine", "uncaughtException"]);
});

test("listeners of the cluster and of processes that were there before and throw keep no worker from the hub", async () => {
  const cluster = await open({ adapter: false, workers: 0 });
  await cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/adapter");
    ctx.store.uncaught = [];
    process.on("uncaughtException", ({ message }) => ctx.store.uncaught.push(message));
    for (const event of ["fork", "message", "disconnect", "exit"]) {
      ctx.cluster.on(event, () => {
        throw new Error(event);
      });
    }
    setupPrimary({ link: "ipc" });
  });
  const workers = [await cluster.fork(), await cluster.fork()];
  for (const worker of workers) {
    await worker.run(async (ctx) => {
      const { createAdapter } = await ctx.import("@holdfast/adapter");
      process.on("message", () => {
        throw new Error("message");
      });
      ctx.io.adapter(createAdapter());
    });
  }
  await untilServers(workers, 2);
  const [a, b] = workers as [RemoteWorker, RemoteWorker];
  const client = await clients.connectTo(b);
  const got = client.next("m");
  await a.run((ctx) => void ctx.io.emit("m", 1));
  expect(await got).toEqual([1]);
  await b.kill();
  await untilServers([a], 1);
  await cluster.primary.run((ctx) =>
    ctx.until(() =>
      ["fork", "message", "disconnect", "exit"].every((event) => ctx.store.uncaught.includes(event)),
    ),
  );
  expect(new Set(await a.run((ctx) => ctx.store.uncaught))).toEqual(new Set(["message"]));
});
