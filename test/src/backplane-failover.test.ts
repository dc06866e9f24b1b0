/** Redis Cluster, and Redis behind sentinels: another server takes over, with all data or without the newest. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { RedisStreamsOptions } from "@holdfast/adapter/redis-streams";
import { findRedisServer, RedisSentinel, RedisServer, within } from "@holdfast/harness";
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

async function startHosts(
  clients: Clients,
  options: Partial<RedisStreamsOptions> = {},
): Promise<[BackplaneHost, BackplaneHost]> {
  const [a, b] = clients.map(
    (client, i) => new BackplaneHost({ ...PATIENT, ...options, client }, names, "ab"[i] ?? ""),
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

describe.skipIf(!hasRedis)("what another server numbers anew", () => {
  test("a packet that one had and its sender had not read: nobody has it twice", async () => {
    group = await RedisGroup.underSentinel();
    const [, replica] = group.serverPorts;
    const [[a, gateOfA], [b, gateOfB]] = (await startGated("ab")) as [
      [BackplaneHost, RoundRobin],
      [BackplaneHost, RoundRobin],
    ];
    const { epoch } = a;
    b.record("before");
    await Promise.all([a, b].map((host) => host.hears("1 b / before")));
    await b.inEffect();
    await group.untilReplicated();
    await group.cutReplica();
    gateOfB.haltAnswers();
    b.record("once");
    await a.hears("2 b / once");
    // Whoever knows what is lost is there first, and begins the new order.
    const before = a.heard.length;
    [gateOfA.ports, gateOfB.ports] = [[replica], [NOBODYS_PORT]];
    await group.failOver();
    for (const gate of [gateOfA, gateOfB]) gate.cut();
    await a.hearsAfter(before, /^joined/);
    gateOfB.ports = [replica];
    await b.hears(/b \/ once$/);
    b.record("after");
    await Promise.all([a, b].map((host) => host.hears(/b \/ after$/)));
    expect(a.epoch).not.toBe(epoch);
    for (const host of [a, b]) {
      expect(host.heard.filter((word) => /^\d+ b \/ once$/.test(word))).toHaveLength(1);
    }
  });

  /** Hosts behind gates of their own to the master. */
  async function startGated(letters: string): Promise<[BackplaneHost, RoundRobin][]> {
    const [master] = (group as RedisGroup).serverPorts;
    const gated: [BackplaneHost, RoundRobin][] = [];
    for (const letter of letters) {
      const gate = await RoundRobin.open(master);
      ends.push(() => gate.close());
      const host = new BackplaneHost({ ...PATIENT, url: gate.url.replace("http", "redis") }, names, letter);
      hosts.push(host);
      await host.hears(/^joined/);
      await Promise.all(gated.map(([other]) => other.hears(`host ${letter}`)));
      gated.push([host, gate]);
    }
    return gated;
  }

  async function connectTo(port: number) {
    const client = createClient({ url: `redis://127.0.0.1:${port}` });
    client.on("error", () => {});
    ends.push(() => client.isOpen && client.destroy());
    await client.connect();
    return client;
  }

  const idOf = async (client: Awaited<ReturnType<typeof connectTo>>) =>
    Number(await client.sendCommand(["CLIENT", "ID"]));

  test("a connection that has the number of a host's connection is not that host", async () => {
    group = await RedisGroup.underSentinel();
    const [master, replica] = group.serverPorts;
    // So that the other server has not come to the number yet.
    for (let i = 0; i < 40; i++) await connectTo(master);
    const [[a, gateA], [b, gateB]] = (await startGated("ab")) as [
      [BackplaneHost, RoundRobin],
      [BackplaneHost, RoundRobin],
    ];
    const number = Number.parseInt(
      String(await (await connectTo(master)).hGet(`hf:{test}:h:${b.host}`, "cid")),
      10,
    );
    await Promise.all([a.inEffect(), b.inEffect()]);
    await group.untilReplicated();
    gateB.ports = [NOBODYS_PORT];
    gateA.ports = [replica];
    await group.failOver();
    for (const gate of [gateA, gateB]) gate.cut();
    a.record("1");
    await a.hears("1 a / 1");
    let other = await connectTo(replica);
    while ((await idOf(other)) < number) other = await connectTo(replica);
    expect(await idOf(other)).toBe(number);
    const suspectAgain = async () => {
      a.backplane.suspect(b.host);
      // Each of them is a round trip behind what looks for it.
      for (let i = 0; i < 5; i++) {
        a.record("later");
        await a.inEffect();
      }
    };
    await suspectAgain();
    other.destroy();
    const list = async () =>
      String(await (await connectTo(replica)).sendCommand(["CLIENT", "LIST", "ID", String(number)]));
    await expect.poll(list).not.toMatch(/^id=/);
    await suspectAgain();
    gateB.ports = [replica];
    b.send([a], "b lives");
    await a.hears("b / b lives");
    expect(a.heard.filter((word) => /^(gone|silent)/.test(word))).toEqual([]);
  });

  test("an entry that has the number of a lost one, of the same host and batch, is not that one", async () => {
    group = await RedisGroup.underSentinel();
    const [, replica] = group.serverPorts;
    const [[a, gateA], [b, gateB], [c, gateC]] = (await startGated("abc")) as [
      [BackplaneHost, RoundRobin],
      [BackplaneHost, RoundRobin],
      [BackplaneHost, RoundRobin],
    ];
    const { epoch } = a;
    await Promise.all([a, b, c].map((host) => host.inEffect()));
    await group.untilReplicated();
    await group.cutReplica();
    // Neither of them gets to know what is lost; but b's packet has its place.
    gateC.halt();
    gateB.haltAnswers();
    a.record("lost");
    await a.hears("1 a / lost");
    b.record("twice");
    await a.hears("2 b / twice");
    for (const gate of [gateA, gateB, gateC]) gate.ports = [NOBODYS_PORT];
    await group.failOver();
    for (const gate of [gateA, gateB, gateC]) gate.cut();
    gateC.ports = [replica];
    c.record("instead");
    await c.hears("1 c / instead");
    gateB.ports = [replica];
    await c.hears("2 b / twice");
    gateA.ports = [replica];
    a.record("after");
    await Promise.all([a, b, c].map((host) => host.hears(/ a \/ after$/)));
    expect(a.epoch).not.toBe(epoch);
    expect([b.epoch, c.epoch]).toEqual([a.epoch, a.epoch]);
  });
});

describe.skipIf(!hasRedis)("two masters at once", () => {
  test("each has its hosts, which do not hear of the others; together again, all begin a new order", async () => {
    const [one, two] = [
      await RedisServer.start(),
      await RedisServer.start({ settings: ["--repl-diskless-sync-delay", "0"] }),
    ];
    ends.push(
      () => one.close(),
      () => two.close(),
    );
    const [toOne, toTwo] = [createClient({ url: one.url }), createClient({ url: two.url })];
    for (const client of [toOne, toTwo]) {
      client.on("error", () => {});
      await client.connect();
      ends.push(() => client.destroy());
    }
    const gates: RoundRobin[] = [];
    const all: BackplaneHost[] = [];
    for (const letter of "abcd") {
      const gate = await RoundRobin.open(one.port);
      ends.push(() => gate.close());
      const url = gate.url.replace("http", "redis");
      const host = new BackplaneHost({ app: "test", timeout: 30_000, lease: 2_000, url }, names, letter);
      hosts.push(host);
      await host.hears(/^joined/);
      await Promise.all(all.map((other) => other.hears(`host ${letter}`)));
      gates.push(gate);
      all.push(host);
    }
    const [a, b, c, d] = all as [BackplaneHost, BackplaneHost, BackplaneHost, BackplaneHost];
    await toTwo.sendCommand(["REPLICAOF", "127.0.0.1", String(one.port)]);
    a.record("before");
    await Promise.all(all.map((host) => host.hears("1 a / before")));
    await Promise.all(all.map((host) => host.inEffect()));
    await expect.poll(() => toOne.sendCommand(["WAIT", "1", "100"])).toBe(1);
    const { epoch } = a;
    const move = (moved: readonly RoundRobin[], port: number) => {
      for (const gate of moved) {
        gate.ports = [port];
        gate.cut();
      }
    };
    // The second one takes over, and the first one lives on.
    await toTwo.sendCommand(["REPLICAOF", "NO", "ONE"]);
    move(gates.slice(2), two.port);
    await Promise.all([a, b].flatMap((host) => [host.hears("silent c"), host.hears("silent d")]));
    await Promise.all([c, d].flatMap((host) => [host.hears("silent a"), host.hears("silent b")]));
    a.record("of a");
    c.record("of c");
    b.send([a, c], "to some");
    await Promise.all([a, b].map((host) => host.hears("2 a / of a")));
    await Promise.all([c, d].map((host) => host.hears("2 c / of c")));
    await a.hears("b / to some");
    // And is its replica at last.
    const joins = all.map(({ heard }) => heard.length);
    await toOne.sendCommand(["REPLICAOF", "127.0.0.1", String(two.port)]);
    move(gates.slice(0, 2), two.port);
    for (const host of [a, b]) {
      for (const letter of "cd")
        await host.hearsAfter(
          joins[all.indexOf(host)] ?? 0,
          new RegExp(`^(host ${letter}|joined.* ${letter}:)`),
        );
    }
    b.record("after");
    c.record("after, too");
    await Promise.all(all.flatMap((host) => [host.hears(/ b \/ after$/), host.hears(/ c \/ after, too$/)]));
    expect(a.epoch).not.toBe(epoch);
    expect(new Set(all.map((host) => host.epoch)).size).toBe(1);
    const countOf = (host: BackplaneHost, text: string) =>
      host.heard.filter((word) => word.endsWith(` / ${text}`)).length;
    for (const text of ["before", "after", "after, too"]) {
      expect(all.map((host) => countOf(host, text))).toEqual([1, 1, 1, 1]);
    }
    expect(all.map((host) => countOf(host, "of a"))).toEqual([1, 1, 0, 0]);
    expect(all.map((host) => countOf(host, "of c"))).toEqual([0, 0, 1, 1]);
    expect(countOf(c, "to some")).toBe(0);
  });
});

test.skipIf(!hasRedis)(
  "the slot goes to another master, key by key: all arrives, once and in order",
  async () => {
    group = await RedisGroup.cluster(SLOT);
    const [a, b] = await startHosts(await clusterClients(group.ports));
    for (const host of [a, b]) host.tell({ wants: [1], namespaces: [["/", "x"]] });
    const expected: string[] = [];
    const send = (text: string) => {
      expected.push(text);
      for (const [host, other] of [
        [a, b],
        [b, a],
      ] as const) {
        host.send([other], text);
        host.record(text);
      }
    };
    const arrives = (text: string) =>
      Promise.all([
        ...[a.hears(`b / ${text}`), b.hears(`a / ${text}`)],
        ...[a, b].map((host) => host.hears(new RegExp(`^\\d+ \\w+ / ${text}$`), 2)),
      ]);
    send("at first");
    await arrives("at first");
    for (const name of [
      "state",
      "c",
      "j",
      "jc",
      `h:${a.host}`,
      `in:${a.host}`,
      `in:${b.host}`,
      `b:${b.host}`,
    ]) {
      if (!(await group.beginMove(`hf:{test}:${name}`))) throw new Error(`there is no ${name}`);
      send(name);
      await Promise.all([a, b].map((host) => host.inEffectOrRefused()));
      await group.endMove();
      await arrives(name);
    }
    expect(records(a)).toEqual(records(b));
    for (const [host, letter] of [
      [a, "b"],
      [b, "a"],
    ] as const) {
      const frames = host.heard.filter((word) => word.startsWith(`${letter} / `));
      expect(frames).toEqual(expected.map((text) => `${letter} / ${text}`));
      expect(records(host)).toHaveLength(2 * expected.length);
      expect(host.heard.filter((word) => /^(alone|silent|gone|lost|gap)/.test(word))).toEqual([]);
    }
  },
);

test.skipIf(!hasRedis)(
  "a host's lease ends while its slot goes to another master: it is told of",
  async () => {
    group = await RedisGroup.cluster(SLOT);
    // Its own must not end as well before it is back, or it would hear only of those that live.
    const [a] = await startHosts(await clusterClients(group.ports), { lease: 18_000 });
    // As one that was killed has left it.
    await group.order("HSET", "hf:{test}:h:dead", "g", "0", "lease", String(Date.now() + 2_000));
    await group.order("SADD", "hf:{test}:hosts", "dead");
    await group.beginMove("hf:{test}:c");
    // Its lease has ended, and nobody can be told: everybody tries.
    await a.complains("HOLDFAST_ERR_BACKPLANE_DOWN");
    await group.endMove();
    await a.hears("silent somebody");
  },
);

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
