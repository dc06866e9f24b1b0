/**
 * Finds the Redis process that has the application's keys. Of a cluster, and behind sentinels, that can be another one
 * for each membership: whoever lost its connection, or was refused, looks again.
 * Owns: for a cluster, the client that looks. Runs in: where the hub is.
 */
import { HoldfastError } from "../../errors.js";
import {
  type IoRedisCluster,
  isIoRedisCluster,
  isNodeRedisCluster,
  isNodeRedisSentinel,
  type NodeRedisCluster,
  type NodeRedisSentinel,
  type RedisClient,
  type RedisNodeClient,
} from "./clients.js";
import { slotOf } from "./key-slot.js";

export class NodeFinder {
  readonly #client: RedisClient;
  readonly #slot: number;
  readonly #deadlineMs: number;
  readonly #signal: AbortSignal;
  /** Sentinels are asked once, however often one stops waiting: the user's client cannot be told to give up. */
  #master: Promise<RedisNodeClient> | undefined;

  /**
   * @param hashTag that of the keys
   * @param signal ends all that is going on
   */
  constructor(client: RedisClient, hashTag: string, deadlineMs: number, signal: AbortSignal) {
    this.#client = client;
    this.#slot = slotOf(hashTag);
    this.#deadlineMs = deadlineMs;
    this.#signal = signal;
  }

  /**
   * @returns a client of this process, connected or not, to be duplicated
   * @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN`
   */
  async find(): Promise<RedisNodeClient> {
    const client = this.#client;
    try {
      if (isNodeRedisCluster(client)) return await this.#ofNodeRedisCluster(client);
      if (isIoRedisCluster(client)) return await this.#ofIoRedisCluster(client);
      if (isNodeRedisSentinel(client)) return await this.#ofNodeRedisSentinel(client);
      return client;
    } catch (error) {
      if (error instanceof HoldfastError) throw error;
      throw notFound(error instanceof Error ? error.message : String(error), error);
    }
  }

  async #ofNodeRedisCluster(cluster: NodeRedisCluster): Promise<RedisNodeClient> {
    const { defaults } = cluster._options;
    const end = new AbortController();
    // It waits for a node for ever. The signal ends that; with TLS it does not reach the socket, so there is a time.
    const impatient = { signal: end.signal, socketTimeout: this.#deadlineMs };
    const own = cluster.duplicate({
      minimizeConnections: true,
      defaults: { ...defaults, socket: { ...defaults?.socket, ...impatient } },
    });
    own.on("error", ignore);
    try {
      await this.#inTime(own.connect());
      const master = own.slots[this.#slot]?.master;
      if (master === undefined) throw this.#nobody();
      const node = await this.#inTime(own.nodeClient(master as never));
      const patient = { signal: undefined, socketTimeout: undefined, ...defaults?.socket };
      return node.duplicate({ socket: { ...node.options?.socket, ...patient } });
    } finally {
      if (own.isOpen) own.destroy();
      end.abort();
    }
  }

  async #ofIoRedisCluster(cluster: IoRedisCluster): Promise<RedisNodeClient> {
    const own = cluster.duplicate([], { lazyConnect: true, clusterRetryStrategy: () => null });
    own.on("error", ignore);
    try {
      await this.#inTime(own.connect());
      const address = own.slots[this.#slot]?.[0];
      const masters = own.nodes("master");
      const node = masters.find(({ options: { host, port } }) => `${host}:${port}` === address);
      if (node === undefined) throw this.#nobody();
      return node;
    } finally {
      own.disconnect();
    }
  }

  async #ofNodeRedisSentinel(sentinel: NodeRedisSentinel): Promise<RedisNodeClient> {
    if (!sentinel.isOpen) {
      throw notFound("the client of createSentinel() is not connected, and it has to be: call its connect()");
    }
    // Nothing but this one has the options for the master.
    this.#master ??= sentinel
      ._execute(false, async (master) => master)
      .finally(() => {
        this.#master = undefined;
      });
    return this.#inTime(this.#master);
  }

  #nobody(): HoldfastError {
    return notFound(`no node of the cluster has slot ${this.#slot}`);
  }

  async #inTime<T>(promise: Promise<T>): Promise<T> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(this.#deadlineMs)]);
    let stop: () => void = ignore;
    const late = new Promise<never>((_, reject) => {
      stop = () => reject(notFound(`no node was found within ${this.#deadlineMs} ms`));
      signal.addEventListener("abort", stop);
    });
    if (signal.aborted) stop();
    try {
      return await Promise.race([promise, late]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}

function ignore(): void {}

function notFound(reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_BACKPLANE_DOWN", `Redis does not answer: ${reason}.`, { cause });
}
