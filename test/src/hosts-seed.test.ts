/** Hosts that have begun apart make keys of rooms with seeds of their own, and take one when they find each other. */
import type { HubStats } from "@holdfast/adapter";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import { type RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";

const hasRedis = findRedisServer() !== undefined;
const clients = closedAfterEach(new RecoveringClients());

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function startHost(redis: RedisServer, io: object): Promise<TestCluster> {
  const cluster = await TestCluster.start({
    sticky: false,
    workers: 2,
    io,
    backplane: { url: redis.url, app: "test", timeout: 500 },
    setUpWorker: ({ io }) => void io.on("connection", (socket) => socket.join("tea")),
  });
  ends.push(() => cluster.close());
  return cluster;
}

/** Worker a says numbers to the room, in commands and events, until it is told to stop. @returns stops it */
async function talk({ a }: TestCluster, who: number): Promise<() => Promise<number>> {
  await a.run((ctx, who) => {
    ctx.store.said = 0;
    ctx.store.timer = setInterval(() => {
      const n = ++ctx.store.said;
      // Sockets that join a room by a command are in it for what comes next.
      ctx.io.to("tea").socketsJoin(`cup ${n}`);
      ctx.io.to(`cup ${n}`).emit("cup", who, n, "");
      ctx.io.to("tea").emit("tea", who, n, "");
    }, 2);
  }, who);
  return () =>
    a.run((ctx) => {
      clearInterval(ctx.store.timer as NodeJS.Timeout);
      return ctx.store.said as number;
    });
}

/** What the client has heard of that host's numbers; behind each there may be an offset, or not. */
const heard = (client: RecoveringClient, event: string, who: number) =>
  client.of(event).flatMap(([whom, n]) => (whom === who ? [n] : []));
const hearsUpTo = (client: RecoveringClient, who: number, n: number) =>
  expect.poll(() => heard(client, "tea", who).at(-1)).toBeGreaterThanOrEqual(n);

/** The workers as their hub knows them. */
const members = ({ primary }: TestCluster) =>
  primary.run((ctx) => (ctx.hub.stats() as HubStats).members.map(({ id, pid }) => `${id}: ${pid}`));

test.skipIf(!hasRedis).each([
  ["with recovery", { connectionStateRecovery: {} }],
  ["without recovery", {}],
])(
  "%s: hosts that were there before Redis find each other, and within each nothing is lost",
  async (_, io) => {
    const redis = await RedisServer.start();
    ends.push(() => redis.close());
    await redis.kill();
    const hosts = [await startHost(redis, io), await startHost(redis, io)] as const;
    await Promise.all(hosts.map((host) => host.untilJoined()));
    const listeners = await Promise.all(hosts.map((host) => clients.connect(host.b.url)));
    const before = await Promise.all(hosts.map(members));
    const stops = await Promise.all(hosts.map(talk));
    await Promise.all(listeners.map((client, who) => hearsUpTo(client, who, 20)));
    await redis.start();
    await untilServers([...hosts[0].workers, ...hosts[1].workers], 4);
    for (const [who, listener] of listeners.entries()) {
      const said = (await stops[who]?.()) as number;
      await hearsUpTo(listener, who, said);
      for (const event of ["cup", "tea"]) {
        expect(heard(listener, event, who), event).toEqual(Array.from({ length: said }, (_, n) => n + 1));
      }
    }
    expect(await Promise.all(hosts.map(members))).toEqual(before);
    for (const { connects } of listeners) expect(connects).toHaveLength(1);
    await hosts[0].a.run((ctx) => void ctx.io.to("tea").emit("last"));
    for (const listener of listeners) await listener.has("last");
  },
);
