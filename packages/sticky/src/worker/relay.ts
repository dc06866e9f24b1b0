/**
 * Relays requests to the worker that owns their session.
 * Owns: the links to the owners, and each relayed request until its answer is complete. Runs in: workers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { channels } from "../diagnostics.js";
import type { MovableSession } from "../moves.js";
import { OwnerLinks, type OwnerLinksHost } from "./owner-links.js";
import { type AnswerHere, RelayedRequest } from "./relayed-request.js";
import { isRelayed, whenLeaving } from "./relayed-socket.js";
import { RelayedUpgrade } from "./relayed-upgrade.js";
import { unmovable } from "./unmovable.js";

/** Of the process: they are told apart by it, whichever way they have gone. */
let lastUpgrade = 0;

export class Relay {
  readonly #links: OwnerLinks;
  readonly #onRelayed: () => void;
  readonly #hostName: string | undefined;
  readonly #requests = new Set<RelayedRequest>();
  readonly #upgrades = new Map<string, RelayedUpgrade>();
  /** Names of servers that end. */
  readonly #leaving = new Set<string>();

  /**
   * @param onRelayed is called for each request that is passed on
   * @param hostName name of the host that has the owners; `undefined` if it is this one
   */
  constructor(host: OwnerLinksHost, onRelayed: () => void, hostName?: string) {
    this.#links = new OwnerLinks(host);
    this.#onRelayed = onRelayed;
    this.#hostName = hostName;
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
    response.once("close", () => this.#requests.delete(relayed));
    if (this.#leaving.has(name)) relayed.leave();
    // The worker that has sent it here may end as well.
    if (isRelayed(request.socket)) {
      response.once(
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
    const onRelayed = () => this.#count(name, owner, "upgrade");
    const relayed = new RelayedUpgrade(link, name, request, client, head, onRelayed, here);
    const id = `relayed ${++lastUpgrade}`;
    this.#upgrades.set(id, relayed);
    client.once("close", () => this.#upgrades.delete(id));
    if (isRelayed(client)) {
      client.once(
        "close",
        whenLeaving(client, () => relayed.leave()),
      );
    }
    if (this.#leaving.has(name)) relayed.leave();
    else relayed.start();
  }

  /** Connections of that name that lead to sessions of other workers: for those clients, they are their sessions. */
  carried(name: string): MovableSession[] {
    return [...this.#upgrades]
      .filter(([, upgrade]) => upgrade.name === name && upgrade.isJoined)
      .map(([id, upgrade]) =>
        unmovable(
          id,
          "relayed",
          () => upgrade.leave(),
          () => upgrade.cut(),
        ),
      );
  }

  /** A server of that name begins; one that ended may have had it before. */
  enter(name: string): void {
    this.#leaving.delete(name);
  }

  /** A server of this worker ends: its clients have to reach the owners of their sessions by another worker. */
  leave(name: string): void {
    this.#leaving.add(name);
    for (const each of [...this.#requests, ...this.#upgrades.values()]) if (each.name === name) each.leave();
  }

  /** Lets what is on its way be finished. @param cutAfterMs for how long; without it, as long as it takes */
  close(cutAfterMs?: number): void {
    this.#links.close(cutAfterMs);
  }

  #count(name: string, owner: number, what: "request" | "upgrade"): void {
    this.#onRelayed();
    if (channels.relay.hasSubscribers) channels.relay.publish({ name, owner, host: this.#hostName, what });
  }
}
