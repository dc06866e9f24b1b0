/**
 * A server of this process whose connections the router brings, or which listens itself. To the application it is one
 * that listens: `listening`, `address()`, `listen()`, `close()` and all that waits for connections are as Node.js has them.
 * Owns: its listening, the connections, the end of keep-alive. Runs in: workers, and processes without a cluster.
 */
import { EventEmitter } from "node:events";
import type { Server as NetServer, Socket } from "node:net";
import { runApplication } from "../faults.js";
import { CarriedSocket } from "../handle/carried-socket.js";
import {
  adoptHandle,
  answersInProgress,
  type Handle,
  idleConnections,
  isQuiet,
  trackHttpConnections,
} from "../handle/node-internals.js";
import { untilNone } from "../until-none.js";
import type { ListenAddress } from "../wire/messages.js";
import { KeepAlive } from "./keep-alive.js";
import { Listening } from "./listening.js";

export interface WorkerServerEvents {
  /** The router can bring connections, which it could not before. */
  prepared: [];
  /** There is no router: it listens itself, or nobody reaches it. */
  own: [];
  /** A connection has come that the router has not brought. */
  accepted: [];
  /** A connection is closed. */
  ended: [isBrought: boolean];
  /** The application closes it: it takes no more connections. */
  closing: [];
  /** It and all its connections are closed, and nobody has anything left to say over those of other workers. */
  closed: [];
}

/** How long an idle connection of a client that polls has for one more request. */
const IDLE_MS = 1_000;
/** How long a worker that has no sessions any more waits for the next one of its connections to end. */
const CONNECTIONS_MS = 3_000;

/** A Socket.IO server on the server. */
export interface Attached {
  /** Requests whose target starts with it are Socket.IO's. */
  readonly path: string;
}

export class WorkerServer extends EventEmitter<WorkerServerEvents> {
  readonly server: NetServer;
  /** Settles when it and all its connections are closed. */
  readonly closed: Promise<void>;
  readonly #listening: Listening;
  readonly #keepAlive: KeepAlive;
  readonly #sockets = new Set<Socket>();
  readonly #brought = new WeakSet<Socket>();
  readonly #attached = new Set<Attached>();
  /** One for all connections: each closure, and each listener after the second, would take memory. */
  readonly #onSocketClosed: (this: Socket) => void;
  // open → closing → closed
  #state: "open" | "closing" | "closed" = "open";
  /** It gets no more connections, so that its keep-alive has ended for good. */
  #hasLeft = false;
  /** What has to be over before it counts as closed. */
  readonly #lastWords: Promise<unknown>[] = [];

  /** @param hasRouter settles when it is known whether the primary has a router; `undefined` outside a cluster */
  constructor(server: NetServer, hasRouter: (() => Promise<boolean>) | undefined) {
    super();
    // One for each Socket.IO server on it.
    this.setMaxListeners(0);
    this.server = server;
    const worker = this;
    this.#onSocketClosed = function () {
      worker.#sockets.delete(this);
      worker.emit("ended", worker.#brought.has(this));
    };
    this.closed = new Promise((resolve) => void this.once("closed", resolve));
    this.#keepAlive = new KeepAlive(server);
    if (hasRouter) trackHttpConnections(server);
    // First: when a listener of the application throws, Node.js calls none after it.
    server.prependListener("connection", this.#onConnection);
    server.prependOnceListener("close", this.#onClosed);
    this.#listening = new Listening(server, {
      hasRouter,
      onPrepared: () => this.emit("prepared"),
      onOwn: () => this.emit("own"),
      onClosing: () => this.#onClosing(),
    });
  }

  /** See {@link Listening.decide}. */
  decide(): void {
    this.#listening.decide();
  }

  /** Whether a router can bring connections. */
  isPrepared(): boolean {
    return this.#listening.isPrepared();
  }

  /** Whether there is no router. */
  isOwn(): boolean {
    return this.#listening.isOwn();
  }

  /** Whether nobody brings connections, nor does it listen itself. */
  isIdle(): boolean {
    return this.#state === "open" && this.isOwn() && !this.server.listening;
  }

  /** @param head what was read of the connection */
  accept(handle: Handle, head: string, prepare: (socket: Socket) => void): void {
    const socket = adoptHandle(handle, this.server, CarriedSocket);
    this.#add(socket, true);
    prepare(socket);
    runApplication(() => this.server.emit("connection", socket));
    if (head.length > 0) socket.unshift(Buffer.from(head, "latin1"));
  }

  /** Takes a connection that is no new one: the server counts it, and hears nothing of it. */
  carry(handle: Handle): Socket {
    const socket = adoptHandle(handle, this.server, CarriedSocket);
    // Until the session is up, nobody else listens.
    socket.on("error", () => {});
    this.#add(socket, true);
    return socket;
  }

  /** There is a router; its server listens there, if it does. */
  onRouter(address: ListenAddress | undefined): void {
    this.#listening.onRouter(address);
  }

  /**
   * It gets no more connections: those that are idle are closed, the others after their answers.
   * @param idleMs how long idle ones have for one more request
   */
  leave(idleMs = 0): void {
    this.#hasLeft = true;
    this.#listening.retire();
    this.#keepAlive.end(idleMs);
  }

  /**
   * Clients do not come back over the connections that they have.
   * @param passOn gives an idle connection to another worker: it cannot be closed while a client may just be sending a
   *   request over it
   */
  endKeepAlive(passOn: (socket: Socket) => void): void {
    this.#keepAlive.end(IDLE_MS);
    for (const socket of idleConnections(this.server)) {
      if (this.#brought.has(socket) && isQuiet(socket)) passOn(socket);
    }
  }

  /** They may, unless it has left meanwhile. */
  resumeKeepAlive(): void {
    if (!this.#hasLeft) this.#keepAlive.resume();
  }

  /** It gets connections again. */
  rejoin(): void {
    this.#hasLeft = false;
    this.#listening.rejoin();
    this.#keepAlive.resume();
  }

  /** Returns the function that takes it back. */
  attach(attached: Attached): () => void {
    this.#attached.add(attached);
    return () => void this.#attached.delete(attached);
  }

  /** Waits until no answer is in progress but Socket.IO's, whose long polls only end with their clients. */
  requestsDone(): Promise<void> {
    return this.#keepAlive.requestsDone((target) => {
      for (const { path } of this.#attached) if (target.startsWith(path)) return false;
      return true;
    });
  }

  /**
   * Waits until no answer is in progress and no connection is open, or until none has ended for some seconds.
   * @param passOn as for {@link endKeepAlive}
   */
  async connectionsDone(passOn: (socket: Socket) => void): Promise<void> {
    // What other workers have sent before they heard of the successor may be here, and not be read yet.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const open = () => this.#sockets.size + answersInProgress(this.server).length;
    await untilNone(open, CONNECTIONS_MS, () => this.endKeepAlive(passOn));
  }

  /** Whom other workers ask for, until `words` settle, finds the server, even when its own connections are closed. */
  staysFor(words: Promise<unknown>): void {
    // Whoever says them hears of what goes wrong.
    this.#lastWords.push(words.catch(() => {}));
  }

  /** Waits until no idle connection has time left. */
  idleOver(): Promise<void> {
    return this.#keepAlive.idleOver();
  }

  /** Cuts all connections off. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  readonly #onConnection = (socket: Socket): void => {
    if (!this.#brought.has(socket)) this.#add(socket, false);
  };

  #add(socket: Socket, isBrought: boolean): void {
    this.#sockets.add(socket);
    if (isBrought) this.#brought.add(socket);
    else this.emit("accepted");
    socket.on("close", this.#onSocketClosed);
  }

  #onClosing(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.emit("closing");
    this.leave();
  }

  readonly #onClosed = (): void => {
    this.#onClosing();
    if (this.#lastWords.length === 0) this.#close();
    else void Promise.all(this.#lastWords).then(() => this.#close());
  };

  #close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#keepAlive.release();
    this.server.off("connection", this.#onConnection);
    this.#listening.release();
    this.emit("closed");
  }
}
