/** The backplane by itself, on a real Redis: what hosts hear of each other, and in which order. */

import { setTimeout as sleep } from "node:timers/promises";
import { type RedisStreamsOptions, redisStreams } from "@holdfast/adapter/redis-streams";
import { findRedisServer, Program, RedisServer } from "@holdfast/harness";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneHost } from "./harness/backplane-hosts.js";
import { RoundRobin } from "./harness/round-robin.js";

const hasRedis = findRedisServer() !== undefined;
/** Longer than any Redis here is away: nobody goes on alone. */
const PATIENT = { timeout: 30_000, lease: 60_000 };

const ACL =
  "holdfast on >secret ~hf:{test}:* resetchannels -@all +evalsha +eval +xread +xrevrange +xadd +xtrim +hget +hset +hsetnx +hmget " +
  "+hgetall +hdel +hexists +hincrby +get +set +setbit +sadd +srem +smembers +rpush +lpop +lindex +del +exists +pexpire " +
  "+time +hello +auth +client|setname";

/** Of the loopback interface. */
const NOBODYS_PORT = 1;

let redis: RedisServer;
let hosts: BackplaneHost[];
let names: Map<string, string>;
let ends: (() => unknown)[];
let isHalted = false;

beforeEach(() => {
  [hosts, names, ends] = [[], new Map(), []];
});

afterEach(async () => {
  if (isHalted) redis.resume();
  isHalted = false;
  await Promise.all(hosts.map(({ backplane }) => backplane.close()));
  for (const end of ends) end();
  await redis?.close();
});

function halt(): void {
  redis.stop();
  isHalted = true;
}

function goOn(): void {
  isHalted = false;
  redis.resume();
}

/** How often it has joined so far. */
const joins = ({ heard }: BackplaneHost) => heard.filter((word) => word.startsWith("joined")).length;

/** Starts hosts, one after the other, so that each knows those before it. */
async function startHosts(
  letters: string,
  options: Partial<RedisStreamsOptions> = {},
): Promise<BackplaneHost[]> {
  const started: BackplaneHost[] = [];
  for (const letter of letters) {
    const given = { ...PATIENT, app: "test", ...("client" in options ? {} : { url: redis.url }), ...options };
    const host = new BackplaneHost(given as RedisStreamsOptions, names, letter);
    hosts.push(host);
    await host.hears(/^joined/);
    await Promise.all(started.map((other) => other.hears(`host ${letter}`)));
    started.push(host);
  }
  return started;
}

const records = ({ heard }: BackplaneHost) => heard.filter((word) => /^\d+ (past )?\w+ /.test(word));

describe.skipIf(!hasRedis).each([
  ["a URL", () => ({ url: redis.url })],
  [
    "a client of redis",
    async () => {
      const client = await createClient({ url: redis.url }).connect();
      ends.push(() => client.destroy());
      return { client };
    },
  ],
  [
    "a client of redis that is not connected, with RESP3",
    () => ({ client: createClient({ url: redis.url, RESP: 3 }) }),
  ],
  [
    "a client of ioredis",
    () => {
      const client = new Redis(redis.url);
      ends.push(() => client.disconnect());
      return { client };
    },
  ],
] as const)("with %s", (_, makeOptions) => {
  test("frames reach the hosts that are named, in their order", async () => {
    redis = await RedisServer.start();
    const [a, b, c] = (await startHosts("abc", (await makeOptions()) as object)) as [
      BackplaneHost,
      BackplaneHost,
      BackplaneHost,
    ];
    a.send([b], "1");
    a.send([b, c], "2", "/chat");
    a.sendTo(c, "3");
    a.send([b], "\u00e4\u2603 4");
    a.send([b, c], "end");
    await Promise.all([b.hears("a / end"), c.hears("a / end")]);
    const framesOf = ({ heard }: BackplaneHost) => heard.filter((word) => word.startsWith("a "));
    expect(framesOf(b)).toEqual(["a / 1", "a /chat 2", "a / \u00e4\u2603 4", "a / end"]);
    expect(framesOf(c)).toEqual(["a /chat 2", "a / 3", "a / end"]);
    expect(a.heard.filter((word) => word.startsWith("a "))).toEqual([]);
  });

  test("recoverable packets have one order on all hosts, and numbers without gaps", async () => {
    redis = await RedisServer.start();
    const all = await startHosts("abc", (await makeOptions()) as object);
    for (let round = 0; round < 50; round++) {
      for (const host of all) host.record(`${round}`);
      if (round % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(all.map((host) => host.hears(/^150 /)));
    const [first, ...others] = all.map(records);
    expect(first?.map((word) => Number.parseInt(word, 10))).toEqual(
      Array.from({ length: 150 }, (_, i) => i + 1),
    );
    for (const other of others) expect(other).toEqual(first);
    for (const letter of "abc") {
      const own = first?.filter((word) => word.includes(` ${letter} `)).map((word) => word.split(" ").at(-1));
      expect(own).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
    }
  });
});

describe.skipIf(!hasRedis)("hosts", () => {
  test("a host that joins learns what the others have told, and what was placed before", async () => {
    redis = await RedisServer.start();
    const [a, b] = (await startHosts("ab")) as [BackplaneHost, BackplaneHost];
    a.tell({
      wants: [1, 77, 1_048_575],
      namespaces: [
        ["/socket.io\n/", "x"],
        ["/gone", "y"],
      ],
    });
    b.record("one");
    await a.hears("1 b / one");
    a.tell({ drops: [77], namespaces: [["/gone", undefined]], left: [4] });
    await b.hears("a told -77 n/gone, l4");
    a.tell({ address: "somewhere" });
    a.tell({ address: "10.0.0.1:80" });
    b.tell({ address: "" });
    await Promise.all([b.hears("a told @ 10.0.0.1:80"), a.hears("b told @ ")]);
    const [c] = (await startHosts("c")) as [BackplaneHost];
    expect(c.heard[0]).toBe("joined a:2:/socket.io\n/,x@10.0.0.1:80 b:0:");
    await c.hears("1 past b / one");
    expect([c.epoch, c.seed, c.secret]).toEqual([a.epoch, a.seed, a.secret]);
    expect(c.secret).toMatch(/^[0-9a-f]{64}$/);
    c.record("two");
    await Promise.all([a, b, c].map((host) => host.hears("2 c / two")));
  });

  test("what is told several times in one turn is told once, as it is in the end", async () => {
    redis = await RedisServer.start();
    const [a, b] = (await startHosts("ab")) as [BackplaneHost, BackplaneHost];
    a.tell({ wants: [1, 2], namespaces: [["/x", "1"]], left: [1] });
    a.send([b], "between");
    a.tell({ wants: [3], drops: [1], namespaces: [["/x", "2"]], left: [2] });
    await b.hears("a told +2,3 -1 n/x,2 l1,2");
    await b.hears("a / between");
    a.send([b], "after");
    await b.hears("a / after");
    const joinsOfA = a.heard.filter((word) => word.startsWith("joined"));
    expect([joinsOfA.length, a.errors]).toEqual([1, []]);
  });

  test("a host that says goodbye is gone for the others", async () => {
    redis = await RedisServer.start();
    const [a, b] = (await startHosts("ab")) as [BackplaneHost, BackplaneHost];
    b.send([a], "last words");
    await b.backplane.close();
    await a.hears("gone b");
    expect(a.heard.slice(-2)).toEqual(["b / last words", "gone b"]);
  });

  test("hosts that come and go leave nothing in Redis", async () => {
    redis = await RedisServer.start();
    const [a] = (await startHosts("a")) as [BackplaneHost];
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    for (let i = 0; i < 3; i++) {
      const b = new BackplaneHost({ app: "test", url: redis.url }, names, "b");
      await b.hears(/^joined/);
      b.send([a], "frame");
      b.record("record");
      await b.backplane.close();
      await a.hears("gone b", i + 1);
      expect(await client.keys(`*${b.host}*`)).toEqual([]);
    }
  });

  test("a host that is suspected is one of them as long as Redis has its connection, and then gone for all", async () => {
    redis = await RedisServer.start();
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const [a, c] = (await startHosts("ac", PATIENT)) as [BackplaneHost, BackplaneHost];
    const [b] = (await startHosts("b", { ...PATIENT, url: gate.url.replace("http:", "redis:") })) as [
      BackplaneHost,
    ];
    await Promise.all([a, c].map((host) => host.hears("host b")));
    for (const host of ["nobody", a.host, b.host, c.host]) a.backplane.suspect(host);
    await a.inEffect();
    b.send([a, c], "b still speaks");
    await Promise.all([a, c].map((host) => host.hears("b / b still speaks")));
    expect([...a.heard, ...c.heard].filter((word) => word.startsWith("gone"))).toEqual([]);
    gate.ports = [NOBODYS_PORT];
    gate.cut();
    const suspicion = setInterval(() => a.backplane.suspect(b.host), 10);
    ends.push(() => clearInterval(suspicion));
    await Promise.all([a, c].map((host) => host.hears("gone b")));
    clearInterval(suspicion);
    // It lives: it joins anew.
    gate.ports = [redis.port];
    await Promise.all([a, c].map((host) => host.hears("host b", 2)));
  });

  test("where users of Redis may not see its connections, a host that is suspected has its lease", async () => {
    redis = await RedisServer.start({ settings: ["--user", ...ACL.split(" ")] });
    const url = redis.url.replace("redis://", "redis://holdfast:secret@");
    const [a] = (await startHosts("a", { url })) as [BackplaneHost];
    const [b] = (await startHosts("b", { url, lease: 2_000 })) as [BackplaneHost];
    await a.hears("host b");
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    a.backplane.suspect(b.host);
    expect([await client.hGet(`hf:{test}:h:${b.host}`, "cid"), a.errors]).toEqual(["", []]);
    b.send([a], "b still speaks");
    await a.hears("b / b still speaks");
    expect(a.heard).not.toContain("gone b");
  });

  test.each(["redis", "ioredis"])(
    "close() does not wait for a Redis that has stopped, with %s",
    async (kind) => {
      redis = await RedisServer.start();
      const script = (client: string) => `
      const { setupPrimary } = require("@holdfast/adapter");
      const { redisStreams } = require("@holdfast/adapter/redis-streams");
      const client = ${client};
      client.on("error", () => {});
      const backplane = redisStreams({ client, app: "test", ...${JSON.stringify(PATIENT)} });
      const hub = setupPrimary({ backplane });
      process.once("SIGUSR2", () => hub.close().then(() => console.log("closed")));
      console.log("started");
      const looking = setInterval(() => {
        if (hub.stats().hosts.state === "joined") console.log("joined");
      }, 20);
      process.once("SIGUSR2", () => clearInterval(looking));`;
      const url = JSON.stringify(redis.url);
      const client =
        kind === "redis"
          ? `require("redis").createClient({ url: ${url} })`
          : `new (require("ioredis").Redis)(${url}, { lazyConnect: true })`;
      const start = () => Program.node(["-e", script(client)]);
      const joined = start();
      ends.push(() => void joined.close());
      await joined.line(/joined/);
      halt();
      // This one waits for its connection.
      const late = start();
      ends.push(() => void late.close());
      await late.line(/started/);
      for (const program of [joined, late]) {
        program.signal("SIGUSR2");
        // Less than what commands may take.
        expect(await program.end(PATIENT.timeout / 2)).toMatchObject({ code: 0 });
        expect(program.stdout).toContain("closed");
      }
    },
  );

  test("a host whose lease has ended is silent for the others, and joins anew", async () => {
    redis = await RedisServer.start();
    // It renews its lease too seldom to mend it, the other one often.
    const [b] = (await startHosts("b", { lease: 60_000 })) as [BackplaneHost];
    const [a] = (await startHosts("a", { lease: 1_000 })) as [BackplaneHost];
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    await client.hSet(`hf:{test}:h:${b.host}`, "lease", "1");
    await a.hears("silent b");
    b.send([a], "b still speaks");
    await a.hears("host b");
  });

  test("the clock of Redis is set back: a host that is gone has no more than its lease", async () => {
    redis = await RedisServer.start();
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const [a] = (await startHosts("a", { lease: 1_000 })) as [BackplaneHost];
    const url = gate.url.replace("http:", "redis:");
    const [b] = (await startHosts("b", { lease: 1_000, url })) as [BackplaneHost];
    await a.hears("host b");
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    gate.halt();
    // By the clock as it is, it has been renewed in an hour.
    await client.hSet(`hf:{test}:h:${b.host}`, "lease", String(Date.now() + 3_600_000));
    await a.hears("silent b");
  });

  test("a connection ends before Redis has heard what was read: it does not count as unread for ever", async () => {
    redis = await RedisServer.start();
    const [a] = (await startHosts("a", { lease: 500 })) as [BackplaneHost];
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    const own = `hf:{test}:h:${a.host}`;
    await client.hSet(own, "ib", "1000000");
    while ((await client.hGet(own, "ib")) !== "0") await sleep(20);
    expect(a.heard).toEqual(["joined"]);
  });

  test("who sends without the newest interest sends to all", async () => {
    redis = await RedisServer.start();
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const url = gate.url.replace("http:", "redis:");
    const [a] = (await startHosts("a", { ...PATIENT, url })) as [BackplaneHost];
    const [b, c] = (await startHosts("bc")) as [BackplaneHost, BackplaneHost];
    await a.hears("host c");
    gate.haltAnswers();
    c.tell({ wants: [5] });
    await c.inEffect();
    a.send([b], "before it knows");
    await Promise.all([b.hears("a / before it knows"), c.hears("a / before it knows")]);
    gate.goOn();
    await a.hears("c told +5");
    a.send([b], "after");
    a.send([b, c], "end");
    await c.hears("a / end");
    expect(c.heard).not.toContain("a / after");
  });

  test("what waits in the inbox of a host shows, and for how long, until it is read", async () => {
    redis = await RedisServer.start();
    const [a] = (await startHosts("a", { lease: 1_000 })) as [BackplaneHost];
    expect(a.backplane.stats).toMatchObject({ inboxLagMs: 0, inboxBytes: 0 });
    const client = new Redis(redis.url);
    ends.push(() => client.disconnect());
    // As if another host had put two entries there, and they had not come.
    await client.hincrby(`hf:{test}:h:${a.backplane.host}`, "k", 2);
    await client.hincrby(`hf:{test}:h:${a.backplane.host}`, "ib", 1_000);
    const stats = () => a.backplane.stats;
    await expect.poll(stats).toMatchObject({ inboxBytes: 1_000 });
    await expect.poll(() => stats().inboxLagMs).toBeGreaterThan(0);
    const empty = Buffer.alloc(4);
    const number = Number(await client.hincrby("hf:{test}:state", "n", 1));
    const inbox = `hf:{test}:in:${a.backplane.host}`;
    await client.xadd(inbox, `${number}-0`, "h", "nobody", "k", "2", "f", empty);
    await expect.poll(() => stats().inboxLagMs).toBe(0);
  });

  test("another protocol is refused with a sentence", async () => {
    redis = await RedisServer.start();
    await startHosts("a");
    const b = new BackplaneHost({ app: "test", url: redis.url }, names, "b", 99);
    hosts.push(b);
    await b.hears("alone HOLDFAST_ERR_VERSION_MISMATCH");
  });

  test("applications of other names are strangers", async () => {
    redis = await RedisServer.start();
    const [a] = (await startHosts("a")) as [BackplaneHost];
    const [b] = (await startHosts("b", { app: "other" }).catch(() => [hosts[1]])) as [BackplaneHost];
    expect(b.heard[0]).toBe("joined");
    expect(b.seed).not.toBe(a.seed);
  });

  test("a user who may touch nothing but the application's keys is enough", async () => {
    redis = await RedisServer.start({
      settings: ["--user", ...ACL.split(" ")],
    });
    const url = redis.url.replace("redis://", "redis://holdfast:secret@");
    const [a, b] = (await startHosts("ab", { url })) as [BackplaneHost, BackplaneHost];
    a.send([b], "hello");
    a.record("record");
    await Promise.all([b.hears("a / hello"), b.hears("1 a / record")]);
    expect([a.errors, b.errors]).toEqual([[], []]);
  });

  test("a Redis that throws keys away is warned of", async () => {
    redis = await RedisServer.start({
      settings: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"],
    });
    const [a] = (await startHosts("a")) as [BackplaneHost];
    await a.complains("HOLDFAST_ERR_BACKPLANE_EVICTS");
  });
});

describe.skipIf(!hasRedis)("sessions", () => {
  const session = { sid: "sid", rooms: Buffer.from("rooms"), data: Buffer.from("data") };

  test("a host takes a session once it has joined and heard all that was placed before", async () => {
    redis = await RedisServer.start();
    const [a] = (await startHosts("a")) as [BackplaneHost];
    for (let i = 0; i < 600; i++) {
      a.record(`n${i}`);
      await a.inEffect();
    }
    a.backplane.keepSession("/", "1", session, 60_000);
    a.backplane.releaseSession("/", "1", 60_000);
    await a.inEffect();
    const b = new BackplaneHost({ url: redis.url, app: "test" }, names, "b");
    hosts.push(b);
    expect(await b.backplane.takeSession("/", "1", 60_000)).toEqual({ kind: "taken", session });
    expect(records(b)).toHaveLength(600);
  });

  test("a host that takes a session has heard all that its client may have heard elsewhere", async () => {
    redis = await RedisServer.start();
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const [a] = (await startHosts("a", PATIENT)) as [BackplaneHost];
    const [b] = (await startHosts("b", { ...PATIENT, url: gate.url.replace("http", "redis") })) as [
      BackplaneHost,
    ];
    a.backplane.keepSession("/", "1", session, 60_000);
    gate.halt();
    for (let i = 0; i < 2_000; i++) {
      a.record(`n${i}`);
      await a.inEffect();
    }
    a.backplane.releaseSession("/", "1", 60_000);
    await a.inEffect();
    gate.goOn();
    expect(await b.backplane.takeSession("/", "1", 60_000)).toEqual({ kind: "taken", session });
    expect(records(b)).toHaveLength(2_000);
  });

  test("a host that asks for a session while Redis restarts gets it when that is back", async () => {
    redis = await RedisServer.start();
    const [a, b] = (await startHosts("ab", PATIENT)) as [BackplaneHost, BackplaneHost];
    a.backplane.keepSession("/", "1", session, 60_000);
    a.backplane.releaseSession("/", "1", 60_000);
    await a.inEffect();
    halt();
    const asked = b.backplane.takeSession("/", "1", 60_000);
    await redis.kill();
    isHalted = false;
    await redis.start();
    expect(await asked).toEqual({ kind: "taken", session });
  });

  test("a session is held until it is released or its host is gone, and then taken once", async () => {
    redis = await RedisServer.start();
    const [a, b, c] = (await startHosts("abc")) as [BackplaneHost, BackplaneHost, BackplaneHost];
    const take = (host: BackplaneHost, id: string) => host.backplane.takeSession("/ns:1", id, 60_000);
    for (const id of ["1", "2"]) a.backplane.keepSession("/ns:1", id, session, 60_000);
    await a.inEffect();
    expect(await take(b, "1")).toEqual({ kind: "held", host: a.host });
    expect(await take(b, "none")).toEqual({ kind: "none" });
    a.backplane.releaseSession("/ns:1", "1", 60_000);
    await a.inEffect();
    expect(await take(b, "1")).toEqual({ kind: "taken", session });
    expect(await take(c, "1")).toEqual({ kind: "held", host: b.host });
    a.backplane.keepSession("/ns:1", "1", { data: Buffer.from("late") }, 60_000);
    await a.hears("lost /ns:1 1");
    await a.backplane.close();
    expect(await take(c, "2")).toEqual({ kind: "taken", session });
    b.backplane.forgetSession("/ns:1", "1");
    await b.inEffect();
    expect(await take(c, "1")).toEqual({ kind: "none" });
  });
});

describe.skipIf(!hasRedis)("when Redis fails", () => {
  test("down and back with its data: nothing recoverable is lost or doubled, and nobody is alone", async () => {
    redis = await RedisServer.start();
    const all = await startHosts("ab", PATIENT);
    const [a, b] = all as [BackplaneHost, BackplaneHost];
    for (let i = 0; i < 20; i++) {
      a.record(`${i}`);
      b.record(`${i}`);
      if (i === 10) await redis.kill();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await redis.start();
    await Promise.all(all.map((host) => host.hears(/^40 /)));
    expect(records(a)).toEqual(records(b));
    expect(new Set(records(a).map((word) => word.replace(/^\d+ /, ""))).size).toBe(40);
    expect(a.heard.filter((word) => word.startsWith("alone"))).toEqual([]);
  });

  test("restarted empty: there is a new order, and what had no place gets one", async () => {
    redis = await RedisServer.start({ keepsData: false });
    const all = await startHosts("ab", PATIENT);
    const [a, b] = all as [BackplaneHost, BackplaneHost];
    a.record("before");
    // Whoever has not read its own packet cannot know that it had a place, and sends it again.
    await Promise.all(all.map((host) => host.hears("1 a / before")));
    // Nor can it as long as the call has no answer, which comes over another connection.
    await a.inEffect();
    const { epoch: before, secret, seed } = a;
    await redis.kill();
    a.record("meanwhile");
    await redis.start();
    await Promise.all(all.map((host) => host.hears("1 a / meanwhile")));
    expect(a.epoch).not.toBe(before);
    expect([b.epoch, a.seed, b.seed]).toEqual([a.epoch, seed, seed]);
    // Those who are not back yet know no other one.
    expect([a.secret, b.secret]).toEqual([secret, secret]);
  });

  test("slow: what was sent waits, and nobody is alone", async () => {
    redis = await RedisServer.start();
    const all = await startHosts("ab", PATIENT);
    const [a, b] = all as [BackplaneHost, BackplaneHost];
    halt();
    a.record("1");
    a.send([b], "frame");
    // The next turn's are in a batch of their own.
    await new Promise((resolve) => setImmediate(resolve));
    b.record("2");
    a.record("3");
    goOn();
    await Promise.all([...all.map((host) => host.hears(/^3 /)), b.hears("a / frame")]);
    expect(records(a)).toEqual(records(b));
    expect(all.map(joins)).toEqual([1, 1]);
    expect([...a.heard, ...b.heard].filter((word) => word.startsWith("alone"))).toEqual([]);
  });

  test("a host reads too slowly: what waited is thrown away and told of, except for recoverable packets", async () => {
    redis = await RedisServer.start();
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const limits = { ...PATIENT, inboxBytes: 2 ** 20 };
    const [a] = (await startHosts("a", limits)) as [BackplaneHost];
    const [b] = (await startHosts("b", { ...limits, url: gate.url.replace("http", "redis") })) as [
      BackplaneHost,
    ];
    await a.hears("host b");
    gate.halt();
    for (let i = 0; i < 12; i++) {
      a.send([b], `${i} ${"x".repeat(200_000)}`);
      a.record(`packet ${i}`);
      await a.inEffect();
    }
    gate.goOn();
    await b.hears("12 a / packet 11");
    await b.hears(/^gap /);
    expect(records(b)).toEqual(records(a));
    const framesOf = b.heard.filter((word) => word.startsWith("a / "));
    const lost = b.heard.map((word) => Number(/^gap (\d+)/.exec(word)?.[1] ?? 0));
    expect(framesOf.length + lost.reduce((sum, count) => sum + count, 0)).toBe(12);
    // The newest is not thrown away.
    expect(framesOf.at(-1)).toMatch(/^a \/ 11 /);
  });

  test("throws keys away: whichever it is, the hosts notice and find each other again", async () => {
    redis = await RedisServer.start();
    // A host notices when it renews its lease.
    const all = await startHosts("ab", { lease: 3_000 });
    const [a, b] = all as [BackplaneHost, BackplaneHost];
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    const together = async (after: string) => {
      const heard = all.map((host) => host.heard.length);
      // What is sent before it is noticed may be lost.
      const looks = async (host: BackplaneHost, other: BackplaneHost, from: number, letter: string) => {
        const arrived = () => host.heard.slice(from).some((word) => word === `${letter} / ${after}`);
        while (!arrived()) {
          other.send([host], after);
          await other.inEffect();
          await sleep(20);
        }
      };
      await Promise.all([looks(a, b, heard[0] ?? 0, "b"), looks(b, a, heard[1] ?? 0, "a")]);
      a.record(after);
      await Promise.all(all.map((host, i) => host.hearsAfter(heard[i] ?? 0, new RegExp(`a / ${after}$`))));
    };
    await together("at first");
    const lose = async (name: string) => {
      while ((await client.del(`hf:{test}:${name}`)) === 0) {
        a.tell({ wants: [1], namespaces: [["/", "a"]] });
        await together(`with ${name}`);
      }
    };
    for (const name of ["state", "hosts", "c", "j", `h:${a.host}`, `in:${a.host}`]) {
      await lose(name);
      await together(`without ${name}`);
    }
    // Nobody else knows what it has told: it has to tell it again, as a new one.
    for (const name of [`i:${a.host}`, `ns:${a.host}`]) {
      const before = joins(a);
      await lose(name);
      await a.hears(/^joined/, before + 1);
    }
    await together("at last");
    // Whoever joins when nobody's name is there gets to know them all the same.
    await client.del("hf:{test}:hosts");
    const [c] = (await startHosts("c")) as [BackplaneHost];
    await Promise.all(
      ["a", "b"].map((letter) => c.hears(new RegExp(`^host ${letter}|^joined.* ${letter}:`))),
    );
  });

  test("silent for too long: each goes on alone, and is one of them again afterwards", async () => {
    redis = await RedisServer.start();
    const all = await startHosts("ab", { timeout: 1_000 });
    const [a, b] = all as [BackplaneHost, BackplaneHost];
    const before = all.map(joins);
    const heard = all.map((host) => host.heard.length);
    halt();
    a.record("nobody numbers it");
    a.send([b], "nobody gets it");
    await Promise.all(
      all.map((host, i) => host.hearsAfter(heard[i] ?? 0, /^alone HOLDFAST_ERR_BACKPLANE_DOWN/)),
    );
    goOn();
    await Promise.all(all.map((host, i) => host.hears(/^joined/, (before[i] ?? 0) + 1)));
    await a.hearsAfter(heard[0] ?? 0, /^(host b|joined b)/);
    a.send([b], "again");
    a.record("again");
    await Promise.all([b.hears("a / again"), b.hears(/a \/ again$/, 2), a.hears(/a \/ again$/)]);
  });

  test("out of memory: each goes on alone until there is some", async () => {
    redis = await RedisServer.start({ settings: ["--maxmemory", "100mb"] });
    const [a] = (await startHosts("a", { timeout: 1_000 })) as [BackplaneHost];
    const client = await createClient({ url: redis.url }).connect();
    ends.push(() => client.destroy());
    await client.configSet("maxmemory", "1");
    const heard = a.heard.length;
    a.record("too much");
    await a.hearsAfter(heard, /^alone HOLDFAST_ERR_BACKPLANE_DOWN/);
    const before = joins(a);
    await client.configSet("maxmemory", "0");
    await a.hears(/^joined/, before + 1);
  });
});

test.each<[object, RegExp]>([
  [{ url: "redis://localhost" }, /"app"/],
  [{ url: "redis://localhost", app: "a{b}" }, /"app"/],
  [{ app: "a" }, /"url" and "client"/],
  [{ app: "a", url: "redis://localhost", client: {} }, /"client"/],
  [{ app: "a", url: "redis://localhost", lease: 10 }, /"lease"/],
  [{ app: "a", url: "redis://localhost", timeout: 0 }, /"timeout"/],
  [{ app: "a", url: "redis://localhost", journalTime: -1 }, /"journalTime"/],
  [{ app: "a", url: "redis://localhost", journalBytes: 5 }, /"journalBytes"/],
  [{ app: "a", url: "redis://localhost", inboxBytes: 5 }, /"inboxBytes"/],
  [{ app: "a", url: "redis://localhost", colour: 5 }, /"colour"/],
])("the options %o are refused", (options, message) => {
  expect(() => redisStreams(options as RedisStreamsOptions)).toThrow(
    expect.objectContaining({
      code: "HOLDFAST_ERR_INVALID_OPTION",
      message: expect.stringMatching(message) as string,
    }),
  );
});
