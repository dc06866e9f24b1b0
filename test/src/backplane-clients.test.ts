/** Clients of Redis with settings of their own, and URLs: what users have for other purposes joins hosts as well. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type RedisStreamsOptions, redisStreams } from "@holdfast/adapter/redis-streams";
import { findRedisServer, freePort, RedisServer, within } from "@holdfast/harness";
import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackplaneHost } from "./harness/backplane-hosts.js";
import { CERTIFICATE, KEY } from "./harness/certificate.js";

const hasRedis = findRedisServer() !== undefined;
const PASSWORD = "p@s:s/w#r%d ü?";
/** Less than a reading waits for something to come. */
const SHORT_MS = 200;
const LOOK_MS = 20;

type Ways = Pick<RedisStreamsOptions, "url" | "client">;

let redis: RedisServer;
let tlsPort: number;
let directory: string;
let hosts: BackplaneHost[] = [];

beforeAll(async () => {
  if (!hasRedis) return;
  directory = mkdtempSync(join(tmpdir(), "hf-tls-"));
  const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };
  writeFileSync(files.cert, CERTIFICATE);
  writeFileSync(files.key, KEY);
  tlsPort = await freePort();
  redis = await RedisServer.start({
    settings: [
      ...["--requirepass", PASSWORD, "--tls-port", String(tlsPort), "--tls-auth-clients", "no"],
      ...["--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-ca-cert-file", files.cert],
    ],
  });
});

afterEach(async () => {
  await Promise.all(hosts.map(({ backplane }) => backplane.close()));
  hosts = [];
});

afterAll(async () => {
  await redis?.close();
  if (directory) rmSync(directory, { recursive: true });
});

const ofRedis = (settings: object) => ({
  client: createClient({ url: redis.url, password: PASSWORD, ...settings }),
});
const ofIoRedis = (settings: object) => ({
  client: new Redis({ port: redis.port, password: PASSWORD, lazyConnect: true, ...settings }),
});
const withPassword = (database: string) =>
  `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redis.port}${database}`;

/** Waits until hosts have read so many times without getting anything. */
async function untilRead(times: number): Promise<void> {
  const client = createClient({ url: redis.url, password: PASSWORD });
  await client.connect();
  const calls = async () => Number(/cmdstat_xread:calls=(\d+)/.exec(await client.info("commandstats"))?.[1]);
  const end = (await calls()) + times;
  const look = async () => {
    while ((await calls()) < end) await sleep(LOOK_MS);
  };
  await within(look(), `${times} readings`);
  client.destroy();
}

describe.skipIf(!hasRedis)("hosts are joined", () => {
  test.each<[string, () => Ways]>([
    ["a URL with a password of odd characters", () => ({ url: withPassword("") })],
    ["a URL with a database", () => ({ url: withPassword("/3") })],
    ["redis: a database", () => ofRedis({ database: 5 })],
    ["redis: TLS", () => ofRedis({ url: `rediss://localhost:${tlsPort}`, socket: { ca: CERTIFICATE } })],
    ["redis: socketTimeout", () => ofRedis({ socket: { socketTimeout: SHORT_MS } })],
    ["redis: timeout of commands", () => ofRedis({ commandOptions: { timeout: SHORT_MS } })],
    ["redis: pingInterval", () => ofRedis({ pingInterval: SHORT_MS })],
    ["redis: readonly", () => ofRedis({ readonly: true })],
    ["ioredis: a database", () => ofIoRedis({ db: 5 })],
    ["ioredis: TLS", () => ofIoRedis({ host: "localhost", port: tlsPort, tls: { ca: CERTIFICATE } })],
    ["ioredis: commandTimeout", () => ofIoRedis({ commandTimeout: SHORT_MS })],
    ["ioredis: socketTimeout", () => ofIoRedis({ socketTimeout: SHORT_MS })],
    ["ioredis: blockingTimeout", () => ofIoRedis({ blockingTimeout: SHORT_MS, blockingTimeoutGrace: 0 })],
    ["ioredis: stringNumbers", () => ofIoRedis({ stringNumbers: true })],
    ["ioredis: reconnectOnError", () => ofIoRedis({ reconnectOnError: () => 2 })],
    ["ioredis: enableAutoPipelining", () => ofIoRedis({ enableAutoPipelining: true })],
    ["ioredis: maxRetriesPerRequest", () => ofIoRedis({ maxRetriesPerRequest: null })],
  ])("%s", async (name, make) => {
    const given = { app: name.replace(/\W+/g, "-"), timeout: 30_000, lease: 60_000, ...make() };
    const names = new Map<string, string>();
    const [a, b] = ["a", "b"].map((letter) => new BackplaneHost(given, names, letter)) as [
      BackplaneHost,
      BackplaneHost,
    ];
    hosts.push(a, b);
    await Promise.all([a.hears(/^(host b|joined b)/), b.hears(/^(host a|joined a)/)]);
    await untilRead(3);
    a.send([b], "frame");
    a.record("record");
    await Promise.all([b.hears("a / frame"), b.hears("1 a / record"), a.hears("1 a / record")]);
    for (const { heard, errors } of hosts) {
      expect(heard.filter((word) => /^joined/.test(word))).toHaveLength(1);
      expect(errors).toEqual([]);
    }
  });
});

test.each<[string, Redis | Cluster]>([
  ["Redis", new Redis({ keyPrefix: "mine:", lazyConnect: true })],
  ["Cluster", new Cluster([], { keyPrefix: "mine:", lazyConnect: true })],
  ["Cluster for its nodes", new Cluster([], { redisOptions: { keyPrefix: "mine:" }, lazyConnect: true })],
])("a client of ioredis with a keyPrefix is refused, not joined with those of others: %s", (_, client) => {
  expect(() => redisStreams({ app: "test", client })).toThrow(
    expect.objectContaining({
      code: "HOLDFAST_ERR_INVALID_OPTION",
      message: expect.stringMatching(/without keyPrefix.*"app"/) as string,
    }),
  );
});

test.each([
  "localhost",
  "127.0.0.1:6379",
  "http://localhost",
  "redis://localhost/shop",
  "redis:///run/redis.sock",
  "redis://:per%cent@localhost",
  "redis://:sl/ash@localhost",
  "redis://shop:1#2@localhost",
])("the URL %o is refused, and not shown: it may have a password", (url) => {
  expect(() => redisStreams({ app: "test", url })).toThrow(
    expect.objectContaining({
      code: "HOLDFAST_ERR_INVALID_OPTION",
      message: expect.not.stringContaining(url) as string,
    }),
  );
});
