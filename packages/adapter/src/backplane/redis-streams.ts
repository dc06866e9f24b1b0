/** Joins the hubs of several hosts over Redis 7 or Valkey. Runs in: where the hub is. */
import type { BackplaneFactory } from "../hub/backplane.js";
import {
  loadRedis,
  type RedisStreamsOptions,
  recipeOf,
  resolveStreamsOptions,
} from "./redis-streams/options.js";
import { RedisStreams } from "./redis-streams/streams.js";

/**
 * What the option `backplane` takes, so that several hosts are one cluster.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function redisStreams(options: RedisStreamsOptions): BackplaneFactory {
  const resolved = resolveStreamsOptions(options);
  return {
    name: `redis-streams ${resolved.app}`,
    recipe: recipeOf(options),
    load: () => loadRedis(options),
    open: (limits, events) => new RedisStreams(resolved, limits, events),
  };
}
