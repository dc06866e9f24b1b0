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

/** The id of its session, or, until it names that, the connection over which it has asked for one. */
type Client = string | Socket;

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
  readonly #byClient = new Map<Client, Poller>();
  /** Whose requests a connection carried last. */
  readonly #clientOn = new Map<Socket, Client>();

  /** A request of that session has come; `undefined` if it asks for a new one. */
  onRequest(
    sessionId: string | undefined,
    { method, socket, httpVersionMajor }: IncomingMessage,
    response: ServerResponse,
  ): void {
    // An HTTP/2 connection ends with a word of its own, and has another socket for each request.
    if (httpVersionMajor > 1) return;
    const poller = this.#assign(socket, sessionId ?? socket);
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
    for (const { connections, waiting, answeredAt } of this.#byClient.values()) {
      const isBetweenPolls = waiting === 0 && now - answeredAt <= NEXT_POLL_MS;
      for (const [connection, usedAt] of connections) {
        if (isBetweenPolls || now - usedAt <= NEXT_REQUEST_MS) awaited.add(connection);
      }
    }
    return awaited;
  }

  #assign(socket: Socket, client: Client): Poller {
    const before = this.#clientOn.get(socket);
    if (before === undefined) socket.once("close", () => this.#forget(socket));
    else if (before !== client) this.#remove(socket, before);
    this.#clientOn.set(socket, client);
    let poller = this.#byClient.get(client);
    if (!poller) {
      poller = { connections: new Map(), waiting: 0, answeredAt: Number.NEGATIVE_INFINITY };
      this.#byClient.set(client, poller);
    }
    poller.connections.set(socket, monotonicMs());
    return poller;
  }

  #forget(socket: Socket): void {
    const client = this.#clientOn.get(socket);
    if (client !== undefined) this.#remove(socket, client);
    this.#clientOn.delete(socket);
  }

  #remove(socket: Socket, client: Client): void {
    const connections = this.#byClient.get(client)?.connections;
    connections?.delete(socket);
    if (connections?.size === 0) this.#byClient.delete(client);
  }
}
