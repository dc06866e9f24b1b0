/** Two hosts behind a load balancer without affinity: requests at the wrong one are relayed to the owner's. */
import { Agent } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { findRedisServer, freePort, httpRequest, RawSocket, RedisServer, within } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  encodeGreeting,
  encodeRequest,
  HOST_VERSION,
  type Parties,
  proofKey,
  readChallenge,
} from "../../packages/sticky/dist/wire/host-proof.js";
import { encodeMark, tagOf } from "../../packages/sticky/dist/wire/owner-mark.js";
import { upgradeAcross } from "./harness/across-hosts.js";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { type ClientOptions, Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, TestCluster, untilServers } from "./harness/cluster.js";
import { openPolling } from "./harness/raw-polling.js";
import { clientFrame, type RawWebSocket } from "./harness/raw-websocket.js";
import { RoundRobin } from "./harness/round-robin.js";
import { TRACKED_KINDS, TrackedClient } from "./harness/tracked-client.js";

const hasRedis = findRedisServer() !== undefined;
const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === "::1"),
);
const PATH = "/socket.io/?EIO=4&transport=polling";
/** Of the loopback interface. */
const NOBODYS_PORT = 1;
const UNKNOWN = { status: 400, text: '{"code":1,"message":"Session ID unknown"}' };
const clients = closedAfterEach(new Clients());
/** Each request takes a connection of its own. */
const agent = new Agent({ keepAlive: false });

/** Two hosts of two workers each, which tests share; the last one ends a host. */
let redis: RedisServer;
let one: TestCluster;
let two: TestCluster;
let balancer: RoundRobin;
/** The way of host two to Redis. */
let gate: RoundRobin;

async function startHost(hostAddress: string, url: string): Promise<TestCluster> {
  return TestCluster.start({
    joinsHosts: true,
    // Only the end of its process can tell that a host is gone.
    backplane: { url, app: "test", lease: 60_000 },
    stickyOptions: { hostAddress, loadBalancingMethod: "round-robin" },
    // Sessions that nobody polls live on.
    io: { pingInterval: 5_000, pingTimeout: 600_000 },
    setUpWorker: ({ io }) => {
      io.on("connection", (socket) => {
        socket.on("echo", (value, answer) => answer(value, process.pid));
        socket.emit("worker", process.pid);
      });
    },
  });
}

const statsOf = (host: TestCluster) => host.primary.run((ctx) => ctx.router.stats() as PrimaryStats);

/** Requests that a host's workers have relayed to the other one. */
async function relayedBy(host: TestCluster): Promise<number> {
  const counts = await Promise.all(
    host.workers.map((worker) => worker.run((ctx) => ctx.sticky.stats().relayedToHosts as number)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function portOf(host: TestCluster): Promise<{ host: string; port: number }> {
  const { hosts } = await statsOf(host);
  const [, ipv6, ipv4, port] = /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(hosts?.address ?? "") ?? [];
  return { host: ipv6 ?? ipv4 ?? "", port: Number(port) };
}

/** Opens a polling session at a host. The first poll is answered at once. */
async function open(host: TestCluster): Promise<string> {
  const { text } = await httpRequest(host.url + PATH);
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  await httpRequest(`${host.url}${PATH}&sid=${sid}`, { method: "POST" }, "40");
  return sid;
}

async function ownerOf(host: TestCluster, sid: string): Promise<RemoteWorker> {
  for (const worker of host.workers) {
    const has = await worker.run((ctx, id) => {
      return id in (ctx.io.engine as unknown as { clients: object }).clients;
    }, sid);
    if (has) return worker;
  }
  throw new Error(`nobody has ${sid}`);
}

async function poll(host: TestCluster, sid: string): Promise<{ status: number; text: string }> {
  const { status, text } = await httpRequest(`${host.url}${PATH}&sid=${sid}`);
  return { status, text };
}

/** Sends a message that nobody listens to. @returns the status */
async function send(host: TestCluster, sid: string): Promise<number> {
  const { status } = await httpRequest(`${host.url}${PATH}&sid=${sid}`, { method: "POST" }, '42["unheard"]');
  return status;
}

async function echoes(client: TestClient, value: string | Buffer): Promise<void> {
  const answer: unknown = await within(client.socket.emitWithAck("echo", value), "echo");
  // Not `toEqual`, which looks at each byte of a large Buffer by itself.
  const bytes = (each: unknown) => Buffer.from(each as string);
  expect(bytes(answer).equals(bytes(value))).toBe(true);
}

/** Starts both hosts, each with two workers, and waits until all know of all. */
async function startHosts(): Promise<void> {
  redis = await RedisServer.start({ keepsData: false });
  gate = await RoundRobin.open(redis.port);
  [one, two] = await Promise.all([
    startHost("127.0.0.1", redis.url),
    startHost(hasIpv6 ? "::1" : "127.0.0.1", gate.url.replace("http:", "redis:")),
  ]);
  const workers = [...one.workers, ...two.workers];
  await untilServers(workers, workers.length);
  for (const host of [one, two]) {
    await host.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 1));
  }
  balancer = await RoundRobin.open(one.port, two.port);
}

describe.skipIf(!hasRedis)("two hosts", () => {
  beforeAll(startHosts, 180_000);
  afterAll(async () => {
    balancer?.close();
    await Promise.all([one?.close(), two?.close()]);
    gate?.close();
    await redis?.close();
  });

  test("with affinity nothing is relayed to another host", async () => {
    const before = [await relayedBy(one), await relayedBy(two)];
    const all = await Promise.all(
      [one, two].map((host) => clients.connect(host.url, { transports: ["polling"], agent: agent as never })),
    );
    for (let i = 0; i < 3; i++) await Promise.all(all.map((client) => echoes(client, `${i}`)));
    expect([await relayedBy(one), await relayedBy(two)]).toEqual(before);
  });

  test("what names a worker that its host does not have is unknown, and goes nowhere else", async () => {
    const tag = tagOf(await open(two)) ?? "";
    const before = [await relayedBy(one), await relayedBy(two)];
    for (const id of [0, 99, 16_777_215]) {
      expect(await poll(one, `${encodeMark(tag, id)}forged`)).toMatchObject(UNKNOWN);
    }
    // There is such a worker, but no such session.
    expect(await poll(one, `${encodeMark(tag, two.a.workerId)}forged`)).toMatchObject(UNKNOWN);
    expect(await poll(one, "Nobody____forged")).toMatchObject(UNKNOWN);
    expect([await relayedBy(one), await relayedBy(two)]).toEqual([(before[0] ?? 0) + 1, before[1]]);
  });

  test("the owner's application sees the client, and a relay is told with its host", async () => {
    const sid = await open(two);
    const owner = await ownerOf(two, sid);
    await owner.run((ctx) => {
      ctx.io.engine.use((req: never, _: unknown, next: () => void) => {
        const { headers, url, socket } = req as {
          headers: Record<string, string>;
          url: string;
          socket: { remotePort?: number };
        };
        if (headers["x-odd"]) ctx.store.seen = { odd: headers["x-odd"], url, port: socket.remotePort };
        next();
      });
    });
    const told = one.workers.map((worker) => worker.next("relay"));
    for (const worker of one.workers) {
      await worker.run(async (ctx) => {
        const { subscribe } = await ctx.import("node:diagnostics_channel");
        subscribe("holdfast:sticky:relay", (message) => ctx.emit("relay", message));
      });
    }
    const { status, localPort } = await httpRequest(`${one.url}${PATH}&sid=${sid}`, {
      headers: { "X-Odd": "a  b" },
    });
    expect(status).toBe(200);
    expect(await owner.run((ctx) => ctx.store.seen)).toEqual({
      odd: "a  b",
      url: `${PATH}&sid=${sid}`,
      port: localPort,
    });
    const name = await two.primary.run((ctx) => ctx.hub.hosts.name as string);
    expect(await Promise.race(told)).toEqual({
      name: "default",
      owner: owner.workerId,
      host: name,
      what: "request",
    });
  });

  test("clients of every kind reach their session, whichever host a request comes to", async () => {
    const kinds: ClientOptions[] = [
      { transports: ["polling"] },
      { transports: ["websocket"] },
      { transports: ["polling", "websocket"] },
    ];
    const all = await Promise.all(
      [...kinds, ...kinds, ...kinds].map((options) =>
        clients.connect(balancer.url, { ...options, agent: agent as never }),
      ),
    );
    const losses: string[] = [];
    for (const { socket } of all) socket.on("disconnect", (reason) => losses.push(reason));
    const values = ["text", Buffer.alloc(200_000, 7), "x".repeat(100_000)];
    for (const value of values) await Promise.all(all.map((client) => echoes(client, value)));
    const heard = all.map((client) => client.next("all"));
    await two.a.run((ctx) => void ctx.io.emit("all", 1));
    expect(await Promise.all(heard)).toEqual(all.map(() => [1]));
    expect(losses).toEqual([]);
    expect(await relayedBy(one)).toBeGreaterThan(0);
    expect(await relayedBy(two)).toBeGreaterThan(0);
    const { hosts, slots } = await statsOf(one);
    expect(hosts?.others).toHaveLength(1);
    expect(hosts?.links).toBeGreaterThan(0);
    expect(slots.every(({ relayed, relayedToHosts }) => relayed >= relayedToHosts)).toBe(true);
  });

  test("strangers learn nothing at the host port, and hosts come through beside them", async () => {
    const where = await portOf(one);
    const strangersBefore = (await statsOf(one)).hosts?.strangers ?? 0;
    const name = await one.primary.run((ctx) => ctx.hub.hosts.name as string);
    const silent = await Promise.all(Array.from({ length: 300 }, () => RawSocket.open(where)));
    const words = ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", Buffer.alloc(65_536, 1)];
    for (const word of words) {
      const stranger = new RawSocket(where);
      stranger.write(word);
      expect(await stranger.whole()).toBe("");
    }
    const ofAnotherVersion = new RawSocket(where);
    ofAnotherVersion.write(Buffer.concat([Buffer.from("hfho"), Buffer.of(HOST_VERSION + 1)]));
    expect([...(await ofAnotherVersion.whole())].map((byte) => byte.charCodeAt(0))).toEqual([HOST_VERSION]);
    // Who knows the format, and not the secret.
    const guesser = new RawSocket(where);
    const caller = { nonce: Buffer.alloc(32, 5), name: "guesser" };
    guesser.write(encodeGreeting(caller));
    await guesser.until(name);
    const challenge = readChallenge(guesser.bytes);
    if (typeof challenge !== "object") throw new Error(challenge);
    const parties: Parties = { caller, host: challenge };
    const challengeBytes = guesser.bytes.length;
    guesser.write(encodeRequest(proofKey("guess"), parties, one.a.workerId));
    expect((await guesser.whole()).length).toBe(challengeBytes);
    // The port has no room for so many who prove nothing.
    await Promise.race(silent.slice(0, 44).map(({ closed }) => closed));
    // A new worker has no links to the other host yet.
    const worker = await two.fork();
    await untilServers([worker], 5);
    const sid = await open(one);
    expect((await poll(two, sid)).status).toBe(200);
    expect((await statsOf(one)).hosts?.strangers).toBeGreaterThanOrEqual(strangersBefore + 4);
    for (const each of silent) each.close();
  });

  test("Redis is away: the hosts reach each other's sessions all the same", async () => {
    const client = await clients.connect(balancer.url, {
      transports: ["polling"],
      agent: agent as never,
    });
    redis.stop();
    try {
      for (const host of [one, two]) {
        await host.primary.run((ctx) => ctx.until(() => ctx.hub.stats().hosts.state === "alone"));
      }
      for (let i = 0; i < 4; i++) await echoes(client, `${i}`);
    } finally {
      redis.resume();
    }
    await untilServers([...one.workers, ...two.workers], one.workers.length + two.workers.length);
  });

  test("Redis restarts without its data: sessions are reached, whichever host is back first", async () => {
    const [sidOfOne, sidOfTwo] = await Promise.all([open(one), open(two)]);
    const joined = (host: TestCluster, count: number) =>
      host.primary.run(
        (ctx, n) =>
          ctx.until(() => {
            const { state, others } = ctx.hub.stats().hosts;
            return state === "joined" && others.length === n;
          }),
        count,
      );
    const statuses = () => Promise.all([send(two, sidOfOne), send(one, sidOfTwo)]);
    gate.ports = [NOBODYS_PORT];
    await redis.kill();
    await redis.start();
    try {
      await joined(one, 0);
      expect(await statuses()).toEqual([200, 200]);
    } finally {
      gate.ports = [redis.port];
    }
    await Promise.all([joined(one, 1), joined(two, 1)]);
    expect(await statuses()).toEqual([200, 200]);
    await untilServers([...one.workers, ...two.workers], one.workers.length + two.workers.length);
  });

  test("a router that is closed leaves its host one of them, and comes back by another port", async () => {
    const before = await portOf(two);
    const hubOf = () => one.primary.run((ctx) => ctx.hub.stats().hosts.others.length as number);
    await two.primary.run(async (ctx) => {
      await ctx.router.close();
    });
    const reached = (count: number) =>
      one.primary.run((ctx, n) => ctx.until(() => ctx.router.stats().hosts.others.length === n), count);
    await reached(0);
    expect(await hubOf()).toBe(1);
    await two.primary.run(async (ctx, address) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const router = setupPrimary(ctx.httpServer, { hosts: ctx.hub.hosts, hostAddress: address });
      Object.assign(ctx, { router });
      await router.ready();
    }, before.host);
    await reached(1);
    const sid = await open(two);
    expect((await poll(one, sid)).status).toBe(200);
    expect(await hubOf()).toBe(1);
  });

  test("something in between that turns calls away for a while ends no host, and no session", async () => {
    const port = await freePort();
    const three = await TestCluster.start({
      workers: 1,
      joinsHosts: true,
      backplane: { url: redis.url, app: "test", lease: 60_000 },
      stickyOptions: { hostAddress: hasIpv6 ? "::1" : "127.0.0.2", hostBind: "127.0.0.1", hostPort: port },
    });
    const between = await RoundRobin.openAt(hasIpv6 ? "::1" : "127.0.0.2", port, port);
    try {
      await one.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 2));
      const { sid } = await openPolling(three.url);
      expect(await send(one, sid)).toBe(200);
      await one.primary.run((ctx) => {
        const { hosts } = ctx.hub;
        const suspect = hosts.suspect.bind(hosts);
        ctx.store.suspicions = 0;
        hosts.suspect = (name: string) => {
          ctx.store.suspicions++;
          suspect(name);
        };
      });
      between.close();
      const answer = send(one, sid);
      await one.primary.run((ctx) => ctx.until(() => ctx.store.suspicions >= 4));
      const again = await RoundRobin.openAt(hasIpv6 ? "::1" : "127.0.0.2", port, port);
      // It has waited, for as long as requests do.
      expect([200, 503]).toContain(await answer);
      expect(await send(one, sid)).toBe(200);
      expect(await one.primary.run((ctx) => ctx.hub.stats().hosts.others.length)).toBe(2);
      again.close();
    } finally {
      between.close();
      await three.close();
    }
    await one.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 1));
  });

  test("WebSockets that came by the wrong host go on when their worker retires, or are closed where they cannot", async () => {
    const three = await TestCluster.start({
      workers: 1,
      moves: true,
      joinsHosts: true,
      backplane: { url: redis.url, app: "test", lease: 60_000 },
      stickyOptions: { hostAddress: "127.0.0.1" },
      io: { connectionStateRecovery: {} },
      // Connections that no router has brought are no router's to move.
      setUpWorker: async (ctx) => {
        const { createServer } = await ctx.import("node:net");
        const own = createServer((socket) => void ctx.httpServer.emit("connection", socket));
        own.listen(0, "127.0.0.1", () => {
          ctx.store.ownPort = (own.address() as AddressInfo).port;
        });
      },
    });
    try {
      await three.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 2));
      const ownPort = await three.a.run(async (ctx) => {
        await ctx.until(() => ctx.store.ownPort !== undefined);
        return ctx.store.ownPort as number;
      });
      const [moving, staying] = (await Promise.all(
        [three.port, ownPort].map((port) => upgradeAcross(one, port)),
      )) as [RawWebSocket, RawWebSocket];
      const successor = await three.fork();
      await three.primary.run((ctx) => ctx.until(() => ctx.router.stats().workers.length === 2));
      const result = await three.primary.run(
        (ctx, from, to) => ctx.router.retire({ id: from }, { id: to }, { drainTimeout: 200, spread: 0 }),
        three.a.workerId,
        successor.workerId,
      );
      expect(result).toMatchObject({ outcome: "done", moved: 1, lost: 0, left: { relayed: 1 }, closed: 1 });
      expect(await staying.untilClosed()).toBe("cut");
      await three.a.kill();
      moving.send(clientFrame('420["echo","later"]'));
      await moving.untilMessage((message) => message.startsWith('430["later"'));
      moving.close();
    } finally {
      await three.close();
      for (const host of [one, two]) {
        await host.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 1));
      }
    }
  });

  test("a host is killed: it is gone for all at once, and its clients go on elsewhere", async () => {
    const tracked = TRACKED_KINDS.map((kind) => new TrackedClient(two.url, kind, agent));
    await Promise.all(tracked.map((client) => client.settled()));
    const survivor = await clients.connect(one.url, { transports: ["polling"], agent: agent as never });
    const sid = await open(two);
    expect((await poll(one, sid)).status).toBe(200);
    for (const { socket } of tracked) {
      (socket.io as unknown as { uri: string }).uri = one.url;
    }
    await two.close();
    expect(await poll(one, sid)).toMatchObject(UNKNOWN);
    await Promise.all(
      tracked.map((client) => client.until("a worker of host one", () => client.workers.length === 2)),
    );
    await echoes(survivor, "still there");
    for (const client of tracked) client.close();
    await one.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 0));
    await untilServers(one.workers, one.workers.length);
    expect(one.output).not.toContain("HOST_");
  });
});

describe("the option hosts", () => {
  const start = startsClusters({ workers: 1, adapter: false, hub: false });

  /** A second router of the primary, whose hosts are known when the test says so; it is in `ctx.store`. */
  async function startsUnknowing(host: TestCluster): Promise<number> {
    return host.primary.run(async (ctx) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const { createServer } = await ctx.import("node:net");
      const published: string[] = [];
      const hosts = {
        name: "a",
        secret: "secret",
        others: [],
        publish: async (text: string) => void published.push(text),
        suspect: () => {},
        ready: () => new Promise<void>((resolve) => Object.assign(ctx.store, { known: resolve })),
        on: (_: string, change: () => void) => Object.assign(ctx.store, { change }),
        off: () => {},
      };
      const server = createServer();
      const router = setupPrimary(server, { hosts, hostAddress: "127.0.0.1" });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      await ctx.until(() => published.length > 0);
      Object.assign(ctx.store, { hosts, published, router, server });
      return (server.address() as { port: number }).port;
    });
  }

  test("connections wait until the workers know the other hosts, and one that makes no sense is told of", async () => {
    const host = await start();
    const port = await startsUnknowing(host);
    const answer = httpRequest(`http://127.0.0.1:${port}${PATH}`);
    await host.primary.run((ctx) => ctx.until(() => ctx.store.router.stats().waiting === 1));
    await host.primary.run((ctx) => ctx.store.known());
    expect((await answer).status).toBe(200);
    await host.primary.run(async (ctx) => {
      const { createServer } = await ctx.import("node:net");
      const { hosts, router, server } = ctx.store;
      await router.ready();
      const other = createServer((socket) => void socket.on("error", () => {}).end("nonsense"));
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const address = `Nobody 127.0.0.1:${(other.address() as { port: number }).port}`;
      router.on("warning", ({ code }: { code: string }) => ctx.emit("warning", code));
      hosts.others = [{ name: "b", address }];
      ctx.store.change();
      Object.assign(ctx.store, { server: { close: () => void [server, other].map((each) => each.close()) } });
    });
    const warning = host.primary.next("warning");
    const stray = new RawSocket(port);
    stray.write(`GET ${PATH}&sid=NobodyAAABsid HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(await warning).toBe("HOLDFAST_ERR_HOST_UNREACHABLE");
    stray.close();
    await host.primary.run(async (ctx) => {
      ctx.store.server.close();
      await ctx.store.router.close();
    });
  });

  test("a host port that is taken is warned of and opened later, and closed with the router", async () => {
    const host = await start();
    await startsUnknowing(host);
    const seen = await host.primary.run(async (ctx) => {
      const { setupPrimary } = await ctx.import("@holdfast/sticky");
      const { connect, createServer } = await ctx.import("node:net");
      const { hosts, published, router } = ctx.store;
      const others = { ...hosts };
      const codes: (string | undefined)[] = [];
      const note = (error: unknown) => codes.push((error as { code?: string }).code);
      // There is one way between hosts, which the first router of the process has set up.
      for (const options of [{ hosts: others }, { hosts, hostPort: 1 }, { hosts, hostBind: "127.0.0.2" }]) {
        try {
          setupPrimary(createServer(), options);
        } catch (error) {
          note(error);
        }
      }
      for (const options of [{ hosts }, { hosts, hostAddress: "127.0.0.1" }]) {
        await setupPrimary(createServer(), options).close();
      }
      await router.close();
      const taken = createServer();
      await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
      const { port } = taken.address() as { port: number };
      const options = { hosts: others, hostAddress: "chat.example", hostBind: "127.0.0.1", hostPort: port };
      const second = setupPrimary(createServer(), options).on("warning", note);
      await ctx.until(() => codes.length === 4);
      const before = second.stats().hosts;
      taken.close();
      await ctx.until(() => published.length === 3);
      const address = second.stats().hosts?.address;
      await second.close();
      const isOpen = await new Promise<boolean>((resolve) => {
        connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
      });
      ctx.store.server.close();
      const texts = published.map((text: string) =>
        text.replace(/^[\w-]{6} /, "").replace(`${port}`, "port"),
      );
      return { codes, before, address: address?.replace(`${port}`, "port"), texts: texts.slice(1), isOpen };
    });
    expect(seen).toEqual({
      codes: [...Array(3).fill("HOLDFAST_ERR_ALREADY_SET_UP"), "HOLDFAST_ERR_HOST_PORT"],
      before: { others: [], links: 0, strangers: 0 },
      address: "chat.example:port",
      texts: ["", "chat.example:port", ""],
      isOpen: false,
    });
  });
});
