/**
 * One connection to Redis, from its start to its first failure: whoever needs it longer opens another one.
 * So no client repeats a command by itself, and none waits in a queue that nobody sees.
 * Owns: a client made for it, and the deadlines of its commands. Runs in: where the hub is.
 */
import { HoldfastError } from "../../errors.js";
import {
  type IoRedisClient,
  isIoRedis,
  type NodeRedisClient,
  type RedisArgument,
  type RedisNodeClient,
} from "./clients.js";
import type { Script } from "./scripts.js";

/** The number of RESP's type of strings, `$`: node-redis gives Buffers for it. */
const BLOB_STRING = 36;

const NO_SCRIPT = /^NOSCRIPT/;

/** The cause of a failure: Redis has been silent for as long as it may be. */
export const SILENCE = Symbol("silence");

/** A client of either kind, made for one connection. */
interface Port {
  connect(): Promise<unknown>;
  command(args: RedisArgument[]): Promise<unknown>;
  onFailure(listener: (error: Error) => void): void;
  destroy(): void;
}

export class Connection {
  readonly #port: Port;
  readonly #onDown: (error: HoldfastError) => void;
  // new → opening → open → closed; any → closed
  #state: "new" | "opening" | "open" | "closed" = "new";
  readonly #waiting = new Set<(error: HoldfastError) => void>();

  /**
   * A connection as the client would have it, which stays as it is.
   * @param onDown called once, when it fails after it was open
   */
  constructor(client: RedisNodeClient, onDown: (error: HoldfastError) => void) {
    this.#port = isIoRedis(client) ? ioRedisPort(client) : nodeRedisPort(client);
    this.#onDown = onDown;
    this.#port.onFailure((error) => this.#fail(unavailable(error.message, error)));
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN`, also if it is closed meanwhile */
  async open(deadlineMs: number): Promise<void> {
    if (this.#state !== "new") throw unavailable("the connection is closed");
    this.#state = "opening";
    await this.#withDeadline("a connection", deadlineMs, this.#port.connect());
    this.#state = "open";
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /**
   * @returns the reply, with Buffers for strings
   * @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN`: there is no reply, and none will come. Whether the command was
   * carried out is not known
   * @throws {Error} what Redis answered
   */
  async command(args: RedisArgument[], deadlineMs: number): Promise<unknown> {
    if (this.#state !== "open") throw unavailable("the connection is closed");
    const name = args[0] === undefined ? "" : String(args[0]);
    try {
      return await this.#withDeadline(`an answer to ${name}`, deadlineMs, this.#port.command(args));
    } catch (error) {
      if (!(error instanceof HoldfastError) && !isAnswer(error))
        throw this.#fail(unavailable(String(error), error));
      throw error;
    }
  }

  /** Calls a script, as {@link command} does; Redis is given it if it does not know it. */
  async script(
    { sha, source }: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
    deadlineMs: number,
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.command(["EVALSHA", sha, ...rest], deadlineMs);
    } catch (error) {
      if (!NO_SCRIPT.test((error as Error).message)) throw error;
      return this.command(["EVAL", source, ...rest], deadlineMs);
    }
  }

  /** Commands that are waiting fail. */
  close(error = unavailable("the connection was closed")): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const reject of this.#waiting) reject(error);
    this.#port.destroy();
  }

  #withDeadline<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(fail);
      };
      const fail = (error: unknown) => {
        end();
        reject(error as Error);
      };
      const onLate = () => {
        if (!this.#waiting.has(fail)) return;
        fail(this.#fail(unavailable(`${what} did not come within ${deadlineMs} ms`, SILENCE)));
      };
      // Where this process itself has stood still, the answer is there, and is read before that.
      const timer = setTimeout(() => setImmediate(onLate), deadlineMs);
      this.#waiting.add(fail);
      promise.then(
        (value) => {
          end();
          resolve(value);
        },
        (error: unknown) =>
          fail(this.#state === "opening" ? this.#fail(unavailable(String(error), error)) : error),
      );
    });
  }

  #fail(error: HoldfastError): HoldfastError {
    const wasOpen = this.#state === "open";
    this.close(error);
    if (wasOpen) this.#onDown(error);
    return error;
  }
}

/** Redis itself has said no: the connection is as good as before. */
function isAnswer(error: unknown): boolean {
  // `ErrorReply` and `SimpleError` of node-redis, `ReplyError` of ioredis.
  const name = error instanceof Error ? `${error.name} ${error.constructor.name}` : "";
  return /\b(ErrorReply|SimpleError|BlobError|ReplyError)\b/.test(name);
}

/**
 * Redis answers that this user may not, or that it has no such command, and always will. With other answers it cannot at
 * the moment: it loads its data, a script keeps it busy, or it is not the master.
 */
export function isDenied(error: unknown): boolean {
  return isAnswer(error) && /^(NOPERM|ERR)\b/.test((error as Error).message);
}

function unavailable(reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_BACKPLANE_DOWN", `Redis does not answer: ${reason}.`, { cause });
}

function nodeRedisPort(client: NodeRedisClient): Port {
  const own = client.duplicate({
    disableOfflineQueue: true,
    // A reading is silent for as long as nobody sends anything, and there are deadlines here.
    socket: { ...client.options?.socket, socketTimeout: undefined },
    commandOptions: {},
    readonly: false,
  });
  const options = { typeMapping: { [BLOB_STRING]: Buffer } };
  return {
    connect: () => own.connect(),
    command: (args) => own.sendCommand(args, options),
    onFailure: (listener) => {
      own.on("error", listener);
      own.on("end", () => listener(new Error("the connection ended")));
    },
    destroy: () => {
      if (own.isOpen) own.destroy();
    },
  };
}

function ioRedisPort(client: IoRedisClient): Port {
  const own = client.duplicate({
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoPipeliningIgnoredCommands: [],
    enableAutoPipelining: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
    reconnectOnError: null,
    // A reading is silent for as long as nobody sends anything, and there are deadlines here.
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
    stringNumbers: false,
  });
  return {
    connect: () => own.connect(),
    command: ([name, ...args]) => own.callBuffer(String(name), ...args),
    onFailure: (listener) => {
      own.on("error", listener);
      own.on("end", () => listener(new Error("the connection ended")));
    },
    destroy: () => own.disconnect(),
  };
}
