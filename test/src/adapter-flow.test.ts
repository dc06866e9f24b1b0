/**
 * More is sent than somebody takes: senders are slowed down, nothing is lost, and nobody is taken for stalled who
 * takes something. Commands and requests wait, or their callers are told.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MemberStats } from "@holdfast/adapter";
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import type { RemotePrimary, RemoteWorker, TestCluster } from "./harness/cluster.js";
import { LINKS } from "./harness/links.js";
import { keepTold, told } from "./harness/told.js";

const MIB = 2 ** 20;
const MINUTES = 120_000;

let cluster: TestCluster;
const start = startsClusters({ sticky: false, workers: 3 }, async (started) => {
  cluster = started;
  await cluster.untilJoined();
  await cluster.primary.run((ctx) => {
    ctx.hub.on("stalled", (member: { workerId: number }) => ctx.emit("stalled", member.workerId));
  });
});
const clients = closedAfterEach(new Clients());

/** The event loop of the process stands still until `wake()`. */
async function keepBusy(remote: RemotePrimary): Promise<{ wake(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
  const file = join(directory, "wake");
  const began = remote.next("busy");
  const done = remote.run(async (ctx, path) => {
    const { existsSync } = await ctx.import("node:fs");
    ctx.emit("busy");
    await new Promise(setImmediate);
    const clock = new Int32Array(new SharedArrayBuffer(4));
    while (!existsSync(path)) Atomics.wait(clock, 0, 0, 5);
  }, file);
  await began;
  return {
    wake: async () => {
      writeFileSync(file, "");
      await done;
      rmSync(directory, { recursive: true });
    },
  };
}

/** Broadcasts numbered messages of 1 KB, and waits whenever those before have not gone. */
async function flood(from: RemoteWorker, count: number): Promise<void> {
  await from.run(async (ctx, end) => {
    const text = "x".repeat(1_000);
    for (let n = 0; n < end; n++) {
      ctx.io.emit("n", n, text);
      if (n % 100 === 99) await ctx.io.of("/").adapter.serverCount();
    }
    ctx.io.emit("end");
  }, count);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function received(client: TestClient): unknown[] {
  return client.received("n").map(([n]) => n);
}

/** Waits until more waits for the worker than is allowed. */
async function untilFull(worker: RemoteWorker, limit: number): Promise<void> {
  await cluster.primary.run(
    (ctx, id, bytes) =>
      ctx.until(() => {
        const { members } = ctx.hub.stats();
        return members.find(({ workerId }: { workerId: number }) => workerId === id)?.backlogBytes > bytes;
      }),
    worker.workerId,
    limit,
  );
}

for (const link of LINKS) {
  describe(`over ${link}`, () => {
    test("workers that all send much at once lose nothing, and get nobody cut off", async () => {
      const limit = 4 * MIB;
      const { workers } = await start({ hubOptions: { link, maxBacklogBytes: limit }, workers: 4 });
      const idle = await Promise.all(workers.map((worker) => clients.connectTo(worker)));
      const MESSAGES = 950;
      const ends = idle.flatMap((client) => [0, 1, 2].map((from) => client.next(`end ${from}`)));
      // While the primary's event loop is blocked, nearly as much waits in each as may.
      const busy = await keepBusy(cluster.primary);
      for (const [sender, worker] of workers.slice(0, 3).entries()) {
        await worker.run(
          (ctx, from, count) => {
            const text = "x".repeat(4_000);
            for (let n = 0; n < count; n++) ctx.io.emit(`from ${from}`, n, text);
            ctx.io.emit(`end ${from}`);
          },
          sender,
          MESSAGES,
        );
      }
      await busy.wake();
      await cluster.primary.run((ctx) => {
        ctx.store.most = 0;
        setInterval(() => {
          for (const { backlogBytes } of ctx.hub.stats().members) {
            ctx.store.most = Math.max(ctx.store.most, backlogBytes);
          }
        }, 2).unref();
      });
      await Promise.all(ends);
      for (const client of idle) {
        for (const from of [0, 1, 2]) {
          expect(client.received(`from ${from}`).map(([n]) => n)).toEqual(numbers(MESSAGES));
        }
      }
      // What is on its way when the others are told.
      expect(await cluster.primary.run((ctx) => ctx.store.most)).toBeLessThan(limit + 3 * 2 * MIB);
      expect([cluster.output, cluster.workers.length]).toEqual(["", 4]);
    });

    test("a stopped worker is cut off in time; until then only what goes to others waits, and none of it is lost", async () => {
      const { a, b, c } = await start({
        hubOptions: { link, maxBacklogBytes: MIB, stallTimeout: 10_000 },
        adapterOptions: { requestsTimeout: 60_000 },
      });
      const [atA, atC] = [await clients.connectTo(a), await clients.connectTo(c)];
      for (const worker of [a, c]) await worker.run(keepTold);
      const stalled = cluster.primary.next("stalled");
      const end = atC.next("end");
      await b.stop();
      const flooded = flood(a, 4_000);
      await untilFull(b, MIB);

      // The one that is slowed down still talks to the hub, and answers.
      const late = await clients.connectTo(a);
      await a.run(async (ctx, id) => {
        await ctx.io.sockets.sockets.get(id)?.join("only a");
      }, late.id);
      expect(
        await c.run(async (ctx) => (await ctx.io.in("only a").fetchSockets()).map(({ id }) => id)),
      ).toEqual([late.id]);
      const heard = late.next("from c");
      await c.run((ctx) => void ctx.io.to("only a").emit("from c"));
      await heard;
      expect([b.alive, received(atC).length < 4_000]).toEqual([true, true]);

      expect(await stalled).toBe(b.workerId);
      await within(b.gone, "end of the stalled worker");
      await flooded;
      await end;
      expect(received(atA)).toEqual(numbers(4_000));
      expect(received(atC)).toEqual(numbers(4_000));
      await cluster.untilJoined(2);
      expect(await c.run(async (ctx) => (await ctx.io.fetchSockets()).length)).toBe(3);
      expect(cluster.output).not.toContain("HOLDFAST_ERR");
      // Nobody looks at what a hub process prints, so one of the workers is told; nothing else was to be told.
      const codes = (await Promise.all([a, c].map(told))).flat().map(({ code }) => code);
      expect(codes).toEqual(link === "unix" ? ["HOLDFAST_ERR_WORKER_STALLED"] : []);
    });

    test("a stopped worker that wakes in time loses nothing, however much was sent to it", async () => {
      const { a, b, c } = await start({
        hubOptions: { link, maxBacklogBytes: MIB, stallTimeout: 600_000 },
        adapterOptions: { requestsTimeout: 600_000 },
      });
      const all = [await clients.connectTo(a), await clients.connectTo(b), await clients.connectTo(c)];
      const ends = all.map((client) => client.next("end"));
      await b.stop();
      const flooded = flood(a, 5_000);
      await untilFull(b, MIB);
      await b.resume();
      await flooded;
      await Promise.all(ends);
      for (const client of all) expect(received(client)).toEqual(numbers(5_000));
      expect(cluster.output).toBe("");
    });

    test("a worker that is slow and takes something is not cut off", async () => {
      const { a, b } = await start({
        hubOptions: { link, maxBacklogBytes: MIB, stallTimeout: 2_000 },
        workers: 2,
      });
      // The system shows that a pipe is read after 200 KB or so: here that takes longer than `stallTimeout`.
      const done = b.next("done");
      await b.run((ctx) => {
        const clock = new Int32Array(new SharedArrayBuffer(4));
        let count = 0;
        ctx.io.on("slow", () => {
          Atomics.wait(clock, 0, 0, 200);
          if (++count === 25) ctx.emit("done");
        });
      });
      await a.run((ctx) => {
        for (let n = 0; n < 100; n++) ctx.io.serverSideEmit("slow", "x".repeat(16_000));
      });
      await untilFull(b, MIB);
      await done;
      expect([cluster.output, cluster.workers.length]).toEqual(["", 2]);
    });

    test("commands and requests wait in order while broadcasts are dropped, and then arrive", async () => {
      const { a, b } = await start({
        hubOptions: { link, maxBacklogBytes: MIB },
        adapterOptions: { requestsTimeout: 60_000 },
        workers: 2,
      });
      const [atA, atB] = [await clients.connectTo(a), await clients.connectTo(b)];
      const ids = [atA.id, atB.id].sort();
      await b.run((ctx) => {
        ctx.store.heard = [];
        ctx.io.on("hello", (n: number) =>
          ctx.store.heard.push([n, ctx.io.of("/").adapter.rooms.has("late")]),
        );
        ctx.io.on("question", (answer: (value: unknown) => void) => answer(ctx.store.heard.length));
      });
      await a.run((ctx) => {
        ctx.store.codes = [];
        process.on("warning", (warning) => ctx.store.codes.push((warning as { code?: string }).code));
      });
      await cluster.primary.stop();
      await a.run(async (ctx) => {
        for (let n = 0; n < 15; n++) {
          ctx.io.emit("big", "x".repeat(100_000));
          await new Promise(setImmediate);
        }
        ctx.io.serverSideEmit("hello", 1);
        ctx.io.socketsJoin("late");
        ctx.io.serverSideEmit("hello", 2);
        ctx.store.answers = Promise.all([
          ctx.io.serverSideEmitWithAck("question"),
          ctx.io
            .in("late")
            .fetchSockets()
            .then((sockets) => sockets.map(({ id }) => id).sort()),
        ]);
        // fetchSockets() looks at this worker's sockets first, and asks then.
        await new Promise(setImmediate);
        ctx.io.socketsLeave("late");
      });
      expect(await a.run((ctx) => ctx.store.codes)).toEqual(["HOLDFAST_ERR_BACKLOG_FULL"]);
      const gone = new Promise<string>((resolve) => atB.socket.once("disconnect", resolve));
      await a.run((ctx, id) => void ctx.io.in(id).disconnectSockets(), atB.id);
      await cluster.primary.resume();
      const [counts, sockets] = (await a.run((ctx) => ctx.store.answers)) as [number[], string[]];
      expect(counts).toEqual([2]);
      expect(sockets).toEqual(ids);
      await within(gone, "disconnection");
      expect(await b.run((ctx) => ctx.store.heard)).toEqual([
        [1, false],
        [2, true],
      ]);
      expect(atB.received("big").length).toBeLessThan(15);
      expect(atA.received("big").length).toBe(15);
    });

    test("beyond twice the limit, each call is told that it was not sent, and has done nothing", async () => {
      const { a, b } = await start({ hubOptions: { link, maxBacklogBytes: MIB }, workers: 2 });
      await clients.connectTo(a);
      await b.run((ctx) => void ctx.io.on("bulk", () => {}));
      await cluster.primary.stop();
      const told = await a.run(async (ctx) => {
        process.on("warning", () => {});
        const codeOf = (error: { code?: string }) => error.code;
        const thrown = (call: () => unknown) => {
          try {
            return call();
          } catch (error) {
            return codeOf(error as { code?: string });
          }
        };
        let sent = 0;
        let code: unknown;
        while (code === undefined && sent < 1_000) {
          code = thrown(() => void ctx.io.serverSideEmit("bulk", "x".repeat(50_000)));
          sent++;
          await new Promise(setImmediate);
        }
        const { io } = ctx;
        return {
          sent,
          calls: [
            code,
            thrown(() => io.socketsJoin("r")),
            thrown(() => io.socketsLeave("r")),
            thrown(() => io.disconnectSockets()),
            thrown(() => io.serverSideEmit("bulk", () => {})),
            await io.serverSideEmitWithAck("bulk").catch(codeOf),
            await io.fetchSockets().catch(codeOf),
            thrown(() => io.timeout(50).emit("x", () => {})),
            await io.timeout(50).emitWithAck("x").catch(codeOf),
          ],
          connected: io.sockets.sockets.size,
          hasRoom: io.of("/").adapter.rooms.has("r"),
        };
      });
      await cluster.primary.resume();
      expect(told.sent).toBeGreaterThan(40);
      expect(told.sent).toBeLessThan(60);
      expect(told.calls).toEqual(Array(9).fill("HOLDFAST_ERR_BACKLOG_FULL"));
      expect([told.connected, told.hasRoom]).toEqual([1, false]);
      // There is room again.
      await cluster.untilJoined(2);
      await a.run((ctx) => void ctx.io.socketsJoin("r"));
      expect(await a.run((ctx) => ctx.io.of("/").adapter.rooms.has("r"))).toBe(true);
    });

    for (const [who, askers] of [
      ["one worker", 1],
      ["all four", 4],
    ] as const) {
      const each = 5_000 / askers;
      test(
        `5,000 fetchSockets() at once by ${who} are all answered, and little waits in the primary`,
        async () => {
          const { workers } = await start({ hubOptions: { link }, workers: 4 });
          for (const worker of [...workers, ...workers]) await clients.connectTo(worker);
          await cluster.primary.run((ctx) => {
            const most = { bytes: 0, unanswered: 0 };
            ctx.store.most = most;
            setInterval(() => {
              for (const member of ctx.hub.stats().members) {
                most.bytes = Math.max(most.bytes, member.backlogBytes);
                most.unanswered = Math.max(most.unanswered, member.unanswered);
              }
            }, 2).unref();
          });
          const counted = workers.slice(0, askers).map((worker) => once(worker, "counted"));
          for (const worker of workers.slice(0, askers)) {
            await worker.run((ctx, count) => {
              const queries = Array.from({ length: count }, () => ctx.io.timeout(600_000).fetchSockets());
              void Promise.all(queries).then((found) => {
                ctx.emit("counted", [...new Set(found.map(({ length }) => length))]);
              });
            }, each);
          }
          const counts = await within(Promise.all(counted), "answers", MINUTES);
          expect(counts).toEqual(Array(askers).fill([[8]]));
          const most = await cluster.primary.run((ctx) => ctx.store.most);
          expect(most.bytes).toBeLessThan(16 * MIB);
          expect(most.unanswered).toBeLessThan(1_000);
          expect([cluster.output, cluster.workers.length]).toEqual(["", 4]);
        },
        2 * MINUTES,
      );
    }

    test("a stopped worker keeps up only those queries that need it", async () => {
      const { a, b, c } = await start({
        hubOptions: { link },
        adapterOptions: { requestsTimeout: 600_000 },
      });
      const atC = await clients.connectTo(c);
      await b.stop();
      const found = await a.run(async (ctx, id) => {
        ctx.store.all = Promise.all(Array.from({ length: 200 }, () => ctx.io.fetchSockets()));
        return (await ctx.io.in(id).fetchSockets()).length;
      }, atC.id);
      expect(found).toBe(1);
      await b.resume();
      const lengths = await a.run(async (ctx) =>
        (await ctx.store.all).map(({ length }: { length: number }) => length),
      );
      expect(lengths).toEqual(Array(200).fill(1));
    });
  });
}

test("over ipc, the application's own messages do not wait behind those of the adapter", async () => {
  const { a, b } = await start({ hubOptions: { link: "ipc" }, workers: 2 });
  const counted = b.next("counted");
  await b.run((ctx) => {
    let count = 0;
    ctx.io.on("n", () => void count++);
    process.on("message", (message) => void (message === "how many?" && ctx.emit("counted", count)));
  });
  await b.stop();
  await a.run((ctx) => {
    for (let n = 0; n < 500; n++) ctx.io.serverSideEmit("n", "x".repeat(10_000));
  });
  await untilFull(b, 4 * MIB);
  await cluster.primary.run((ctx, id) => void ctx.cluster.workers?.[id]?.send("how many?"), b.workerId);
  await b.resume();
  // What the system and the channel had taken before.
  expect(await counted).toBeLessThan(100);
});

test("what the primary itself emits waits, too, and it is told when that is too much", async () => {
  const { b } = await start({ hubOptions: { maxBacklogBytes: MIB, stallTimeout: 600_000 }, workers: 2 });
  const atB = await clients.connectTo(b);
  await b.stop();
  const emitted = await cluster.primary.run(async (ctx) => {
    let code: string | undefined;
    process.once("warning", (warning) => {
      code = (warning as { code?: string }).code;
    });
    let n = 0;
    while (code === undefined && n < 10_000) {
      for (let i = 0; i < 50; i++) ctx.hub.emitter().emit("n", n++, "x".repeat(1_000));
      await new Promise(setImmediate);
    }
    return { n, code };
  });
  expect(emitted.code).toBe("HOLDFAST_ERR_BACKLOG_FULL");
  // As much as may wait for the worker, and as much again in front of the hub.
  expect(emitted.n).toBeGreaterThan(2_000);
  expect(emitted.n).toBeLessThan(4_000);
  const end = atB.next("end");
  await b.resume();
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => ctx.hub.stats().members.every((member: MemberStats) => member.backlogBytes === 0));
    ctx.hub.emitter().emit("end");
  });
  await end;
  const got = received(atB);
  expect(got).toEqual(numbers(got.length));
  expect(got.length).toBeGreaterThan(emitted.n - 200);
});
