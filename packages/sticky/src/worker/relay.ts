/**
 * Relays requests to the worker that owns their session.
 * Owns: the links to the owners, and each relayed request until its answer is complete. Runs in: workers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { channels } from "../diagnostics.js";
import type { MovableSession } from "../moves.js";
import type { RelayTicket } from "../wire/stream-ticket.js";
import { DepartingConnection } from "./departing-connection.js";
import { LinkStream } from "./link-stream.js";
import { OwnerLinks, type OwnerLinksHost } from "./owner-links.js";
import { RelayedConnection } from "./relayed-connection.js";
import { type AnswerHere, RelayedRequest } from "./relayed-request.js";
import { isRelayed, whenLeaving } from "./relayed-socket.js";
import { RelayedUpgrade } from "./relayed-upgrade.js";

/** Of the process: they are told apart by it, whichever way they have gone. */
let lastConnection = 0;

/** The workers that a relay leads to. */
export interface RelayPlace {
  /** Name of the host that has them; `undefined` if it is this one. */
  readonly hostName?: string;
  /** By which other workers of the router find the relay to them: {@link Owners.relayOf}; `undefined` if they do not. */
  readonly way: string | undefined;
}

export class Relay {
  readonly #links: OwnerLinks;
  readonly #onRelayed: () => void;
  readonly #place: RelayPlace;
  readonly #requests = new Set<RelayedRequest>();
  /** On their way to their owners. */
  readonly #upgrades = new Set<RelayedUpgrade>();
  readonly #connections = new Map<string, RelayedConnection>();
  /** Names of servers that end. */
  readonly #leaving = new Set<string>();

  /** @param onRelayed is called for each request that is passed on */
  constructor(host: OwnerLinksHost, onRelayed: () => void, place: RelayPlace) {
    this.#links = new OwnerLinks(host);
    this.#onRelayed = onRelayed;
    this.#place = place;
  }

  /**
   * Sends `request` to its owner and the answer to the client, at the pace of the slower side.
   * @param name of the server that it came to
   */
  request(
    owner: number,
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
    here: AnswerHere,
  ): void {
    const link = this.#links.to(owner);
    const onRelayed = () => this.#count(name, owner, "request");
    const relayed = new RelayedRequest(link, name, request, response, onRelayed, here);
    this.#requests.add(relayed);
    response.prependOnceListener("close", () => this.#requests.delete(relayed));
    if (this.#leaving.has(name)) relayed.leave();
    // The worker that has sent it here may end as well.
    if (isRelayed(request.socket)) {
      response.prependOnceListener(
        "close",
        whenLeaving(request.socket, () => relayed.leave()),
      );
    }
    relayed.start();
  }

  /** Sends an upgrade to its owner and passes all bytes on from then, in both directions. */
  upgrade(
    owner: number,
    name: string,
    request: IncomingMessage,
    client: Duplex,
    head: Buffer,
    here: () => void,
  ): void {
    const link = this.#links.to(owner);
    let leave = () => relayed.leave();
    const onJoined = (stream: LinkStream) => {
      this.#upgrades.delete(relayed);
      this.#count(name, owner, "upgrade");
      const connection = new RelayedConnection({ name, client, stream, owner }, this.#linkTo);
      leave = () => connection.leave();
      this.#keep(connection);
    };
    const relayed: RelayedUpgrade = new RelayedUpgrade(link, name, request, client, head, onJoined, here);
    this.#upgrades.add(relayed);
    client.prependOnceListener("close", () => this.#upgrades.delete(relayed));
    // The worker that has sent it here may end as well.
    if (isRelayed(client)) {
      client.prependOnceListener(
        "close",
        whenLeaving(client, () => leave()),
      );
    }
    if (this.#leaving.has(name)) relayed.leave();
    else relayed.start();
  }

  /**
   * Goes on with a connection that has led to another worker's session at a worker that has given it away.
   * @returns whether the owner has its stream
   */
  resume(name: string, client: Duplex, { token, owner, unsent }: RelayTicket): Promise<boolean> {
    const stream = new LinkStream(undefined);
    if (unsent.length > 0) stream.write(unsent);
    const connection = new RelayedConnection({ name, client, stream, owner }, this.#linkTo, true);
    this.#keep(connection);
    if (this.#leaving.has(name)) connection.leave();
    return connection.resume(token);
  }

  /** Connections of that name that lead to sessions of other workers: for those clients, they are their sessions. */
  carried(name: string): MovableSession[] {
    return [...this.#connections]
      .filter(([, connection]) => connection.name === name && !connection.isOver)
      .map(([id, connection]) => new DepartingConnection(id, connection, this.#place.way));
  }

  /** A server of that name begins; one that ended may have had it before. */
  enter(name: string): void {
    this.#leaving.delete(name);
  }

  /** A server of this worker ends: its clients have to reach the owners of their sessions by another worker. */
  leave(name: string): void {
    this.#leaving.add(name);
    const all = [...this.#requests, ...this.#upgrades, ...this.#connections.values()];
    for (const each of all) if (each.name === name) each.leave();
  }

  /** Lets what is on its way be finished. @param cutAfterMs for how long; without it, as long as it takes */
  close(cutAfterMs?: number): void {
    this.#links.close(cutAfterMs);
  }

  readonly #linkTo = (owner: number) => this.#links.to(owner);

  #keep(connection: RelayedConnection): void {
    const id = `relayed ${++lastConnection}`;
    this.#connections.set(id, connection);
    connection.client.prependOnceListener("close", () => this.#connections.delete(id));
  }

  #count(name: string, owner: number, what: "request" | "upgrade"): void {
    this.#onRelayed();
    if (channels.relay.hasSubscribers)
      channels.relay.publish({ name, owner, host: this.#place.hostName, what });
  }
}
