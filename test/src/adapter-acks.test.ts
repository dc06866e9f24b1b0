/** Acknowledgements that never come: when nobody waits for them any more, nothing of them is left with the sockets. */
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients, type TestClient } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";

const start = startsClusters({ sticky: false }, (cluster) => cluster.untilJoined());
const clients = closedAfterEach(new Clients());

const QUESTIONS = 20;
const TIMEOUT_MS = 100;

/** Who asks all clients of the cluster, again and again, without an answer from each. Settles when the time is over. */
const ASKERS: Record<string, (cluster: TestCluster) => Promise<unknown>> = {
  "the worker of the clients": ({ a }) => askFrom(a),
  "another worker": ({ b }) => askFrom(b),
  "the primary": ({ primary }) =>
    primary.run(
      async (ctx, count, ms) => {
        const emitter = ctx.hub.emitter();
        // The first question waits until the hub has opened the namespace.
        await emitter.fetchSockets();
        const ask = (_: unknown, i: number) =>
          new Promise<void>((done) => emitter.timeout(ms).emit("q", i, () => done()));
        return Promise.all(Array.from({ length: count }, ask));
      },
      QUESTIONS,
      TIMEOUT_MS,
    ),
};

async function askFrom(worker: RemoteWorker): Promise<void> {
  const answers = await worker.run(
    async (ctx, count, ms) => {
      const ask = (_: unknown, i: number) =>
        ctx.io
          .timeout(ms)
          .emitWithAck("q", i)
          .then(
            () => "all",
            () => "not all",
          );
      return Promise.all(Array.from({ length: count }, ask));
    },
    QUESTIONS,
    TIMEOUT_MS,
  );
  expect(answers).toEqual(Array(QUESTIONS).fill("not all"));
}

/** Waits until no socket of the worker waits for an acknowledgement. */
async function untilNoneIsLeft(worker: RemoteWorker): Promise<void> {
  await worker.run(async (ctx) => {
    const kept = () => {
      let sum = 0;
      for (const socket of ctx.io.sockets.sockets.values()) {
        sum += (socket as unknown as { acks: Map<number, unknown> }).acks.size;
      }
      return sum;
    };
    await ctx.until(() => kept() === 0);
  });
}

describe.each([
  ["without recovery", {}],
  ["with recovery", { io: { connectionStateRecovery: {} } }],
])("%s", (_, config) => {
  test.each(Object.keys(ASKERS))("%s asks, and silent clients' sockets forget it", async (who) => {
    const cluster = await start(config);
    const people = await Promise.all(Array.from({ length: 3 }, () => clients.connectTo(cluster.a)));
    const [answering] = people as [TestClient];
    answering.socket.on("q", (...args: unknown[]) => (args.at(-1) as (answer: string) => void)("yes"));
    const asked = people.map((client) => client.next("q"));
    await ASKERS[who]?.(cluster);
    await Promise.all(asked);
    await untilNoneIsLeft(cluster.a);
  });

  test.each(["2147483648", "Infinity"])("after io.timeout(%s), nobody waits any more", async (ms) => {
    const { a, b } = await start({ ...config, workers: 2 });
    const client = await clients.connectTo(a);
    const asked = client.next("q");
    const waiting = await b.run(
      async (ctx, count, ms) => {
        const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
        const before = timers();
        const ask = () => ctx.io.timeout(Number(ms)).emitWithAck("q");
        await Promise.allSettled(Array.from({ length: count }, ask));
        // A few come and go.
        return ctx.until(() => timers() < before + count / 2);
      },
      QUESTIONS,
      ms,
    );
    expect(waiting).toBe(true);
    await asked;
    await untilNoneIsLeft(a);
  });

  test("an acknowledgement that comes too late is ignored, and disturbs nobody", async () => {
    const { a, b } = await start(config);
    const client = await clients.connectTo(a);
    const late: ((answer: string) => void)[] = [];
    client.socket.on("q", (...args: unknown[]) => late.push(args.at(-1) as (answer: string) => void));
    for (const worker of [a, b]) {
      const asked = client.next("q");
      await worker.run((ctx) =>
        ctx.io
          .timeout(20)
          .emitWithAck("q")
          .catch(() => {}),
      );
      await asked;
      await untilNoneIsLeft(a);
    }
    for (const answer of late) answer("late");
    client.socket.once("real", (...args: unknown[]) => (args.at(-1) as (answer: string) => void)("in time"));
    expect(await b.run((ctx) => ctx.io.timeout(10_000).emitWithAck("real"))).toEqual(["in time"]);
    expect(late).toHaveLength(2);
    await untilNoneIsLeft(a);
  });
});

test("with recovery, a question that has to wait for the hub for too long is sent, and not waited for", async () => {
  const { a, primary } = await start({ io: { connectionStateRecovery: {} } });
  const client = await clients.connectTo(a);
  await primary.stop();
  const arrived = client.next("q");
  await a.run(async (ctx) => {
    ctx.io.emit("before");
    await ctx.io
      .timeout(20)
      .emitWithAck("q")
      .catch(() => {});
  });
  await primary.resume();
  await arrived;
  expect(client.received("before")).toEqual([[]]);
  await untilNoneIsLeft(a);
});

test("a namespace that is closed leaves nothing with sockets that stay", async () => {
  const { a, b } = await start({ io: { connectionStateRecovery: {} } });
  const client = await clients.connectTo(a);
  const asked = [client.next("q"), client.next("r")];
  for (const [worker, event] of [
    [a, "q"],
    [b, "r"],
  ] as const) {
    await worker.run((ctx, name) => {
      void ctx.io
        .timeout(1_000_000)
        .emitWithAck(name)
        .catch(() => {});
    }, event);
  }
  await Promise.all(asked);
  const kept = await a.run(async (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id) as unknown as { acks: Map<number, unknown> };
    const before = socket.acks.size;
    await ctx.io.of("/").adapter.close();
    return [before, socket.acks.size];
  }, client.id);
  expect(kept).toEqual([2, 0]);
});
