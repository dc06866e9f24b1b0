/** Redis has thrown recoverable packets away before a host has read them: no client goes on as if it had them. */
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import type { RecoveringClient } from "./harness/recovering-client.js";
import { RecoveringClients } from "./harness/recovering-client.js";

const hasRedis = findRedisServer() !== undefined;
const clients = closedAfterEach(new RecoveringClients());
/** Together they are more than the journal may have. */
const COUNT = 30;
const BYTES = 100_000;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function startHost(redis: RedisServer, lease: number): Promise<TestCluster> {
  const cluster = await TestCluster.start({
    sticky: false,
    workers: 2,
    io: { connectionStateRecovery: {} },
    backplane: { url: redis.url, app: "test", journalBytes: 2 ** 20, lease, timeout: 20_000 },
    setUpWorker: ({ io }) => void io.on("connection", (socket) => socket.join("tea")),
  });
  ends.push(() => cluster.close());
  return cluster;
}

async function send(cluster: TestCluster, from: number, upTo: number): Promise<void> {
  await cluster.a.run(
    async (ctx, first, last, bytes) => {
      for (let n = first; n <= last; n++) {
        ctx.io.to("tea").emit("n", n, "x".repeat(bytes));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    from,
    upTo,
    BYTES,
  );
}

const numbers = (client: RecoveringClient) => client.of("n").map(([number]) => number);
const countTo = (last: number) => Array.from({ length: last + 1 }, (_, i) => i);

test.skipIf(!hasRedis).each([
  ["is still one of them", 60_000],
  ["was taken for gone", 500],
])("a primary stands still while the journal is cut, and %s: its clients come back", async (_, lease) => {
  const redis = await RedisServer.start();
  ends.push(() => redis.close());
  const [one, two] = await Promise.all([startHost(redis, lease), startHost(redis, lease)]);
  await untilServers([...one.workers, ...two.workers], 4);
  const other = await clients.connect(one.a.url);
  const [leaving, staying] = [await clients.connect(two.a.url), await clients.connect(two.b.url)];
  const all = [other, leaving, staying];
  const ids = all.map(({ id }) => id);
  await send(one, 0, 0);
  await Promise.all(all.map((client) => client.has("n", 0, "x".repeat(BYTES))));
  leaving.goesTo(one.b.url);
  await two.primary.stop();
  let back: Promise<{ id: string; recovered: boolean }>[] = [];
  try {
    await send(one, 1, COUNT);
    await other.has("n", COUNT, "x".repeat(BYTES));
    if (lease < 1_000) await untilServers(one.workers, 2);
    back = [leaving.connected(), staying.connected()];
  } finally {
    await two.primary.resume();
  }
  // Another host has all that it lacks; this one has not, and there it begins anew.
  expect(await Promise.all(back)).toEqual([
    { id: ids[1], recovered: true },
    { id: expect.not.stringContaining(String(ids[2])) as string, recovered: false },
  ]);
  await untilServers([...one.workers, ...two.workers], 4);
  const before = numbers(staying).length;
  expect(numbers(staying)).toEqual(countTo(before - 1));
  await send(one, COUNT + 1, COUNT + 2);
  await Promise.all(all.map((client) => client.has("n", COUNT + 2, "x".repeat(BYTES))));
  for (const client of [other, leaving]) expect(numbers(client)).toEqual(countTo(COUNT + 2));
  expect(numbers(staying).slice(before)).toEqual([COUNT + 1, COUNT + 2]);
});
