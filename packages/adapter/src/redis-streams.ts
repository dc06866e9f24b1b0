/** The public names of `@holdfast/adapter/redis-streams`. */

export type { IoRedisClient, NodeRedisClient } from "./backplane/redis-streams/clients.js";
export type { RedisStreamsOptions } from "./backplane/redis-streams/options.js";
export { redisStreams } from "./backplane/redis-streams.js";
