/**
 * Clients at work over long polling: over which connections their next request is to be expected. It would fail on one
 * that was just being closed.
 * Owns: what it knows of connections that are open. Runs in: workers, and processes without a cluster.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { monotonicMs } from "../clock.js";

/** A client that has not polled for so long has gone, or uses another transport now. */
const NEXT_POLL_MS = 5_000;
/** A client that has sent something sends more in so long, or has nothing to send for now. */
const NEXT_REQUEST_MS = 1_000;

/** A client, as its session's requests show it. */
interface Poller {
  /** Which carried its latest requests, and nothing else since, with when that was. It may take several by turns. */
  readonly connections: Map<Socket, number>;
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
  onRequest(
    sessionId: string,
    { method, socket, httpVersionMajor }: IncomingMessage,
    response: ServerResponse,
  ): void {
    // An HTTP/2 connection ends with a word of its own, and has another socket for each request.
    if (httpVersionMajor > 1) return;
    const poller = this.#assign(socket, sessionId);
    const isPoll = method === "GET";
    if (isPoll) poller.waiting++;
    response.once("close", () => {
      const now = monotonicMs();
      if (poller.connections.has(socket)) poller.connections.set(socket, now);
      if (!isPoll) return;
      poller.waiting--;
      poller.answeredAt = now;
    });
  }

  /** Connections over which a request may come at any moment. */
  awaited(): Set<Socket> {
    const now = monotonicMs();
    const awaited = new Set<Socket>();
    for (const { connections, waiting, answeredAt } of this.#bySession.values()) {
      const isBetweenPolls = waiting === 0 && now - answeredAt <= NEXT_POLL_MS;
      for (const [connection, usedAt] of connections) {
        if (isBetweenPolls || now - usedAt <= NEXT_REQUEST_MS) awaited.add(connection);
      }
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
      poller = { connections: new Map(), waiting: 0, answeredAt: Number.NEGATIVE_INFINITY };
      this.#bySession.set(sessionId, poller);
    }
    poller.connections.set(socket, monotonicMs());
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
