/** Recoverable packets that Redis has thrown away before a host has read them: the host notices, whatever they were. */
import type { RedisStreamsOptions } from "@holdfast/adapter/redis-streams";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackplaneHost } from "./harness/backplane-hosts.js";
import { RoundRobin } from "./harness/round-robin.js";

const hasRedis = findRedisServer() !== undefined;
/** No lease ends, and nobody goes on alone. */
const PATIENT = { app: "test", timeout: 30_000, lease: 60_000 };
const JOURNAL = "hf:{test}:j";

let redis: RedisServer;
let client: ReturnType<typeof createClient>;
/** The way of host b to Redis. */
let gate: RoundRobin;
let hosts: BackplaneHost[];
let names: Map<string, string>;

beforeEach(async () => {
  if (!hasRedis) return;
  [hosts, names] = [[], new Map()];
  redis = await RedisServer.start();
  client = createClient({ url: redis.url });
  await client.connect();
  gate = await RoundRobin.open(redis.port);
});

afterEach(async () => {
  if (!hasRedis) return;
  gate.goOn();
  await Promise.all(hosts.map(({ backplane }) => backplane.close()));
  gate.close();
  client.destroy();
  await redis.close();
});

/** Two hosts that know each other, of which b is behind the gate. */
async function startHosts(
  options: Partial<RedisStreamsOptions> = {},
): Promise<[BackplaneHost, BackplaneHost]> {
  const start = (letter: string, url: string) => {
    const host = new BackplaneHost({ ...PATIENT, ...options, url } as RedisStreamsOptions, names, letter);
    hosts.push(host);
    return host;
  };
  const a = start("a", redis.url);
  await a.hears(/^joined/);
  const b = start("b", gate.url.replace("http", "redis"));
  await Promise.all([a.hears("host b"), b.hears(/^joined a/)]);
  return [a, b];
}

/** Has packets of the host placed, one after the other. */
async function place(host: BackplaneHost, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    host.record(text);
    await host.inEffect();
  }
}

/** Redis has a packet of b, which does not get the answer. */
async function placeUnanswered(b: BackplaneHost, text: string): Promise<void> {
  const before = await client.xLen(JOURNAL);
  b.record(text);
  await expect.poll(() => client.xLen(JOURNAL)).toBe(before + 1);
}

const throwAway = () => client.xTrim(JOURNAL, "MAXLEN", 0);

/** What the host has heard of each packet, in their order: "lost", or whose it is and what is in it. */
function recordsOf({ heard }: BackplaneHost): string[] {
  return heard.flatMap((word) => {
    const [, from, upTo] = (/^lost (\d+)-(\d+)$/.exec(word) ?? []).map(Number);
    if (from !== undefined && upTo !== undefined) return Array<string>(upTo - from + 1).fill("lost");
    return /^\d+ (past )?\w+ \/ /.test(word) ? [word.replace(/^\d+ /, "").replace(" /", "")] : [];
  });
}

/** What the gate has kept back: whether there was a reading that waited for it is chance. */
const ON_ITS_WAY = expect.stringMatching(/^(a on its way|lost)$/) as string;

describe.skipIf(!hasRedis)("packets that are thrown away before a host has read them", () => {
  test("of others: it is told which", async () => {
    const [a, b] = await startHosts();
    await place(a, "read");
    await b.hears("1 a / read");
    gate.haltAnswers();
    await place(a, "on its way", "thrown away", "thrown away, too");
    await throwAway();
    await place(a, "last");
    gate.goOn();
    await b.hears("5 a / last");
    expect(recordsOf(b)).toEqual(["a read", ON_ITS_WAY, "lost", "lost", "a last"]);
    expect(b.epoch).toBe(a.epoch);
  });

  test("its own: it knows them, and has them in their places", async () => {
    const [a, b] = await startHosts();
    gate.haltAnswers();
    await place(a, "on its way");
    await placeUnanswered(b, "own");
    await throwAway();
    await place(a, "after");
    gate.goOn();
    await b.hears("3 a / after");
    await place(b, "own, later");
    await b.hears("4 b / own, later");
    expect(recordsOf(b)).toEqual([ON_ITS_WAY, "b own", "a after", "b own, later"]);
    expect(recordsOf(a)).toEqual(["a on its way", "b own", "a after", "b own, later"]);
  });

  test("its own among those of others: what is lost is told before what comes after it", async () => {
    const [a, b] = await startHosts();
    gate.haltAnswers();
    await place(a, "on its way", "2");
    await placeUnanswered(b, "own");
    await place(a, "4", "5");
    await throwAway();
    gate.goOn();
    await b.inEffect();
    await place(a, "6");
    await b.hears("6 a / 6");
    expect(recordsOf(b)).toEqual([ON_ITS_WAY, "lost", "b own", "lost", "lost", "a 6"]);
  });

  test("its own, whose answer was lost with the connection", async () => {
    const [a, b] = await startHosts();
    gate.haltAnswers();
    await place(a, "on its way");
    await placeUnanswered(b, "own");
    await throwAway();
    await place(a, "after");
    gate.cut();
    await b.hears("3 a / after");
    await place(b, "own, later");
    await b.hears("4 b / own, later");
    // What was on its way is lost with the connection as well, and is in the journal no more.
    expect(recordsOf(b)).toEqual(["lost", "b own", "a after", "b own, later"]);
  });

  test("and nothing comes after them: it notices all the same", async () => {
    const [a, b] = await startHosts({ lease: 1_000 });
    gate.haltAnswers();
    await place(a, "on its way", "thrown away");
    await throwAway();
    gate.goOn();
    await b.hears(/^lost \d-2$/);
    await place(a, "after");
    await b.hears("3 a / after");
    expect(recordsOf(b)).toEqual([ON_ITS_WAY, "lost", "a after"]);
  });

  test("what was placed before a host has joined is no loss to it", async () => {
    const [a, b] = await startHosts();
    await place(a, "1", "2");
    await throwAway();
    await place(a, "3");
    await b.hears("3 a / 3");
    const c = new BackplaneHost({ ...PATIENT, url: redis.url }, names, "c");
    hosts.push(c);
    await c.hears("3 past a / 3");
    await throwAway();
    await place(a, "4");
    await c.hears("4 a / 4");
    expect(recordsOf(c)).toEqual(["past a 3", "a 4"]);
  });
});

test.skipIf(!hasRedis)("a packet that is larger than the journal may be reaches all hosts", async () => {
  const [a, b] = await startHosts({ journalBytes: 2 ** 20 });
  const text = "x".repeat(2 ** 21);
  await place(a, text, "after");
  await Promise.all([a, b].map((host) => host.hears("2 a / after")));
  for (const host of [a, b]) expect(recordsOf(host)).toEqual([`a ${text}`, "a after"]);
});
