/**
 * `setupWorker()`: the worker's entry. Runs in: workers.
 */
import cluster from "node:cluster";
import { Server as NetServer } from "node:net";
import type { Server } from "socket.io";
import { HoldfastError } from "../errors.js";
import type { DrainOptions, WorkerOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import type { WorkerProcessStats } from "../stats.js";
import { forwardStrays } from "./forwarder.js";
import { Receiver } from "./receiver.js";
import { type ResolvedWorkerOptions, resolveDrainOptions, resolveWorkerOptions } from "./resolve-options.js";
import type { RoutedServer } from "./routed-server.js";
import { type Engine, markSessionIds } from "./session-marks.js";

/** The part of a Socket.IO server that this package uses. */
export type SocketIoServer = Pick<Server, "engine" | "httpServer" | "path" | "close">;

/** What `setupWorker()` returns. */
export interface StickyWorker {
  /** What is going on now, and the counts so far, for all servers of this process together. */
  stats(): WorkerProcessStats;
  /**
   * Stops taking connections. Those that are on their way go to other workers. Of those that are open, idle ones are
   * closed, the others after their answers, and WebSockets stay. Sessions stay reachable through the other workers
   * until their HTTP server is closed. Settles when nothing more can arrive. Calling it again changes nothing.
   */
  close(): Promise<void>;
  /**
   * Ends `io` and its HTTP server without cutting anybody off, for the end of a process: takes no connections any
   * more, lets the requests in progress finish, then closes the clients as `io.close()` does, so that they connect
   * to other workers and can be recovered there. Settles when the last connection is closed, or cut at the timeout.
   * Then only the channel of `node:cluster` holds the process, until `process.exit()` or
   * `cluster.worker.disconnect()`. Calling it again returns the same promise.
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   */
  drain(options?: DrainOptions): Promise<void>;
}

/** The part of its time that a drain gives to requests, before it closes the clients. */
const REQUESTS_SHARE = 0.8;

const setups = processWide("setups", () => new WeakMap<Engine, Setup>());

/** One Socket.IO server that is set up. */
class Setup implements StickyWorker {
  readonly #releases: (() => void)[] = [];
  readonly #receiver: Receiver;
  readonly #name: string;
  readonly #routed: RoutedServer;
  readonly #io: SocketIoServer;
  #closed: Promise<void> | undefined;
  #drained: Promise<void> | undefined;

  constructor(io: SocketIoServer, routed: RoutedServer, { name }: ResolvedWorkerOptions, receiver: Receiver) {
    const { neighbours } = receiver;
    const { engine } = io;
    this.#io = io;
    this.#receiver = receiver;
    this.#name = name;
    this.#routed = routed;
    const onClosing = () => void this.close();
    const onClosed = () => this.undo();
    routed.once("closing", onClosing).once("closed", onClosed);
    this.#releases.push(
      () => routed.off("closing", onClosing).off("closed", onClosed),
      routed.addPath(io.path()),
      receiver.watchSessions(engine),
      markSessionIds(engine, () => neighbours.mark),
      forwardStrays(engine, name, {
        ownerElsewhere: (sessionId) => neighbours.ownerElsewhere(sessionId),
        onForwardedIn: () => receiver.countForwardedIn(),
        move: (socket, ...where) => receiver.move(socket, ...where),
        relay: neighbours.relay,
      }),
    );
  }

  stats(): WorkerProcessStats {
    return this.#receiver.stats();
  }

  isOpen(): boolean {
    return this.#closed === undefined;
  }

  close(): Promise<void> {
    this.#closed ??= this.#receiver.close(this.#name, this.#routed);
    return this.#closed;
  }

  drain(options?: DrainOptions): Promise<void> {
    const { timeoutMs } = resolveDrainOptions(options);
    this.#drained ??= this.#drain(timeoutMs);
    return this.#drained;
  }

  async #drain(timeoutMs: number): Promise<void> {
    const requestsTime = new Deadline(REQUESTS_SHARE * timeoutMs);
    const allTime = new Deadline(timeoutMs);
    void allTime.passed.then(() => this.#routed.cut());
    try {
      await this.close();
      // Requests may have something to tell the clients yet.
      await Promise.race([this.#routed.requestsDone(), requestsTime.passed]);
      await this.#io.close();
      await this.#routed.closed;
      await Promise.race([this.#receiver.departed, allTime.passed]);
    } finally {
      requestsTime.cancel();
      allTime.cancel();
    }
  }

  /** Gives the engine back as it was: when its server is closed. Open sessions need it until then. */
  undo(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}

/**
 * Lets the connections of the cluster reach `io`, which must be attached to an HTTP server of this worker. A
 * worker gets connections from then on. Its server counts as listening where the router's does: there is no need to
 * call `listen()`, and doing so opens no port. With several Socket.IO servers in a worker, call it for each.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_WORKER` outside a worker of `node:cluster`
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_ATTACHED` if `io` is not attached to a server yet
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` if it was called for this `io` before, or if another
 *   server of the worker has the same name
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function setupWorker(io: SocketIoServer, options?: WorkerOptions): StickyWorker {
  if (!cluster.isWorker) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_WORKER",
      "setupWorker() was called outside a worker. Call it in a process started by cluster.fork().",
    );
  }
  const engine: Engine | undefined = io.engine;
  const httpServer: unknown = io.httpServer;
  if (!engine || !(httpServer instanceof NetServer)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_ATTACHED",
      "setupWorker(io) needs an io that is attached to an http.Server or https.Server: " +
        "call new Server(httpServer) or io.attach(httpServer) first.",
    );
  }
  const previous = setups.get(engine);
  if (previous?.isOpen()) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "setupWorker() was called for this io before. Keep the handle of the first call, or close() it.",
    );
  }
  const resolved = resolveWorkerOptions(options);
  const receiver = Receiver.get();
  const routed = receiver.open(resolved.name, httpServer);
  previous?.undo();
  const setup = new Setup(io, routed, resolved, receiver);
  setups.set(engine, setup);
  return setup;
}

/** A moment to come. */
class Deadline {
  readonly passed: Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.passed = new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms);
    });
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
