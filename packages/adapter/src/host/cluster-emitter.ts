/**
 * Emits to the workers of all hosts from a process that serves no sockets.
 * Owns: a hub without workers, which is one of the hosts, and an emitter on it. Runs in: any process.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { RedisStreamsOptions } from "../backplane/redis-streams/options.js";
import { redisStreams } from "../backplane/redis-streams.js";
import { HoldfastError } from "../errors.js";
import { runApplication } from "../faults.js";
import { Hub } from "../hub/hub.js";
import { OptionReader } from "../option-reader.js";
import { resolvePrimaryOptions } from "../options.js";
import { type Emitter, type EmitterOptions, Emitters, readEmitterOptions } from "./emitter.js";

/** Options of `createEmitter()`: those of `redisStreams()`, and these. */
export interface ClusterEmitterOptions extends RedisStreamsOptions {
  /**
   * The scope of the workers' servers, as in the options of `createAdapter()`.
   * @default "/socket.io", the path that servers have unless changed
   */
  scope?: string;
  /**
   * The parser of the workers' servers, if it is not Socket.IO's own.
   * @see https://socket.io/docs/v4/custom-parser/
   */
  parser?: EmitterOptions["parser"];
  /**
   * Called with failures that no call can return.
   * @default `process.emitWarning(error)`
   */
  onError?: (error: HoldfastError) => void;
}

/** So long `close()` waits for hosts that cannot be reached. */
const CLOSE_MS = 5_000;
/** What the emitter remembers of recoverable packets: it restores no session. */
const JOURNAL_BYTES = 2 ** 20;

/** An emitter for the main namespace; `of()` gives those of others. */
export class ClusterEmitter {
  readonly #hub: Hub;
  readonly #emitters: Emitters;
  readonly #options: EmitterOptions;
  #state: "open" | "closed" = "open";

  constructor(
    options: EmitterOptions,
    streams: RedisStreamsOptions,
    report: NonNullable<ClusterEmitterOptions["onError"]>,
  ) {
    this.#options = options;
    const limits = resolvePrimaryOptions({ journalBytes: JOURNAL_BYTES });
    const nothing = () => {};
    this.#hub = new Hub(
      limits,
      {
        onJoin: nothing,
        onLeave: nothing,
        onStalled: nothing,
        onJournalFull: nothing,
        onError: (error) => runApplication(() => report(error)),
      },
      { backplane: redisStreams(streams), startsAlone: false },
    );
    this.#emitters = new Emitters(this.#hub);
  }

  /**
   * The emitter of a namespace.
   * @param namespace its name
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` after `close()`, as every other method but that
   */
  of(namespace: string): Emitter {
    if (this.#state === "closed") {
      throw new HoldfastError(
        "HOLDFAST_ERR_CLOSED",
        "An emitter was used that has been closed: nothing would get anywhere. Close it after its last use.",
      );
    }
    return this.#emitters.get(namespace.startsWith("/") ? namespace : `/${namespace}`, this.#options);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespaceemiteventname-args */
  emit(event: string, ...args: unknown[]): true {
    this.of("/").emit(event, ...args);
    return true;
  }

  /** @see https://socket.io/docs/v4/server-api/#namespacetoroom */
  to(room: string | string[]): ReturnType<Emitter["to"]> {
    return this.of("/").to(room);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespaceinroom */
  in(room: string | string[]): ReturnType<Emitter["in"]> {
    return this.of("/").in(room);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespaceexceptrooms */
  except(room: string | string[]): ReturnType<Emitter["except"]> {
    return this.of("/").except(room);
  }

  /** @see https://socket.io/docs/v4/server-api/#flag-volatile */
  get volatile(): Emitter["volatile"] {
    return this.of("/").volatile;
  }

  /** @see https://socket.io/docs/v4/server-api/#namespacesocketsjoinrooms */
  socketsJoin(rooms: string | string[]): void {
    this.of("/").socketsJoin(rooms);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespacesocketsleaverooms */
  socketsLeave(rooms: string | string[]): void {
    this.of("/").socketsLeave(rooms);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespacedisconnectsocketsclose */
  disconnectSockets(close?: boolean): void {
    this.of("/").disconnectSockets(close);
  }

  /** @see https://socket.io/docs/v4/server-api/#namespaceserversideemiteventname-args */
  serverSideEmit(event: string, ...args: unknown[]): boolean {
    return this.of("/").serverSideEmit(event, ...args);
  }

  /**
   * Sends what was emitted, says goodbye to the hosts, and ends the connections to Redis. Waits for a Redis that cannot be
   * reached or does not answer, 5 s at most and no longer than `timeout` after it was last there; what was emitted is lost
   * then. May be called twice.
   */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const giveUp = new AbortController();
    const patience = sleep(CLOSE_MS, undefined, { signal: giveUp.signal }).catch(() => {});
    await Promise.race([this.#reach(), patience]);
    this.#emitters.close();
    await Promise.race([new Promise<void>((resolve) => this.#hub.whenSent(resolve)), patience]);
    giveUp.abort();
    await this.#hub.close();
  }

  /** What was emitted at the start waits until it is known which hosts there are. */
  async #reach(): Promise<void> {
    await new Promise<void>((resolve) => this.#hub.whenReady(resolve));
    await this.#emitters.allOpen();
  }
}

/**
 * Emits to the clients of all hosts from a process that serves none, as `@socket.io/redis-emitter` does.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function createEmitter(options: ClusterEmitterOptions): ClusterEmitter {
  const fields = new OptionReader<ClusterEmitterOptions>("createEmitter", options);
  const own = readEmitterOptions(fields);
  const report = fields.fn("onError", (error: HoldfastError): void => process.emitWarning(error));
  const { scope: _scope, parser: _parser, onError: _onError, ...streams } = options;
  return new ClusterEmitter(own, streams, report);
}
