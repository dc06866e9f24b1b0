/** Options of `redisStreams()`, as given and as resolved; each is checked here, once. Runs in: where the hub is. */
import { HoldfastError } from "../../errors.js";
import type { BackplaneRecipe } from "../../hub/backplane.js";
import { MAX_TIMER_MS, OptionReader } from "../../option-reader.js";
import {
  type IoRedisClient,
  type IoRedisCluster,
  isRedisClient,
  type NodeRedisClient,
  type NodeRedisCluster,
  type NodeRedisSentinel,
  type RedisClient,
} from "./clients.js";

const MAX_BYTES = 2 ** 31 - 1;
const MIB = 2 ** 20;
/** No braces: they would begin another hash tag. */
const APP = /^[\w.-]{1,64}$/;

/** Options of `redisStreams()`. Either `url` or `client` is needed. */
export interface RedisStreamsOptions {
  /**
   * Names the application: hosts with the same name in the same Redis are one cluster. There is no default, because it
   * would join strangers. 1–64 characters: letters, digits, `_`, `.` and `-`.
   */
  app: string;
  /**
   * Where Redis is: `redis[s]://[[user][:password]@]host[:port][/database]`, with `encodeURIComponent()` of user and
   * password. Holdfast makes a client of the package `redis`, which has to be installed.
   * @see https://github.com/redis/node-redis
   */
  url?: string;
  /**
   * A client of `redis` or `ioredis`, version 5, also for Redis Cluster or Redis Sentinel. It is duplicated, and
   * stays as it is: Holdfast neither uses its connection nor closes it. Only what `createSentinel()` of `redis` returns
   * has to be connected, and stay so: it is asked where the master is. How long it waits for answers is not taken over.
   * One with a `keyPrefix` is refused: applications are told apart by `app`.
   */
  client?: NodeRedisClient | NodeRedisCluster | NodeRedisSentinel | IoRedisClient | IoRedisCluster;
  /**
   * How long a host may be silent before the others take it for gone. Milliseconds, integer, 500–60000.
   * @default 3000
   */
  lease?: number;
  /**
   * How long Redis may take to answer, and how long recoverable packets wait for it when it is away. After that each
   * host goes on alone until Redis is back. Milliseconds, integer, 100–60000.
   * @default 2000
   */
  timeout?: number;
  /**
   * How long Redis keeps recoverable packets, if `journalBytes` allows: at least as long as
   * `connectionStateRecovery.maxDisconnectionDuration`. Milliseconds, integer, 1000–2147483647.
   * @default 150000
   */
  journalTime?: number;
  /**
   * How many bytes of recoverable packets Redis keeps. Bytes, integer, 1048576–2147483647.
   * @default 67108864 (64 MiB)
   */
  journalBytes?: number;
  /**
   * How many bytes may wait in Redis for one host. When it does not read them in time, they are thrown away, except
   * for recoverable packets. Bytes, integer, 1048576–2147483647.
   * @default 67108864 (64 MiB)
   */
  inboxBytes?: number;
}

export type ResolvedStreamsOptions = Readonly<
  Required<Omit<RedisStreamsOptions, "url" | "client">> & {
    /** @throws {HoldfastError} `HOLDFAST_ERR_NO_REDIS` */
    makeClient(): Promise<RedisClient>;
  }
>;

export function resolveStreamsOptions(input: RedisStreamsOptions): ResolvedStreamsOptions {
  const fields = new OptionReader("redisStreams", input);
  const isApp = (value: unknown): value is string => typeof value === "string" && APP.test(value);
  const isClient = (value: unknown): value is RedisClient | undefined =>
    value === undefined || isRedisClient(value);
  const url = fields.string("url", undefined, 1);
  const client = fields.value("client", undefined, isClient, "a client of redis or ioredis, version 5");
  if ((url === undefined) === (client === undefined)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'redisStreams() needs one of the options "url" and "client", and not both.',
    );
  }
  if (hasKeyPrefix(client)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'The option "client" of redisStreams() must be a client without keyPrefix: all keys of hosts begin with hf:{app}:. ' +
        'Give it client.duplicate({ keyPrefix: "" }), and tell applications apart by "app".',
    );
  }
  // The value is not shown: it may have a password.
  if (url !== undefined && !isRedisUrl(url)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'The option "url" of redisStreams() must be redis[s]://[[user][:password]@]host[:port][/database], with ' +
        "encodeURIComponent() of user and password, and what was given is not.",
    );
  }
  return fields.end({
    app: fields.value("app", undefined, isApp, "a name of 1 to 64 letters, digits, _, . and -") as string,
    lease: fields.integer("lease", 3_000, 500, 60_000),
    timeout: fields.integer("timeout", 2_000, 100, 60_000),
    journalTime: fields.integer("journalTime", 150_000, 1_000, MAX_TIMER_MS),
    journalBytes: fields.integer("journalBytes", 64 * MIB, MIB, MAX_BYTES),
    inboxBytes: fields.integer("inboxBytes", 64 * MIB, MIB, MAX_BYTES),
    makeClient: async () => client ?? clientOf(url as string),
  });
}

/** As `ioredis` has it: it would be put before keys of commands, and not before those that scripts make themselves. */
function hasKeyPrefix(client: RedisClient | undefined): boolean {
  const { options } = (client ?? {}) as { readonly options?: { readonly keyPrefix?: unknown } };
  return Boolean(options?.keyPrefix);
}

/** Whether `redis` makes a client of it, and of all of it: what follows a "#" is left out. */
function isRedisUrl(text: string): boolean {
  try {
    const { protocol, username, password, pathname, hash } = new URL(text);
    for (const each of [username, password]) decodeURIComponent(each);
    return /^rediss?:$/.test(protocol) && /^\/?\d*$/.test(pathname) && hash === "";
  } catch {
    return false;
  }
}

/** The environment variable with the URL: what is on a command line, every user of the machine can read. */
export const URL_VARIABLE = "HOLDFAST_REDIS_URL";

/** Options of `redisStreams()` as options of `holdfast-hub`. */
export const FLAGS = {
  app: "app",
  lease: "redis-lease",
  timeout: "redis-timeout",
  journalTime: "redis-journal-time",
  journalBytes: "redis-journal-bytes",
  inboxBytes: "redis-inbox-bytes",
} as const satisfies Partial<Record<keyof RedisStreamsOptions, string>>;

/** How a hub process gets the same; undefined with a client, which is an object of this process. */
export function recipeOf(options: RedisStreamsOptions): BackplaneRecipe | undefined {
  const { url } = options;
  if (url === undefined) return undefined;
  const names = Object.keys(FLAGS) as (keyof typeof FLAGS)[];
  const given = names.filter((name) => options[name] !== undefined);
  return {
    args: given.flatMap((name) => [`--${FLAGS[name]}`, String(options[name])]),
    env: { [URL_VARIABLE]: url },
  };
}

interface Redis {
  createClient(options: { url: string }): unknown;
}

/** Throws `HOLDFAST_ERR_NO_REDIS` where the package is missing: it is optional, for only who gives a URL needs it. */
async function importRedis(): Promise<Redis> {
  try {
    // Inside of this block, bundlers leave a package that is missing alone.
    return await import("redis" as string);
  } catch (cause) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NO_REDIS",
      'The option "url" of redisStreams() needs the package "redis", version 5: npm install redis@5. ' +
        'Or give a "client" of ioredis.',
      { cause },
    );
  }
}

/** Loads what makes the client. What fails does so again when that is made. */
export async function loadRedis({ url }: RedisStreamsOptions): Promise<void> {
  if (url !== undefined) await importRedis().catch(() => {});
}

async function clientOf(url: string): Promise<RedisClient> {
  const redis = await importRedis();
  return redis.createClient({ url }) as RedisClient;
}
