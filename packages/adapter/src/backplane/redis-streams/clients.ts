/**
 * The clients of Redis that users bring, as far as they are used here: `redis` (node-redis) and `ioredis`.
 * Types that fit by their shape, so that neither package is needed. Runs in: where the hub is.
 */

/** What a command is made of. */
export type RedisArgument = string | Buffer;

/**
 * A client of `redis` (node-redis) 5: what its `createClient()` returns, connected or not.
 * @see https://github.com/redis/node-redis
 */
export interface NodeRedisClient {
  duplicate(overrides?: object): NodeRedisClient;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(args: RedisArgument[], options?: object): Promise<unknown>;
  on(event: string, listener: (error: Error) => void): unknown;
  readonly isOpen: boolean;
  /** As it was made. */
  readonly options?: { readonly socket?: object } | undefined;
}

/**
 * A client of `ioredis` 5, connected or not.
 * @see https://github.com/redis/ioredis
 */
export interface IoRedisClient {
  duplicate(overrides?: object): IoRedisClient;
  connect(): Promise<void>;
  disconnect(): void;
  callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown>;
  on(event: string, listener: (error: Error) => void): unknown;
  readonly status: string;
}

/**
 * A client of `redis` 5 for Redis Cluster: what its `createCluster()` returns, connected or not.
 * @see https://github.com/redis/node-redis/blob/master/docs/clustering.md
 */
export interface NodeRedisCluster {
  duplicate(overrides?: object): NodeRedisCluster;
  connect(): Promise<unknown>;
  destroy(): void;
  readonly slots: readonly { readonly master: object }[];
  nodeClient(node: never): Promise<NodeRedisClient>;
  /** As it was made. */
  readonly _options: { readonly defaults?: { readonly socket?: object } };
  on(event: string, listener: (error: Error) => void): unknown;
  readonly isOpen: boolean;
}

/**
 * A client of `redis` 5 for Redis Sentinel: what its `createSentinel()` returns. It has to be connected, because
 * it cannot be duplicated.
 * @see https://github.com/redis/node-redis/blob/master/docs/sentinel.md
 */
export interface NodeRedisSentinel {
  readonly isOpen: boolean;
  getMasterNode(): unknown;
  /** Calls back with its client of the master. */
  _execute<T>(isReadonly: boolean, use: (master: NodeRedisClient) => Promise<T>): Promise<T>;
}

/**
 * A client of `ioredis` 5 for Redis Cluster, its `Cluster`, connected or not.
 * @see https://github.com/redis/ioredis#cluster
 */
export interface IoRedisCluster {
  duplicate(startupNodes?: never[], overrides?: object): IoRedisCluster;
  connect(): Promise<void>;
  disconnect(): void;
  readonly slots: readonly (readonly string[])[];
  nodes(role?: "master"): (IoRedisClient & {
    readonly options: { readonly host?: string; readonly port?: number };
  })[];
  on(event: string, listener: (error: Error) => void): unknown;
}

/** A client of one Redis process, or of the one that sentinels name. */
export type RedisNodeClient = NodeRedisClient | IoRedisClient;

export type RedisClient = RedisNodeClient | NodeRedisCluster | NodeRedisSentinel | IoRedisCluster;

export function isRedisClient(client: unknown): client is RedisClient {
  return isNodeRedis(client) || isIoRedis(client) || isNodeRedisSentinel(client);
}

export function isIoRedis(client: unknown): client is IoRedisClient {
  return hasMethods(client, ["duplicate", "connect", "disconnect", "callBuffer", "on"]);
}

export function isNodeRedis(client: unknown): client is NodeRedisClient {
  return hasMethods(client, ["duplicate", "connect", "destroy", "sendCommand", "on"]);
}

export function isNodeRedisCluster(client: unknown): client is NodeRedisCluster {
  return hasMethods(client, ["duplicate", "connect", "destroy", "nodeClient", "on"]);
}

export function isNodeRedisSentinel(client: unknown): client is NodeRedisSentinel {
  return hasMethods(client, ["getMasterNode", "_execute"]);
}

export function isIoRedisCluster(client: unknown): client is IoRedisCluster {
  return hasMethods(client, ["duplicate", "connect", "disconnect", "callBuffer", "nodes", "on"]);
}

function hasMethods(client: unknown, names: readonly string[]): boolean {
  if (typeof client !== "object" || client === null) return false;
  return names.every((name) => typeof (client as Record<string, unknown>)[name] === "function");
}
