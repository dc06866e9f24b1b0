/**
 * A join counts from the call: a worker joins a socket to a room and waits for nothing, and another worker, which knows
 * of it in some way of its own, sends to the room. It reaches the socket, once, whatever the hub has heard first.
 */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { ClusterConfig, WorkerContext } from "./harness/context.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const ROUNDS = 300;

let cluster: TestCluster;
const clients = closedAfterEach(new Clients());
const returning = closedAfterEach(new RecoveringClients());

const RECOVERY = { connectionStateRecovery: {} };

/** One cluster for the tests of a chapter. */
function share(config: ClusterConfig): void {
  beforeAll(async () => {
    cluster = await TestCluster.start({ sticky: false, workers: 3, ...config });
    await cluster.untilJoined();
  });
  afterAll(() => cluster?.close());
}

describe.each<[string, ClusterConfig]>([
  ["over pipes", {}],
  ["over the IPC channel", { hubOptions: { link: "ipc" } }],
  ["with recovery", { io: RECOVERY }],
])("%s", (_name, config) => {
  share(config);

  test(`${ROUNDS} of ${ROUNDS} broadcasts reach sockets whose join nobody has awaited`, async () => {
    const { a, b } = cluster;
    const client = await clients.connectTo(b);
    // The workers' own way to each other, which is as fast as the hub's.
    const port = await a.run(async (ctx) => {
      const { createServer } = await ctx.import("node:net");
      const onLine = (line: string) => {
        if (line === "end") ctx.io.emit("end");
        else ctx.io.to(`room ${line}`).emit("n", Number(line));
      };
      const server = createServer((socket) => {
        let rest = "";
        socket.setNoDelay(true).on("data", (chunk) => {
          const lines = (rest + String(chunk)).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) onLine(line);
        });
      });
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return (server.address() as import("node:net").AddressInfo).port;
    });
    await b.run(async (ctx, to) => {
      const { connect } = await ctx.import("node:net");
      const socket = connect(to, "127.0.0.1").setNoDelay(true);
      await new Promise<void>((done) => socket.once("connect", done));
      ctx.store.tell = (line: string) => void socket.write(`${line}\n`);
    }, port);
    await b.run(
      async (ctx, id, rounds) => {
        const socket = ctx.io.sockets.sockets.get(id);
        for (let i = 0; i < rounds; i++) {
          void socket?.join(`room ${i}`);
          ctx.store.tell(String(i));
          // Mostly one in a turn, sometimes two.
          if (i % 3 !== 0) await new Promise(setImmediate);
        }
      },
      client.id,
      ROUNDS,
    );
    const told = client.next("end");
    await b.run((ctx) => ctx.store.tell("end"));
    await told;
    await allSentOn(b, client);
    expect(client.received("n").map(([n]) => n)).toEqual(Array.from({ length: ROUNDS }, (_, i) => i));
    expect(cluster.output).toBe("");
  });

  test("what comes while the worker is busy after the join reaches the socket, and nothing else does", async () => {
    const { a, b, c } = cluster;
    const [client, other] = await Promise.all([clients.connectTo(b), clients.connectTo(b)]);
    await joinTo(b, client, "before");
    const before = await sentOn();
    await a.run((ctx) => void ctx.io.to("late").emit("n", "before the join"));
    await a.run((ctx) => ctx.io.of("/").adapter.serverCount());
    const wake = await joinAndStandStill(b, client, "late", "later");
    await a.run(async (ctx) => {
      ctx.io.to("late").emit("n", 1);
      ctx.io.to(["late", "later", "nobody"]).emit("n", 2);
      ctx.io.volatile.to("later").emit("n", 3);
      ctx.io.to("late").except("before").emit("n", "excepted");
      ctx.io.to("late").except("nobody").emit("n", 4);
      ctx.io.to("nobody").emit("n", "not for it");
      await ctx.io.of("/").adapter.serverCount();
    });
    await c.run(async (ctx) => {
      ctx.io.to("late").emit("n", 5, Buffer.alloc(200_000));
      ctx.io.to("late").emit("n", 6);
      await ctx.io.of("/").adapter.serverCount();
    });
    await wake();
    await allSentOn(b, client);
    expect(client.received("n").map(([n]) => n)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(other.received("n")).toEqual([]);
    // What is excepted is sent on, too: the hub does not read so far.
    expect(await sentOn()).toBe(before + 7);
  });

  test("so do operations, and what follows from them", async () => {
    const { a, b } = cluster;
    const [moved, out, off] = await Promise.all([1, 2, 3].map(() => clients.connectTo(b)));
    if (!moved || !out || !off) throw new Error("no clients");
    await joinTo(b, out, "inside");
    const gone = new Promise((resolve) => off.socket.once("disconnect", resolve));
    const wake = await standStillAfter(
      b,
      (ctx, ...ids) => {
        ids.forEach((id, i) => void ctx.io.sockets.sockets.get(id)?.join(`late ${i}`));
      },
      moved.id,
      out.id,
      off.id,
    );
    await a.run(async (ctx) => {
      ctx.io.to("moved").emit("n", "before it is there");
      ctx.io.in("late 0").socketsJoin("moved");
      ctx.io.to("moved").emit("n", "moved");
      ctx.io.in("late 1").socketsLeave("inside");
      ctx.io.to("inside").emit("n", "inside");
      ctx.io.in("late 2").disconnectSockets(true);
      await ctx.io.of("/").adapter.serverCount();
    });
    await wake();
    await allSentOn(b, moved);
    await gone;
    expect(moved.received("n")).toEqual([["moved"]]);
    const rooms = await b.run((ctx, id) => [...(ctx.io.sockets.sockets.get(id)?.rooms ?? [])], out.id);
    expect(rooms).toEqual([out.id, "late 1"]);
  });

  test("a question that is open when the hub hears of the join is put to the socket, too", async () => {
    const { a, b, c } = cluster;
    const [late, inTime] = await Promise.all([clients.connectTo(b), clients.connectTo(c)]);
    await joinTo(c, inTime, "asked");
    late.socket.on("question", (answer) => answer("late"));
    const asked = new Promise<(answer: string) => void>((resolve) => inTime.socket.once("question", resolve));
    const wake = await joinAndStandStill(b, late, "asked");
    const wakeOther = await standStillAfter(c, () => {});
    const answers = a.run((ctx) => ctx.io.timeout(20_000).to("asked").emitWithAck("question"));
    const sockets = a.run(async (ctx) => (await ctx.io.in("asked").fetchSockets()).map(({ id }) => id));
    await a.run((ctx) => ctx.io.of("/").adapter.serverCount());
    await wake();
    await allSentOn(b, late);
    await wakeOther();
    (await asked)("in time");
    expect((await answers).sort()).toEqual(["in time", "late"]);
    expect((await sockets).sort()).toEqual([inTime.id, late.id].sort());
  });

  test("the primary's emitter reaches sockets whose join nobody has awaited", async () => {
    const { b } = cluster;
    const client = await clients.connectTo(b);
    const wake = await joinAndStandStill(b, client, "late");
    await cluster.primary.run(async (ctx) => {
      ctx.hub.emitter().to("late").emit("n", 1);
      // Nobody is asked, and the answer comes behind what was sent before.
      await ctx.hub.emitter().in("nobody").fetchSockets();
    });
    await wake();
    await allSentOn(b, client);
    expect(client.received("n")).toEqual([[1]]);
  });
});

describe.each([
  ["", true, {}],
  [", with recovery", true, RECOVERY],
  [", without interest", false, {}],
  [", without interest and with recovery", false, RECOVERY],
])("a namespace that the hub does not know yet%s", (_name, interest, io) => {
  share({
    io,
    adapterOptions: { interest },
    setUpWorker: (ctx) => {
      ctx.io.of(/^\/dynamic$/).on("connection", (socket) => ctx.store.onConnection?.(socket));
    },
  });

  test("gets what comes meanwhile", async () => {
    const { a, b, directory } = cluster;
    // Another worker has it, and with it may send to it.
    await clients.connectTo(a, {}, "/dynamic");
    const file = join(directory, randomUUID());
    await b.run((ctx, path) => {
      ctx.store.onConnection = (socket: import("socket.io").Socket) => {
        void socket.join("late");
        ctx.emit("joined", socket.id);
        ctx.standStill(path);
      };
    }, file);
    const joined = b.next<string>("joined");
    const arriving = clients.connectTo(b, {}, "/dynamic");
    const id = await joined;
    await a.run(async (ctx, to) => {
      const namespace = ctx.io.of("/dynamic");
      namespace.to("late").emit("n", "room");
      namespace.emit("n", "everybody");
      namespace.to(to).emit("n", "own room");
      namespace.to("nobody").emit("n", "not for it");
      await namespace.adapter.serverCount();
    }, id);
    writeFileSync(file, "");
    const client = await arriving;
    await allSentOn(b, client, "/dynamic");
    expect(
      client
        .received("n")
        .map(([n]) => n)
        .sort(),
    ).toEqual(["everybody", "own room", "room"]);
  });
});

describe("with recovery", () => {
  share({ io: RECOVERY });

  test("late events keep their place in the one order, and their offsets", async () => {
    const { a, b } = cluster;
    const client = await returning.connect(b.url);
    await b.run(async (ctx, id) => ctx.io.sockets.sockets.get(id)?.join("known"), client.id);
    const offsets: string[] = [];
    client.socket.onAny((_event, ...args: string[]) => offsets.push(args.at(-1) ?? ""));
    const wake = await standStillAfter(
      b,
      (ctx, id) => void ctx.io.sockets.sockets.get(id)?.join("late"),
      client.id,
    );
    await a.run(async (ctx) => {
      ctx.io.to("known").emit("n", 1);
      ctx.io.to("late").emit("n", 2);
      ctx.io.emit("n", 3);
      ctx.io.to("late").emit("n", 4);
      ctx.io.to(["late", "known"]).emit("n", 5);
      ctx.io.to("known").except("late").emit("n", "excepted");
      ctx.io.to("late").emit("n", 6);
      await ctx.io.of("/").adapter.serverCount();
    });
    await wake();
    await client.has("n", 6);
    const inOrder = [1, 2, 3, 4, 5, 6];
    expect(client.of("n")).toEqual(inOrder.map((n) => [n]));
    expect(offsets).toEqual(offsets.toSorted());
    expect(new Set(offsets).size).toBe(inOrder.length);
    // It comes back with the offset of the last of them: nothing comes twice.
    const { id } = client;
    expect(await client.drop(a.url)).toEqual({ id, recovered: true });
    await a.run((ctx) => void ctx.io.to("late").emit("n", 7));
    await client.has("n", 7);
    expect(client.of("n")).toEqual([...inOrder, 7].map((n) => [n]));
  });

  test("what is held for a socket that is joining goes before its end, or to its client's next connection", async () => {
    const { a, b } = cluster;
    const ended = await clients.connectTo(b);
    const lost = await returning.connect(b.url);
    const { id } = lost;
    // It has an offset to come back with.
    await b.run((ctx, sid) => void ctx.io.to(sid).emit("n", 0), id);
    await lost.has("n", 0);
    const gone = new Promise((resolve) => ended.socket.once("disconnect", resolve));
    const wake = await standStillAfter(
      b,
      (ctx, ...ids) => {
        const [first, second] = ids.map((each) => ctx.io.sockets.sockets.get(each));
        void first?.join("late");
        void second?.join("late");
        // It comes behind the event to everybody, and before what the hub sends on.
        ctx.io.once("end", () => {
          first?.disconnect();
          second?.conn.close();
        });
      },
      ended.id,
      id,
    );
    await a.run(async (ctx) => {
      ctx.io.to("late").emit("n", 1);
      ctx.io.emit("n", 2);
      ctx.io.serverSideEmit("end");
      await ctx.io.of("/").adapter.serverCount();
    });
    lost.goesTo(a.url);
    const back = lost.connected();
    await wake();
    expect(await back).toEqual({ id, recovered: true });
    await lost.has("n", 2);
    expect(lost.of("n")).toEqual([[0], [1], [2]]);
    await gone;
    expect(ended.received("n")).toEqual([[2]]);
  });
});

describe.each([true, false])("with recovery, with interest: %s", (interest) => {
  share({ io: RECOVERY, adapterOptions: { interest } });

  test("a worker's event is not for sockets of its own that join after it", async () => {
    const { a } = cluster;
    const client = await clients.connectTo(a);
    await a.run((ctx, id) => {
      ctx.io.to("room").emit("n", "before");
      void ctx.io.sockets.sockets.get(id)?.join("room");
      ctx.io.to("room").emit("n", "after");
    }, client.id);
    await allSentOn(a, client);
    expect(client.received("n")).toEqual([["after"]]);
  });

  test("nor for those that another worker has told to join, but have not done so", async () => {
    const { a, b, directory } = cluster;
    const client = await clients.connectTo(a);
    const file = join(directory, randomUUID());
    const stands = a.next("stands");
    const sent = a.run((ctx, path) => {
      ctx.emit("stands");
      ctx.standStill(path);
      ctx.io.to("told").emit("n", "before");
    }, file);
    await stands;
    await b.run(async (ctx) => {
      ctx.io.socketsJoin("told");
      await ctx.io.of("/").adapter.serverCount();
    });
    writeFileSync(file, "");
    await sent;
    await allSentOn(a, client);
    expect(client.received("n")).toEqual([]);
    await b.run((ctx) => void ctx.io.to("told").emit("n", "after"));
    await b.run((ctx) => ctx.io.of("/").adapter.serverCount());
    await allSentOn(a, client);
    expect(client.received("n")).toEqual([["after"]]);
  });
});

async function joinTo(worker: RemoteWorker, client: TestClient, ...rooms: string[]): Promise<void> {
  await worker.run(async (ctx, id, all) => ctx.io.sockets.sockets.get(id)?.join(all), client.id, rooms);
}

/** The worker joins the client to the rooms, and gets no further before it is woken. */
async function joinAndStandStill(
  worker: RemoteWorker,
  client: TestClient,
  ...rooms: string[]
): Promise<() => Promise<void>> {
  return standStillAfter(
    worker,
    (ctx, id, ...all) => void ctx.io.sockets.sockets.get(id)?.join(all),
    client.id,
    ...rooms,
  );
}

/** The worker does its work, and in the same turn stands still until the function is called that this gives. */
async function standStillAfter(
  worker: RemoteWorker,
  work: (ctx: WorkerContext, ...args: string[]) => void,
  ...args: string[]
): Promise<() => Promise<void>> {
  const file = join(cluster.directory, randomUUID());
  const done = worker.next("done");
  const woken = worker.run(
    (ctx, source, path, all) => {
      new Function(`return (${source});`)()(ctx, ...all);
      ctx.emit("done");
      ctx.standStill(path);
    },
    work.toString(),
    file,
    args,
  );
  await done;
  return async () => {
    writeFileSync(file, "");
    await woken;
  };
}

/** How much the hub has sent on so far. */
async function sentOn(): Promise<number> {
  const { lateJoins } = await cluster.primary.run((ctx) => ctx.hub.stats());
  expect(lateJoins.tooLate).toBe(0);
  return lateJoins.sentOn;
}

/** Waits until the client has what the hub has sent on to its worker. */
async function allSentOn(worker: RemoteWorker, client: TestClient, namespace = "/"): Promise<void> {
  const fence = client.next("fence");
  await worker.run(
    async (ctx, id, name) => {
      const nsp = ctx.io.of(name);
      // The answer comes behind everything that the hub has sent on; the second one behind what followed from that.
      await nsp.adapter.serverCount();
      await nsp.adapter.serverCount();
      nsp.to(id).emit("fence");
    },
    client.id,
    namespace,
  );
  await fence;
}
