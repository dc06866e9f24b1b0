/**
 * Keep-alive of a server's connections, and its end: no more requests come over them than are on their way.
 * Owns: listeners of the server; the HTTP/2 sessions and streams, of which Node.js has no list. Runs in: workers.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type {
  Http2ServerResponse,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from "node:http2";
import type { Server as NetServer, Socket } from "node:net";
import { CarriedSocket } from "../handle/carried-socket.js";
import {
  answersInProgress,
  endConnectionAfter,
  idleConnections,
  silentConnections,
} from "../handle/node-internals.js";

/** Events with which a server gives a request to the application. The last two only if it wants them. */
const REQUEST_EVENTS = ["request", "checkContinue", "checkExpectation"] as const;

export class KeepAlive {
  readonly #server: NetServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** With their request targets. */
  readonly #streams = new Map<ServerHttp2Stream, string>();
  /** Connections that have time for one more request, or for their first. */
  readonly #waiting = new Set<Socket>();
  /** Over these, nothing had come when {@link #timer} went last. */
  #silent = new Set<Socket>();
  /** Until they are closed. */
  #timer: NodeJS.Timeout | undefined;
  #reading: NodeJS.Immediate | undefined;
  readonly #onIdleOver: (() => void)[] = [];
  // on ⇄ ending; on, ending → released
  #state: "on" | "ending" | "released" = "on";

  /** The server must not have connections yet. */
  constructor(server: NetServer) {
    this.#server = server;
    // First, here and below: when a listener of the application throws, Node.js calls none after it.
    server.prependListener("session", this.#onSession);
  }

  /**
   * Closes all connections after the answers that are in progress or still asked for.
   * @param idleMs how much time idle ones have for one more request, milliseconds: it fails if they are just being closed,
   *   and what the end tells clients makes them ask, over any connection that they keep. Those that have brought nothing at
   *   all have it as well: browsers open some in advance, and never use them. With 0, idle ones are closed when what has come was
   *   read, and the silent are left to the server's `headersTimeout`.
   */
  end(idleMs: number): void {
    if (this.#state === "on") this.#begin();
    // Whoever has ended it before has given no time, or as much.
    if (this.#state !== "ending" || this.#timer) return;
    if (idleMs === 0) return this.#afterReading();
    this.#noteSilent();
    for (const connection of idleConnections(this.#server)) this.#wait(connection);
    for (const connection of this.#silent) this.#wait(connection);
    // Some may be on their way here yet.
    this.#timer = setInterval(() => this.#afterReading(), idleMs).unref();
  }

  #begin(): void {
    this.#state = "ending";
    for (const event of REQUEST_EVENTS) {
      if (this.#server.listenerCount(event) > 0) this.#server.prependListener(event, this.#onLastRequest);
    }
    for (const answer of answersInProgress(this.#server)) endConnectionAfter(answer);
    for (const session of this.#sessions) session.close();
  }

  /** Undoes {@link end} for the requests to come. */
  resume(): void {
    if (this.#state !== "ending") return;
    this.#state = "on";
    clearInterval(this.#timer);
    clearImmediate(this.#reading);
    this.#timer = undefined;
    this.#reading = undefined;
    this.#silent.clear();
    this.#endIdle();
    for (const event of REQUEST_EVENTS) this.#server.off(event, this.#onLastRequest);
  }

  /** Waits until no answer is in progress to a request that counts. */
  async requestsDone(counts: (target: string) => boolean): Promise<void> {
    for (let next = this.#find(counts); next; next = this.#find(counts)) {
      const waiting: NodeJS.EventEmitter = next;
      await new Promise<void>((resolve) => waiting.prependOnceListener("close", () => resolve()));
    }
  }

  release(): void {
    this.resume();
    this.#state = "released";
    this.#server.off("session", this.#onSession);
  }

  /** Waits until the idle connections that had time have brought their request and are closed, or the time is over. */
  async idleOver(): Promise<void> {
    if (this.#waiting.size === 0) return;
    await new Promise<void>((resolve) => void this.#onIdleOver.push(resolve));
  }

  #wait(connection: Socket): void {
    this.#waiting.add(connection);
    connection.prependOnceListener("close", () => {
      if (this.#waiting.delete(connection) && this.#waiting.size === 0) this.#endIdle();
    });
  }

  /** Closes what is idle when all has been read that came until now: some may have waited while this process was busy. */
  #afterReading(): void {
    this.#reading ??= setImmediate(() => {
      this.#reading = setImmediate(() => {
        this.#reading = undefined;
        this.#closeIdle();
      });
    });
  }

  #closeIdle(): void {
    for (const connection of idleConnections(this.#server)) connection.destroy();
    const before = this.#silent;
    this.#noteSilent();
    for (const connection of this.#silent) if (before.has(connection)) connection.destroy();
    this.#endIdle();
  }

  /** What the router brings has said something: the router has read it. */
  #noteSilent(): void {
    const silent = silentConnections(this.#server);
    this.#silent = new Set(silent.filter((connection) => !(connection instanceof CarriedSocket)));
  }

  #endIdle(): void {
    this.#waiting.clear();
    for (const resolve of this.#onIdleOver.splice(0)) resolve();
  }

  #find(counts: (target: string) => boolean): NodeJS.EventEmitter | undefined {
    for (const [stream, target] of this.#streams) if (counts(target)) return stream;
    return answersInProgress(this.#server).find(({ req }) => counts(req.url ?? ""));
  }

  readonly #onSession = (session: ServerHttp2Session): void => {
    this.#sessions.add(session);
    session.prependOnceListener("close", () => this.#sessions.delete(session));
    session.prependListener("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      this.#streams.set(stream, String(headers[":path"]));
      stream.prependOnceListener("close", () => this.#streams.delete(stream));
    });
    if (this.#state === "ending") session.close();
  };

  readonly #onLastRequest = (
    _request: IncomingMessage,
    response: ServerResponse | Http2ServerResponse,
  ): void => {
    if (response instanceof ServerResponse) endConnectionAfter(response);
  };
}
