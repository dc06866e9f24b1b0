/** Redis Cluster, and Redis behind sentinels: another server takes over, with all data or without the newest. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { RedisStreamsOptions } from "@holdfast/adapter/redis-streams";
import { findRedisServer, RedisSentinel, within } from "@holdfast/harness";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster, createSentinel } from "redis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneHost } from "./harness/backplane-hosts.js";
import { RedisGroup } from "./harness/redis-groups.js";
import { RoundRobin } from "./harness/round-robin.js";

const hasRedis = findRedisServer() !== undefined;
/** Longer than any failover: nobody goes on alone. */
const PATIENT = { app: "test", timeout: 30_000, lease: 60_000 };
/** Of the loopback interface. */
const NOBODYS_PORT = 1;
/** Of the hash tag `{test}`. */
const SLOT = 6_918;

let group: RedisGroup | undefined;
let hosts: BackplaneHost[];
let names: Map<string, string>;
let ends: (() => unknown)[];

beforeEach(() => {
  [group, hosts, names, ends] = [undefined, [], new Map(), []];
});

afterEach(async () => {
  await Promise.all(hosts.map(({ backplane }) => backplane.close()));
  for (const end of ends) await end();
  await group?.close();
});

type Client = NonNullable<RedisStreamsOptions["client"]>;
type Clients = readonly [Client, Client];

/** One of each kind, for two hosts. */
async function sentinelClients(ports: readonly number[]): Promise<Clients> {
  const nodes = ports.map((port) => ({ host: "127.0.0.1", port }));
  const ioredis = new Redis({ sentinels: nodes, name: RedisSentinel.service, lazyConnect: true });
  const redis = createSentinel({ name: RedisSentinel.service, sentinelRootNodes: nodes });
  redis.on("error", () => {});
  ends.push(() => redis.destroy());
  await redis.connect();
  return [ioredis, redis];
}

async function clusterClients(ports: readonly number[]): Promise<Clients> {
  const nodes = ports.map((port) => ({ host: "127.0.0.1", port }));
  const ioredis = new Cluster(nodes, { lazyConnect: true });
  return [ioredis, createCluster({ rootNodes: nodes.map((socket) => ({ socket })) })];
}

async function startHosts(clients: Clients): Promise<[BackplaneHost, BackplaneHost]> {
  const [a, b] = clients.map(
    (client, i) => new BackplaneHost({ ...PATIENT, client }, names, "ab"[i] ?? ""),
  ) as [BackplaneHost, BackplaneHost];
  hosts.push(a, b);
  await Promise.all([a.hears(/^(host b|joined b)/), b.hears(/^(host a|joined a)/)]);
  return [a, b];
}

const records = ({ heard }: BackplaneHost) => heard.filter((word) => /^\d+ /.test(word));

describe.skipIf(!hasRedis).each([
  ["behind sentinels", () => RedisGroup.underSentinel(), sentinelClients],
  ["in a cluster", () => RedisGroup.cluster(SLOT), clusterClients],
] as const)("%s", (_, start, makeClients) => {
  test("another server takes over: what it has is kept, and what was sent meanwhile arrives", async () => {
    group = await start();
    const [a, b] = await startHosts(await makeClients(group.ports));
    const { epoch } = a;
    a.record("1");
    b.send([a], "frame");
    await Promise.all([a.hears("1 a / 1"), b.hears("1 a / 1"), a.hears("b / frame")]);
    await Promise.all([a.inEffect(), b.inEffect()]);
    await group.untilReplicated();
    const done = group.failOver();
    a.record("2");
    b.record("3");
    await done;
    b.send([a], "frame after");
    await Promise.all([a, b].map((host) => host.hears(/^3 /)));
    await a.hears("b / frame after");
    expect(records(a)).toEqual(records(b));
    expect(
      records(a)
        .map((word) => word.at(-1))
        .sort(),
    ).toEqual(["1", "2", "3"]);
    expect([a.epoch, b.epoch]).toEqual([epoch, epoch]);
    expect([...a.heard, ...b.heard].filter((word) => /^(alone|silent|gone)/.test(word))).toEqual([]);
  });
});

describe.skipIf(!hasRedis)("without the newest", () => {
  test("another server takes over without the newest: there is a new order", async () => {
    group = await RedisGroup.underSentinel();
    const [a, b] = await startHosts(await sentinelClients(group.ports));
    const { epoch } = a;
    await Promise.all([a.inEffect(), b.inEffect()]);
    await group.untilReplicated();
    await group.cutReplica();
    a.record("lost");
    await Promise.all([a, b].map((host) => host.hears("1 a / lost")));
    await a.inEffect();
    await group.failOver();
    a.record("after");
    await Promise.all([a, b].map((host) => host.hears("1 a / after")));
    expect(a.epoch).not.toBe(epoch);
    expect(b.epoch).toBe(a.epoch);
  });

  test("one who had not read what is lost goes on there first: the other notices", async () => {
    group = await RedisGroup.underSentinel();
    const [master, replica] = group.serverPorts;
    const gates = [await RoundRobin.open(master), await RoundRobin.open(master)] as const;
    ends.push(...gates.map((gate) => () => gate.close()));
    const urls = gates.map((gate) => gate.url.replace("http", "redis"));
    const [a, b] = await startHosts(urls.map((url) => createClient({ url })) as unknown as Clients);
    const { epoch } = a;
    await Promise.all([a.inEffect(), b.inEffect()]);
    await group.untilReplicated();
    await group.cutReplica();
    gates[1].halt();
    a.record("lost");
    await a.hears("1 a / lost");
    await a.inEffect();
    gates[0].ports = [NOBODYS_PORT];
    gates[1].ports = [replica];
    await group.failOver();
    for (const gate of gates) gate.cut();
    for (let i = 1; i <= 5; i++) {
      b.record(`meanwhile ${i}`);
      await b.hears(`${i} b / meanwhile ${i}`);
    }
    gates[0].ports = [replica];
    a.record("after");
    await Promise.all([a, b].map((host) => host.hears(/ a \/ after$/)));
    expect(a.epoch).not.toBe(epoch);
    expect(b.epoch).toBe(a.epoch);
  });
});

test("a node of a cluster says nothing: nobody waits for it at the end", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  ends.push(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] });
  const connected = once(server, "connection");
  const host = new BackplaneHost({ app: "test", timeout: 60_000, client }, names, "a");
  const [socket] = (await connected) as [Socket];
  const closed = once(socket.resume(), "close");
  await host.backplane.close();
  await within(closed, "end of the connection");
});

test("a client of createSentinel() that is not connected is told of", async () => {
  const client = createSentinel({ name: "main", sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }] });
  const host = new BackplaneHost({ app: "test", timeout: 100, client }, names, "a");
  hosts.push(host);
  await host.hears("alone HOLDFAST_ERR_BACKPLANE_DOWN");
  await expect(host.backplane.takeSession("/", "s", 1)).rejects.toThrow(/call its connect\(\)/);
});
