/**
 * A host that goes on alone places kept events in an order of its own, and may find the one before again: clients that
 * come back get what they lack, or a new session, and nothing from before their time.
 */
import type { HubStats } from "@holdfast/adapter";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import { type RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";

const hasRedis = findRedisServer() !== undefined;
const NOWHERE = "http://127.0.0.1:9";
const clients = closedAfterEach(new RecoveringClients());

let redis: RedisServer;
let ends: (() => Promise<void>)[] = [];

/** @param servers how many there are then, of all hosts that it finds */
async function startHost(servers = 2): Promise<TestCluster> {
  const cluster = await TestCluster.start({
    sticky: false,
    workers: 2,
    io: { connectionStateRecovery: {} },
    backplane: { url: redis.url, app: "test", timeout: 500 },
    setUpWorker: ({ io }) => void io.on("connection", (socket) => socket.join("tea")),
  });
  ends.push(() => cluster.close());
  await cluster.untilJoined(servers);
  return cluster;
}

/** Worker a of the host says these numbers to the room. */
async function say({ a }: TestCluster, from: number, upTo: number): Promise<void> {
  await a.run(
    (ctx, first, last) => {
      for (let n = first; n <= last; n++) ctx.io.to("tea").emit("n", n);
    },
    from,
    upTo,
  );
}

async function until(hosts: readonly TestCluster[], state: "joined" | "alone"): Promise<void> {
  const untilState = ({ primary }: TestCluster) =>
    primary.run(
      (ctx, wanted) => ctx.until(() => (ctx.hub.stats() as HubStats).hosts?.state === wanted),
      state,
    );
  await Promise.all(hosts.map(untilState));
}

const numbers = (client: RecoveringClient) => client.of("n").map(([n]) => n);
const range = (from: number, upTo: number) => Array.from({ length: upTo - from + 1 }, (_, i) => from + i);

describe.skipIf(!hasRedis)("Redis", () => {
  beforeEach(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    for (const end of ends.reverse()) await end();
    ends = [];
    await redis.close();
  });

  test.each(["its own host", "another host"])(
    "is away for long, and a client as well: it gets a new session on %s, where something was said to it meanwhile",
    async (where) => {
      const hosts = [await startHost(), await startHost(4)] as const;
      const [one, two] = hosts;
      await untilServers([...one.workers, ...two.workers], 4);
      const lacking = await clients.connect(one.b.url);
      await say(one, 1, 20);
      await lacking.has("n", 20);
      await redis.kill();
      await until(hosts, "alone");
      lacking.leave(NOWHERE);
      const witness = await clients.connect(one.b.url);
      await say(one, 21, 25);
      await witness.has("n", 25);
      await redis.start();
      await until(hosts, "joined");
      await untilServers([...one.workers, ...two.workers], 4);
      const back = lacking.connected();
      lacking.goesTo((where === "another host" ? two : one).b.url);
      expect(await back).toMatchObject({ recovered: false });
      await say(one, 26, 26);
      await lacking.has("n", 26);
      expect(numbers(lacking)).toEqual([...range(1, 20), 26]);
    },
  );

  test("is away for long: who stays gets a session back afterwards, with what it lacks since", async () => {
    const one = await startHost();
    const staying = await clients.connect(one.b.url);
    await say(one, 1, 20);
    await staying.has("n", 20);
    await redis.kill();
    await until([one], "alone");
    await say(one, 21, 25);
    await staying.has("n", 25);
    await redis.start();
    await until([one], "joined");
    await say(one, 26, 26);
    await staying.has("n", 26);
    staying.leave(NOWHERE);
    await say(one, 27, 28);
    const back = staying.connected();
    staying.goesTo(one.a.url);
    expect(await back).toMatchObject({ recovered: true });
    await staying.has("n", 28);
    expect(numbers(staying)).toEqual(range(1, 28));
  });

  test.each([
    ["starts amid", true],
    ["starts without Redis, and finds", false],
  ])("a host %s the order of another one: its clients get nothing from before it", async (_, isThere) => {
    const one = await startHost();
    await say(one, 1, 20);
    await clients.connect(one.b.url);
    if (!isThere) await redis.kill();
    const two = await startHost(isThere ? 4 : 2);
    const late = await clients.connect(two.b.url);
    if (!isThere) await redis.start();
    await untilServers([...one.workers, ...two.workers], 4);
    await two.b.run((ctx) => void ctx.io.volatile.to("tea").emit("volatile"));
    await late.has("volatile");
    await late.drop(two.b.url);
    expect(late.connects.at(-1)).toMatchObject({ recovered: true });
    await say(one, 21, 21);
    await late.has("n", 21);
    expect(numbers(late)).toEqual([21]);
  });

  test("a worker loses its link while the order changes: its clients are sent away, and do not go on as if they lacked nothing", async () => {
    const one = await startHost();
    const staying = await clients.connect(one.b.url);
    await say(one, 1, 20);
    await staying.has("n", 20);
    await redis.kill();
    const away = staying.next("n");
    const blocked = one.primary.run((ctx) => ctx.block(1_500));
    await one.b.run((ctx) => ctx.loseLink());
    await say(one, 21, 25);
    await blocked;
    await until([one], "alone");
    await one.untilJoined();
    await expect.poll(() => staying.connects.length).toBe(2);
    await say(one, 26, 26);
    await away;
    await staying.has("n", 26);
    // If the hub has it back before it goes alone, it lacks nothing.
    if (staying.socket.recovered) expect(numbers(staying)).toEqual(range(1, 26));
  });
});
