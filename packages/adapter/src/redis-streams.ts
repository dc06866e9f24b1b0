/** The public names of `@holdfast/adapter/redis-streams`. Runs in: where the hub is, and any process that emits. */
export type {
  IoRedisClient,
  IoRedisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
} from "./backplane/redis-streams/clients.js";
export type { RedisStreamsOptions } from "./backplane/redis-streams/options.js";
export { redisStreams } from "./backplane/redis-streams.js";
export { type ClusterEmitter, type ClusterEmitterOptions, createEmitter } from "./host/cluster-emitter.js";
export type { Emitter } from "./host/emitter.js";
export type { BackplaneFactory } from "./hub/backplane.js";
