/**
 * `setupWorker()`: the worker's entry. Runs in: workers, and processes without a cluster.
 */
import cluster from "node:cluster";
import type { EventEmitter } from "node:events";
import { Server as NetServer } from "node:net";
import type { Server } from "socket.io";
import { HoldfastError } from "../errors.js";
import { ApplicationEvents } from "../faults.js";
import { mainThreadOnly } from "../main-thread.js";
import type { DrainOptions, WorkerOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import { beforeEndBySignal } from "../signal-end.js";
import type { WorkerEvents, WorkerProcessStats } from "../stats.js";
import { Deadline } from "./deadline.js";
import { forwardStrays } from "./forwarder.js";
import { OpenSessions } from "./open-sessions.js";
import { Receiver } from "./receiver.js";
import { type ResolvedWorkerOptions, resolveDrainOptions, resolveWorkerOptions } from "./resolve-options.js";
import { type Engine, markSessionIds } from "./session-marks.js";
import type { WorkerServer } from "./worker-server.js";

/** The part of a Socket.IO server that this package uses. */
export type SocketIoServer = Pick<Server, "engine" | "httpServer" | "path" | "close">;

/** What `setupWorker()` returns. */
export interface StickyWorker extends EventEmitter<WorkerEvents> {
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

/**
 * The part of its time that a drain gives to idle connections. It is short: over such a connection
 * a new session may come as well, whose client must hear of its end in the rest of the time.
 */
const IDLE_SHARE = 0.1;
const MAX_IDLE_MS = 1_000;
/** The part of its time that a drain gives to requests, before it closes the clients. */
const REQUESTS_SHARE = 0.8;
/** When the clients must have heard of the end. */
const CLIENTS_SHARE = 0.95;
/** How long a client may take from one poll to the next. */
const NEXT_POLL_MS = 2_000;

const setups = processWide("setups", () => new WeakMap<Engine, Setup>());

/** Those without a router: a signal that ends the process drains them before. */
const gathered = processWide("gathered", () => ({
  setups: new Set<Setup>(),
  release: undefined as (() => void) | undefined,
}));

/** How long a worker without a router may take to listen. */
const LISTEN_MS = 5_000;

/** Of the time that PM2 gives a process between SIGINT and SIGKILL, the part that a drain may take. */
const SIGNAL_SHARE = 0.75;
/** What PM2 gives unless it is told otherwise. */
const KILL_TIMEOUT_MS = 1_600;

/** One Socket.IO server that is set up. */
class Setup extends ApplicationEvents<WorkerEvents> implements StickyWorker {
  readonly #releases: (() => void)[] = [];
  readonly #receiver: Receiver;
  readonly #name: string;
  readonly #routed: WorkerServer;
  readonly #io: SocketIoServer;
  readonly #sessions = new OpenSessions();
  #closed: Promise<void> | undefined;
  #drained: Promise<void> | undefined;

  constructor(
    io: SocketIoServer,
    routed: WorkerServer,
    { name, mover }: ResolvedWorkerOptions,
    receiver: Receiver,
  ) {
    super();
    const { owners } = receiver;
    const { engine } = io;
    this.#io = io;
    this.#receiver = receiver;
    this.#name = name;
    this.#routed = routed;
    const onClosing = () => void this.close();
    const onClosed = () => this.undo();
    routed.once("closing", onClosing).once("closed", onClosed);
    this.#releases.push(
      receiver.addMover(name, {
        mover: mover ?? this.#sessions.unmoved(),
        routed,
        isAtRest: (sessionId) => this.#sessions.isAtRest(sessionId),
      }),
      () => routed.off("closing", onClosing).off("closed", onClosed),
      routed.attach({ path: io.path() }),
      receiver.watchSessions(engine),
      this.#sessions.watch(engine),
      markSessionIds(engine, () => owners.mark()),
      forwardStrays(engine, name, {
        isHere: (sessionId) => this.#sessions.has(sessionId),
        untilSettled: (sessionId) => receiver.held.until(sessionId),
        untilKnown: (sessionId) => owners.untilKnown(sessionId),
        ownerElsewhere: (sessionId, isRelayed) => owners.elsewhere(sessionId, isRelayed),
        ownerOfNew: (isRelayed) => receiver.ownerOfNew(isRelayed),
        ownerAfter: (...search) => owners.after(...search),
        onRequest: (sessionId, response) => this.#sessions.onRequest(sessionId, response),
        onRelayedUpgrade: (...upgrade) => this.#sessions.onRelayedUpgrade(...upgrade),
        onForwardedIn: () => receiver.countForwardedIn(),
        endPoll: (sessionId) => this.#sessions.endPoll(sessionId),
        move: (socket, ...where) => receiver.move(socket, ...where),
      }),
      receiver.onWarning((error) => this.#warn(error)),
    );
    if (!cluster.isWorker) return;
    const onOwn = () => this.#onOwn();
    if (routed.isOwn()) onOwn();
    else routed.once("own", onOwn);
    this.#releases.push(() => routed.off("own", onOwn));
  }

  stats(): WorkerProcessStats {
    return this.#receiver.stats();
  }

  isOpen(): boolean {
    return this.#closed === undefined;
  }

  close(): Promise<void> {
    return this.#close(0);
  }

  drain(options?: DrainOptions): Promise<void> {
    const { timeoutMs } = resolveDrainOptions(options);
    this.#drained ??= this.#drain(timeoutMs);
    return this.#drained;
  }

  #close(idleMs: number): Promise<void> {
    this.#closed ??= this.#receiver.close(this.#name, this.#routed, idleMs);
    return this.#closed;
  }

  async #drain(timeoutMs: number): Promise<void> {
    const requestsTime = new Deadline(REQUESTS_SHARE * timeoutMs);
    const clientsTime = new Deadline(CLIENTS_SHARE * timeoutMs);
    const allTime = new Deadline(timeoutMs);
    void allTime.passed.then(() => this.#routed.cut());
    try {
      await this.#close(Math.min(IDLE_SHARE * timeoutMs, MAX_IDLE_MS));
      // Requests may have something to tell the clients yet.
      await Promise.race([this.#routed.requestsDone(), requestsTime.passed]);
      this.#receiver.owners.leaveRelays(this.#name);
      // Clients may be about to send something, also those of other workers' sessions through this one.
      await Promise.race([this.#routed.idleOver(), requestsTime.passed]);
      await this.#tellClients(clientsTime);
      const closed = this.#closeServer();
      // Over the last connections, clients may have begun sessions, of which they ask by way of other workers.
      this.#routed.staysFor(closed.then(() => this.#tellClients(clientsTime)));
      await closed;
      await this.#routed.closed;
      await Promise.race([this.#receiver.departed, allTime.passed]);
    } finally {
      requestsTime.cancel();
      clientsTime.cancel();
      allTime.cancel();
    }
  }

  /** Closes the Socket.IO server; settles when its HTTP server is closed, for which older ones wait only to call back. */
  #closeServer(): Promise<void> {
    // What the application's listeners throw at the end of their clients would end `io.close()` half-way.
    this.#sessions.cut();
    return new Promise((resolve, reject) => {
      this.#io.close(() => resolve()).catch(reject);
    });
  }

  /** Waits until all clients have heard of the end, as long as one may take from one poll to the next. */
  async #tellClients(clientsTime: Deadline): Promise<void> {
    const pollTime = new Deadline(NEXT_POLL_MS);
    await Promise.race([this.#sessions.close(), pollTime.passed, clientsTime.passed]);
    pollTime.cancel();
  }

  /** There is no router. */
  #onOwn(): void {
    const timer = setTimeout(() => this.#checkListening(), LISTEN_MS).unref();
    this.#releases.push(() => clearTimeout(timer), drainBeforeEnd(this));
  }

  #checkListening(): void {
    if (!this.#routed.isIdle()) return;
    const text =
      `Nobody can reach the server "${this.#name}" of worker ${cluster.worker?.id}: the primary has no router of that ` +
      "name, and the server does not listen. Call httpServer.listen(port) here, or setupPrimary(server) in the primary.";
    this.#warn(new HoldfastError("HOLDFAST_ERR_NOT_LISTENING", text));
  }

  /** Where nobody listens, Node.js prints it. */
  #warn(warning: HoldfastError): void {
    if (this.listenerCount("warning") > 0) this.emit("warning", warning);
    else process.emitWarning(warning);
  }

  /** Gives the engine back as it was: when its server is closed. Open sessions need it until then. */
  undo(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}

/**
 * Lets every request reach the worker that holds its session. `io` must be attached to an HTTP server of this process.
 *
 * With a router in the primary, this server gets connections from it from then on. It counts as listening where the
 * router's does: there is no need to call `listen()`, and doing so opens no port. Without one, call `listen()`, before or
 * after: the workers that listen find each other by themselves. Outside a cluster, where there are no other workers,
 * nothing is different from a server that is not set up. With several Socket.IO servers, call it for each.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` in a worker thread
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_ATTACHED` if `io` is not attached to a server yet
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` if it was called for this `io` before, or if another
 *   server of the process has the same name
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 */
export function setupWorker(io: SocketIoServer, options?: WorkerOptions): StickyWorker {
  mainThreadOnly("setupWorker");
  const given: Partial<SocketIoServer> = Object(io);
  const engine: Engine | undefined = given.engine;
  const httpServer: unknown = given.httpServer;
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

/**
 * A process manager that ends a process sends a signal; without a router, nobody else tells the clients to go elsewhere.
 * Returns the function that undoes it.
 */
function drainBeforeEnd(setup: Setup): () => void {
  gathered.setups.add(setup);
  gathered.release ??= beforeEndBySignal(async () => {
    const killTimeoutMs = Number(process.env.kill_timeout) || KILL_TIMEOUT_MS;
    const timeout = Math.floor(SIGNAL_SHARE * killTimeoutMs);
    await Promise.allSettled([...gathered.setups].map((each) => each.drain({ timeout })));
  });
  return () => {
    gathered.setups.delete(setup);
    if (gathered.setups.size > 0) return;
    gathered.release?.();
    gathered.release = undefined;
  };
}
