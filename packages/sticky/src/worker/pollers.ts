/**
 * Clients between two polls: over which connections their next poll is to be expected. It would fail on one that was
 * just being closed.
 * Owns: what it knows of connections that are open. Runs in: workers, and processes without a cluster.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { monotonicMs } from "../clock.js";

/** A client that has not polled for so long has gone, or uses another transport now. */
const NEXT_POLL_MS = 5_000;

/** A client, as its session's requests show it. */
interface Poller {
  /** Which carried its latest requests, and nothing else since. A client may take several by turns. */
  readonly connections: Set<Socket>;
  /** How many polls wait for their answer. */
  waiting: number;
  /** When the last one was answered. */
  answeredAt: number;
}

export class Pollers {
  readonly #bySession = new Map<string, Poller>();
  /** Whose requests a connection carried last. */
  readonly #sessionOn = new Map<Socket, string>();

  /** A request of that session has come. */
  onRequest(sessionId: string, request: IncomingMessage, response: ServerResponse): void {
    // An HTTP/2 connection ends with a word of its own, and has another socket for each request.
    if (request.httpVersionMajor > 1) return;
    const poller = this.#assign(request.socket, sessionId);
    if (request.method !== "GET") return;
    poller.waiting++;
    response.once("close", () => {
      poller.waiting--;
      poller.answeredAt = monotonicMs();
    });
  }

  /** Connections over which a poll may come at any moment. */
  awaited(): Set<Socket> {
    const since = monotonicMs() - NEXT_POLL_MS;
    const awaited = new Set<Socket>();
    for (const { connections, waiting, answeredAt } of this.#bySession.values()) {
      if (waiting > 0 || answeredAt < since) continue;
      for (const connection of connections) awaited.add(connection);
    }
    return awaited;
  }

  #assign(socket: Socket, sessionId: string): Poller {
    const before = this.#sessionOn.get(socket);
    if (before === undefined) socket.once("close", () => this.#forget(socket));
    else if (before !== sessionId) this.#remove(socket, before);
    this.#sessionOn.set(socket, sessionId);
    let poller = this.#bySession.get(sessionId);
    if (!poller) {
      poller = { connections: new Set(), waiting: 0, answeredAt: Number.NEGATIVE_INFINITY };
      this.#bySession.set(sessionId, poller);
    }
    poller.connections.add(socket);
    return poller;
  }

  #forget(socket: Socket): void {
    const sessionId = this.#sessionOn.get(socket);
    if (sessionId !== undefined) this.#remove(socket, sessionId);
    this.#sessionOn.delete(socket);
  }

  #remove(socket: Socket, sessionId: string): void {
    const connections = this.#bySession.get(sessionId)?.connections;
    connections?.delete(socket);
    if (connections?.size === 0) this.#bySession.delete(sessionId);
  }
}
