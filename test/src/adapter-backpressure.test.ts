/**
 * A process that takes no messages for a while: what waits for it is bounded, the others lose nothing, and what
 * becomes of it depends on whether it wakes in time.
 *
 * HOLDFAST_LONG=1 adds the same under load, for 20 seconds.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, type TestCluster, untilServers } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";
import { LINKS } from "./harness/links.js";
import { keepTold, told } from "./harness/told.js";

const MIB = 2 ** 20;
/** A good deal less than the smallest backlog that is allowed. */
const FLOOD_STEP = 300;

let cluster: TestCluster;
/** The sender, the worker that will be blocked, and one that must not notice; a client in "room" on each. */
let a: RemoteWorker;
let b: RemoteWorker;
let c: RemoteWorker;
let atA: TestClient;
let atB: TestClient;
let atC: TestClient;

const start = startsClusters({ sticky: false, workers: 3, setUpWorker: joinRoom }, async (started) => {
  cluster = started;
  ({ a, b, c } = cluster);
  await cluster.untilJoined();
  [atA, atB, atC] = [await clients.connectTo(a), await clients.connectTo(b), await clients.connectTo(c)];
  for (const worker of cluster.workers) await worker.run((ctx) => Promise.all(ctx.store.joins));
  await cluster.primary.run((ctx) => {
    ctx.hub.on("stalled", (member: { workerId: number }, bytes: number) => {
      ctx.emit("stalled", [member.workerId, bytes]);
    });
  });
});
const startWithRouter = startsClusters({}, (started) => started.untilJoined());
const clients = closedAfterEach(new Clients());

function joinRoom({ io, store }: WorkerContext): void {
  store.joins = [];
  io.on("connection", (socket) => store.joins.push(socket.join("room")));
}

/** Broadcasts messages of 1 KB, numbered from 0, no faster than the client takes them: its worker must not stall. */
async function flood(from: RemoteWorker, count: number, pace: TestClient): Promise<void> {
  for (let first = 0; first < count; first += FLOOD_STEP) {
    await from.run(
      (ctx, start, end) => {
        const text = "x".repeat(1000);
        for (let n = start; n < end; n++) ctx.io.to("room").emit("n", n, text);
      },
      first,
      Math.min(first + FLOOD_STEP, count),
    );
    await fence(from, pace);
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function received(client: TestClient, event = "n"): number[] {
  return client.received(event).map(([n]) => n as number);
}

let fences = 0;

/** Waits until the clients have what the worker has sent before. */
async function fence(from: RemoteWorker, ...receivers: TestClient[]): Promise<void> {
  // A name of its own: an earlier fence may still be on its way to a worker that was blocked.
  const name = `fence ${++fences}`;
  const arrived = receivers.map((client) => client.next(name));
  await from.run((ctx, event) => void ctx.io.emit(event), name);
  await Promise.all(arrived);
}

interface Blocked {
  wake(): Promise<void>;
}

async function stop(worker: RemoteWorker): Promise<Blocked> {
  await worker.stop();
  return { wake: () => worker.resume() };
}

/** Runs a loop that only a file ends. */
async function keepBusy(worker: RemoteWorker): Promise<Blocked> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
  const file = join(directory, "wake");
  const began = worker.next("busy");
  const done = worker.run(async (ctx, path) => {
    const { existsSync } = await ctx.import("node:fs");
    ctx.emit("busy");
    await new Promise(setImmediate);
    while (!existsSync(path));
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

interface HubView {
  readonly unanswered: number | undefined;
  readonly backlogBytes: number;
  readonly dropped: number;
  readonly members: number;
  /** Of the primary's process. */
  readonly memoryBytes: number;
}

/** What the hub says of one worker. */
async function look(worker: RemoteWorker): Promise<HubView> {
  return cluster.primary.run((ctx, id) => {
    const { members } = ctx.hub.stats();
    const member = members.find(({ workerId }: { workerId: number }) => workerId === id);
    const { heapUsed, external } = process.memoryUsage();
    return {
      unanswered: member?.unanswered,
      backlogBytes: member?.backlogBytes ?? 0,
      dropped: member?.dropped ?? 0,
      members: members.length,
      memoryBytes: heapUsed + external,
    };
  }, worker.workerId);
}

for (const link of LINKS) {
  describe(`over ${link}`, () => {
    for (const [how, block] of [
      ["stopped", stop],
      ["busy", keepBusy],
    ] as const) {
      test(`a ${how} worker that wakes before the limit loses nothing`, async () => {
        await start({ hubOptions: { link, maxBacklogBytes: 16 * MIB } });
        const before = await look(b);
        const blocked = await block(b);
        await flood(a, 6_000, atC);
        await fence(a, atA, atC);
        expect(received(atA)).toEqual(numbers(6_000));
        expect(received(atC)).toEqual(numbers(6_000));
        const during = await look(b);
        expect(during.backlogBytes).toBeGreaterThan(4 * MIB);
        expect(during.backlogBytes).toBeLessThan(16 * MIB);
        // Base64 and the copy that the system is given, at the most.
        expect(during.memoryBytes - before.memoryBytes).toBeLessThan(64 * MIB);
        await blocked.wake();
        await fence(a, atB);
        expect(received(atB)).toEqual(numbers(6_000));
        expect(cluster.output).toBe("");
      });
    }

    test("a worker past the limit is cut off and ended, requests settle without it, nobody else loses anything", async () => {
      await start({
        hubOptions: { link, maxBacklogBytes: MIB, stallTimeout: 1_000 },
        adapterOptions: { requestsTimeout: 1_000_000 },
      });
      for (const worker of [a, c]) await worker.run(keepTold);
      const stalled = cluster.primary.next("stalled");
      await stop(b);
      const found = a.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id).sort());
      await flood(a, 6_000, atC);
      const [workerId, backlogBytes] = (await stalled) as [number, number];
      expect(workerId).toBe(b.workerId);
      expect(backlogBytes).toBeGreaterThan(MIB);
      await within(b.gone, "end of the stalled worker");
      expect(await found).toEqual([atA.id, atC.id].sort());
      await fence(a, atA, atC);
      expect(received(atA)).toEqual(numbers(6_000));
      expect(received(atC)).toEqual(numbers(6_000));
      await untilServers([a, c], 2);
      const text =
        `worker ${b.workerId} (pid ${b.pid}) does not take its messages: ${backlogBytes} bytes are waiting. ` +
        "It was cut off from the other workers and is being ended.";
      await cluster.waitForOutput(`holdfast: ${text}\n`);
      expect(cluster.output).toBe(`holdfast: ${text}\n`);
      // Nobody looks at what a hub process prints, so one of the workers is told, and which one is the hub's choice.
      const heard = (await Promise.all([a, c].map(told))).flat();
      expect(heard).toEqual(link === "unix" ? [{ code: "HOLDFAST_ERR_WORKER_STALLED", message: text }] : []);
    });

    test("a worker that may live is cut off, fails its requests, and joins again when it wakes", async () => {
      await start({
        hubOptions: { link, maxBacklogBytes: MIB, stallTimeout: 1_000, killStalled: false },
        adapterOptions: { requestsTimeout: 1_000_000 },
      });
      await c.run((ctx) => void ctx.io.on("never", () => ctx.emit("asked")));
      const asked = c.next("asked");
      await b.run((ctx) => {
        ctx.store.request = ctx.io
          .serverSideEmitWithAck("never")
          .catch((error: { code: string }) => error.code);
      });
      await asked;
      await b.run((ctx) => {
        ctx.io.on("later", (answer: (value: string) => void) => {
          ctx.store.answer = answer;
          ctx.emit("asked");
        });
      });
      await c.run((ctx) => void ctx.io.on("later", (answer: (value: string) => void) => answer("now")));
      const askedLater = b.next("asked");
      await a.run((ctx) => {
        ctx.store.request = ctx.io.serverSideEmitWithAck("later");
      });
      await askedLater;
      expect((await look(b)).unanswered).toBe(1);
      const stalled = cluster.primary.next("stalled");
      const blocked = await stop(b);
      await flood(a, 6_000, atC);
      expect(await stalled).toEqual([b.workerId, expect.any(Number)]);
      expect((await look(b)).members).toBe(2);
      await fence(a, atA, atC);
      expect(received(atC)).toEqual(numbers(6_000));

      await blocked.wake();
      expect(
        await within(
          b.run((ctx) => ctx.store.request),
          "end of the request",
        ),
      ).toBe("HOLDFAST_ERR_LINK_LOST");
      await untilServers([a, b, c], 3);
      // Nobody waits for the answer to a question of before.
      expect(await a.run((ctx) => ctx.store.request)).toEqual(["now"]);
      await b.run(async (ctx) => {
        ctx.store.answer("late");
        await ctx.io.of("/").adapter.serverCount();
      });
      expect((await look(b)).unanswered).toBe(0);
      // What it got before it was cut off came in order; what was sent while it was away is lost.
      const early = received(atB);
      expect(early).toEqual(numbers(early.length));
      const reached = atB.next("again");
      await b.run((ctx) => ctx.io.sockets.sockets.values().next().value?.join("room"));
      await a.run((ctx) => void ctx.io.to("room").emit("again"));
      await reached;
      const others = [atA.next("from b"), atC.next("from b")];
      await b.run((ctx) => void ctx.io.to("room").emit("from b"));
      await Promise.all(others);
      for (const worker of [a, b]) {
        const ids = await worker.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id).sort());
        expect(ids).toEqual([atA.id, atB.id, atC.id].sort());
      }
      await cluster.waitForOutput("It was cut off from the other workers.\n");
    });

    test("volatile packets are dropped first", async () => {
      await start({ hubOptions: { link, maxBacklogBytes: 8 * MIB } });
      const blocked = await stop(b);
      await a.run(async (ctx) => {
        const text = "x".repeat(1000);
        for (let n = 0; n < 3_000; n++) {
          ctx.io.to("room").emit("n", n, text);
          ctx.io.to("room").volatile.emit("v", n, text);
          // The hub's answer comes when it has taken what was sent before.
          if (n % 100 === 99) await ctx.io.of("/").adapter.serverCount();
        }
      });
      const { dropped, backlogBytes } = await look(b);
      expect(dropped).toBeGreaterThan(1_000);
      expect(backlogBytes).toBeLessThan(8 * MIB);
      await blocked.wake();
      await fence(a, atA, atB, atC);
      for (const client of [atA, atB, atC]) expect(received(client)).toEqual(numbers(3_000));
      const volatiles = received(atB, "v");
      expect(volatiles.length).toBeLessThanOrEqual(3_000 - dropped);
      expect(volatiles).toEqual([...volatiles].sort((one, other) => one - other));
      expect(cluster.output).toBe("");
    });

    test("a blocked primary: workers serve their own clients, say once that they drop, and go on when it wakes", async () => {
      await start({ hubOptions: { link, maxBacklogBytes: MIB } });
      await a.run((ctx) => {
        ctx.store.codes = [];
        process.on("warning", (warning) => ctx.store.codes.push((warning as { code?: string }).code));
      });
      await a.run((ctx) => ctx.io.sockets.sockets.values().next().value?.join("only a"));
      for (const episode of [1, 2]) {
        await cluster.primary.stop();
        const own = [atA.next("last"), atC.next("own")];
        await a.run(async (ctx) => {
          const text = "x".repeat(1000);
          for (let n = 0; n < 3_000; n++) {
            // It goes to the hub; that nobody else has the room is for the hub to know.
            ctx.io.to("only a").emit("n", n, text);
            if (n % 100 === 99) await new Promise(setImmediate);
          }
          ctx.io.emit("lost");
          ctx.io.to("only a").emit("last");
          for (let n = 0; n < 5; n++) {
            // Not dropped, and no reason to complain again.
            for (const socket of ctx.io.sockets.sockets.values()) void socket.join(`room ${n}`);
            ctx.io.socketsLeave("nobody's");
            await new Promise(setImmediate);
          }
        });
        await c.run((ctx) => void ctx.io.local.emit("own"));
        await Promise.all(own);
        expect(received(atA)).toHaveLength(episode * 3_000);
        expect(await a.run((ctx) => ctx.store.codes)).toEqual(
          Array(episode).fill("HOLDFAST_ERR_BACKLOG_FULL"),
        );
        await cluster.primary.resume();
        await untilServers([a], 3);
        const reached = [atB.next("again"), atC.next("again")];
        await a.run((ctx) => void ctx.io.to("room").emit("again"));
        await Promise.all(reached);
        expect(atC.received("lost")).toEqual([]);
      }
    });
  });
}

test("the clients of a stalled worker reconnect elsewhere", async () => {
  const cluster = await startWithRouter({ hubOptions: { maxBacklogBytes: MIB, stallTimeout: 1_000 } });
  const client = await clients.connect(cluster.url, { reconnection: true, reconnectionDelay: 10 });
  const here: RemoteWorker[] = [];
  const others: RemoteWorker[] = [];
  for (const worker of cluster.workers) {
    const has = await worker.run((ctx, id) => ctx.io.sockets.sockets.has(id), client.id);
    (has ? here : others).push(worker);
  }
  const [[victim], [other]] = [here, others] as [[RemoteWorker], [RemoteWorker]];
  await stop(victim);
  const back = new Promise<void>((resolve) => client.socket.once("connect", resolve));
  await other.run(async (ctx) => {
    for (let n = 0; n < 6_000; n++) {
      ctx.io.emit("n", n, "x".repeat(1000));
      if (n % 100 === 99) await ctx.io.of("/").adapter.serverCount();
    }
  });
  await within(back, "reconnection");
  const reached = client.next("hello");
  await other.run((ctx) => void ctx.io.emit("hello"));
  await reached;
});
