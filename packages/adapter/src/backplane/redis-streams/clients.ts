/**
 * The clients of Redis that users bring, as far as they are used here: `redis` (node-redis) and `ioredis`.
 * Types that fit by their shape, so that neither package is needed. Runs in: where the hub is.
 */

/** What a command is made of. */
export type RedisArgument = string | Buffer;

/**
 * A client of `redis` (node-redis) 5 or newer: what its `createClient()` returns, connected or not.
 * @see https://github.com/redis/node-redis
 */
export interface NodeRedisClient {
  duplicate(overrides?: object): NodeRedisClient;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(args: RedisArgument[], options?: object): Promise<unknown>;
  on(event: string, listener: (error: Error) => void): unknown;
  readonly isOpen: boolean;
}

/**
 * A client of `ioredis` 5 or newer, connected or not.
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

export type RedisClient = NodeRedisClient | IoRedisClient;

export function isIoRedis(client: unknown): client is IoRedisClient {
  return hasMethods(client, ["duplicate", "connect", "disconnect", "callBuffer", "on"]);
}

export function isNodeRedis(client: unknown): client is NodeRedisClient {
  return hasMethods(client, ["duplicate", "connect", "destroy", "sendCommand", "on"]);
}

function hasMethods(client: unknown, names: readonly string[]): boolean {
  if (typeof client !== "object" || client === null) return false;
  return names.every((name) => typeof (client as Record<string, unknown>)[name] === "function");
}
