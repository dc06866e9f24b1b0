/** A Redis that answers, and does not do what it is asked for: with a real one for each answer. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type { RedisStreamsOptions } from "@holdfast/adapter/redis-streams";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneHost } from "./harness/backplane-hosts.js";
import { RoundRobin } from "./harness/round-robin.js";

const hasRedis = findRedisServer() !== undefined;
/** Longer than any of this takes: nobody goes on alone. */
const PATIENT = { timeout: 30_000, lease: 60_000 };
/** A retry takes less. */
const IMPATIENT = { timeout: 3_000 };
/** Of the loopback interface. */
const NOBODYS_PORT = 1;

let redis: RedisServer;
let hosts: BackplaneHost[];
let names: Map<string, string>;
let ends: (() => unknown)[];

beforeEach(() => {
  [hosts, names, ends] = [[], new Map(), []];
});

afterEach(async () => {
  await Promise.all(hosts.map(({ backplane }) => backplane.close()));
  for (const end of ends.reverse()) await end();
});

async function startRedis(...settings: string[]): Promise<RedisServer> {
  const server = await RedisServer.start({ settings });
  ends.push(() => server.close());
  return server;
}

async function connect(url = redis.url): Promise<ReturnType<typeof createClient>> {
  const client = createClient({ url });
  client.on("error", () => {});
  ends.push(() => client.destroy());
  await client.connect();
  return client as ReturnType<typeof createClient>;
}

async function startHost(letter: string, options: Partial<RedisStreamsOptions>): Promise<BackplaneHost> {
  const given = { app: "test", ...("client" in options ? {} : { url: redis.url }), ...options };
  const host = new BackplaneHost(given as RedisStreamsOptions, names, letter);
  hosts.push(host);
  await host.hears(/^joined/);
  return host;
}

async function startHosts(options: Partial<RedisStreamsOptions>): Promise<[BackplaneHost, BackplaneHost]> {
  const a = await startHost("a", options);
  const b = await startHost("b", options);
  await a.hears("host b");
  return [a, b];
}

/** Has a script run for ever. @returns ends it */
async function keepBusy(): Promise<() => Promise<void>> {
  const [runner, other] = [await connect(), await connect()];
  const ended = runner.eval("while true do end").catch(() => {});
  await expect.poll(() => answerTo(other)).toMatch(/^BUSY/);
  return async () => {
    await other.sendCommand(["SCRIPT", "KILL"]);
    await ended;
  };
}

const answerTo = (client: ReturnType<typeof createClient>) =>
  client.get("any").then(
    () => "OK",
    (error: Error) => error.message,
  );

const words = (all: readonly BackplaneHost[], which: RegExp) =>
  all.flatMap(({ heard }) => heard.filter((word) => which.test(word)));

describe.skipIf(!hasRedis)("Redis answers", () => {
  test("BUSY: what was sent waits, and nobody is alone or gone", async () => {
    redis = await startRedis("--busy-reply-threshold", "50");
    const [a, b] = await startHosts(PATIENT);
    const { epoch } = a;
    const endScript = await keepBusy();
    a.record("1");
    b.send([a], "frame");
    await endScript();
    b.record("2");
    await Promise.all([a, b].map((host) => host.hears(/^2 /)));
    await a.hears("b / frame");
    expect(words([a, b], /^\d+ a/)).toEqual(Array(2).fill(words([a], /^\d+ a/)[0]));
    expect(words([a, b], /^(alone|gone|silent)/)).toEqual([]);
    expect([a.epoch, b.epoch]).toEqual([epoch, epoch]);
  });

  test("BUSY, while a host is looked for: the end of a host is seen afterwards as before", async () => {
    redis = await startRedis("--busy-reply-threshold", "50");
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const a = await startHost("a", PATIENT);
    const b = await startHost("b", { ...PATIENT, url: gate.url.replace("http", "redis") });
    await a.hears("host b");
    const endScript = await keepBusy();
    a.backplane.suspect(b.host);
    await endScript();
    await b.inEffect();
    // Looks for it, and each of these is a round trip behind that; it may have had to come back as well.
    for (let i = 1; i <= 5; i++) {
      a.record(`${i}`);
      await b.hears(new RegExp(`^${i} `));
      a.backplane.suspect(b.host);
      await a.inEffect();
    }
    gate.ports = [NOBODYS_PORT];
    gate.cut();
    const suspicion = setInterval(() => a.backplane.suspect(b.host), 10);
    ends.push(() => clearInterval(suspicion));
    await a.hears("gone b");
  });

  test("LOADING, after a restart with its data: nothing is lost, and nobody is alone", async () => {
    redis = await startRedis("--key-load-delay", "500");
    const client = await connect();
    const [a, b] = await startHosts(PATIENT);
    const { epoch } = a;
    // While it reads them it answers after each 1,024.
    await Promise.all(Array.from({ length: 6_000 }, (_, i) => client.set(`filler ${i}`, "x")));
    a.record("1");
    await b.hears("1 a / 1");
    await a.inEffect();
    await redis.kill();
    b.record("2");
    await redis.start();
    expect(await answerTo(await connect())).toMatch(/^LOADING/);
    a.record("3");
    await Promise.all([a, b].map((host) => host.hears(/^3 /)));
    expect(words([a], /^\d/)).toEqual(words([b], /^\d/));
    expect(words([a, b], /^(alone|gone|silent)/)).toEqual([]);
    expect([a.epoch, b.epoch]).toEqual([epoch, epoch]);
  });

  test.each([
    ["READONLY", [], true],
    ["MASTERDOWN", ["--replica-serve-stale-data", "no"], false],
  ])(
    "%s, because it is a replica: each goes on alone and says why, until it is none",
    async (word, settings, hasMaster) => {
      redis = await startRedis(...settings);
      const client = await connect();
      const [a, b] = await startHosts(IMPATIENT);
      const { epoch } = a;
      a.record("before");
      await b.hears("1 a / before");
      const master = hasMaster ? (await startRedis("--repl-diskless-sync-delay", "0")).port : NOBODYS_PORT;
      await client.sendCommand(["REPLICAOF", "127.0.0.1", String(master)]);
      if (hasMaster) await expect.poll(() => client.info("replication")).toContain("master_link_status:up");
      const before = [a, b].map(({ heard }) => heard.length);
      for (const host of [a, b]) host.record("meanwhile");
      await Promise.all([a, b].map((host, i) => host.hearsAfter(before[i] ?? 0, /^alone/)));
      for (const { reasons } of [a, b]) expect(reasons.at(-1)).toContain(word);
      await client.sendCommand(["REPLICAOF", "NO", "ONE"]);
      await Promise.all([a, b].map((host, i) => host.hearsAfter(before[i] ?? 0, /^joined/)));
      await Promise.all([
        a.hearsAfter(before[0] ?? 0, /^(host b|joined b)/),
        b.hearsAfter(before[1] ?? 0, /^(host a|joined a)/),
      ]);
      a.record("after");
      await Promise.all([a, b].map((host) => host.hears(/^\d+ a \/ after$/)));
      expect(b.epoch).toBe(a.epoch);
      // A replica has the data of its master, here none.
      expect(a.epoch === epoch).toBe(!hasMaster);
    },
  );

  test("NOREPLICAS, because it is cut off from its replica: each goes on alone, until it is not", async () => {
    redis = await startRedis();
    const client = await connect();
    const [a, b] = await startHosts(IMPATIENT);
    const before = [a, b].map(({ heard }) => heard.length);
    await client.configSet("min-replicas-to-write", "1");
    a.record("refused");
    b.record("refused");
    await Promise.all([a, b].map((host, i) => host.hearsAfter(before[i] ?? 0, /^alone/)));
    for (const { reasons } of [a, b]) expect(reasons.at(-1)).toContain("NOREPLICAS");
    await client.configSet("min-replicas-to-write", "0");
    await Promise.all([a, b].map((host, i) => host.hearsAfter(before[i] ?? 0, /^joined/)));
  });

  test("NOPERM to what only some calls need: it is told, and the others go on", async () => {
    const user = "holdfast on >secret ~hf:{test}:* resetchannels +@all -rpush";
    redis = await startRedis("--user", ...user.split(" "));
    const url = redis.url.replace("redis://", "redis://holdfast:secret@");
    const [a, b] = await startHosts({ ...PATIENT, url });
    a.record("packet");
    await a.complains("HOLDFAST_ERR_BACKPLANE_DOWN");
    // Redis and Valkey, each in its own words.
    expect(a.complaints.join()).toMatch(/can't run this command|no permissions to run/);
    await Promise.all([a, b].map((host) => host.hears(/^\d+ (past )?a \/ packet$/)));
    await a.inEffect();
    a.send([b], "frame");
    await b.hears("a / frame");
    expect(words([b], / packet$/)).toHaveLength(1);
  });

  test("at last, when a host has just been told that it is alone: it is one of them again", async () => {
    redis = await startRedis();
    const client = await connect();
    let refused = 0;
    const refuser = createServer((socket) => {
      refused++;
      socket.on("error", () => {}).destroy();
    }).listen(0, "127.0.0.1");
    ends.push(() => refuser.close());
    await once(refuser, "listening");
    const gate = await RoundRobin.open(redis.port);
    ends.push(() => gate.close());
    const a = await startHost("a", PATIENT);
    const b = await startHost("b", { lease: 60_000, timeout: 3_000, url: gate.url.replace("http", "redis") });
    await a.hears("host b");
    const before = b.heard.length;
    gate.ports = [(refuser.address() as AddressInfo).port];
    gate.cut();
    // Some tries, so that its patience ends before that of the call that waits then.
    await expect.poll(() => refused).toBeGreaterThan(6);
    await client.sendCommand(["CLIENT", "PAUSE", "60000", "WRITE"]);
    gate.ports = [redis.port];
    await b.hearsAfter(before, /^alone/);
    await client.sendCommand(["CLIENT", "UNPAUSE"]);
    await b.hearsAfter(before, /^joined a/);
    b.send([a], "again");
    await a.hears("b / again");
  });
});
