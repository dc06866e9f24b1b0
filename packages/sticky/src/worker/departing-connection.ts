/**
 * A client's connection that leads to another worker's session, as it moves to another worker with it: for its client, it is
 * the session. Owns: nothing. Runs in: workers.
 */
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { isCarried } from "../handle/carried-socket.js";
import type { MovableSession } from "../moves.js";
import { type StreamToken, TOKEN_BYTES } from "../wire/link-frame.js";
import { encodeTicket } from "../wire/stream-ticket.js";
import type { RelayedConnection } from "./relayed-connection.js";

export function newToken(): StreamToken {
  return randomBytes(TOKEN_BYTES).toString("base64url");
}

export class DepartingConnection implements MovableSession {
  readonly id: string;
  readonly #connection: RelayedConnection;
  readonly #way: string | undefined;
  #token = "";

  /** @param way which workers the owner is one of; `undefined` if another worker does not find it */
  constructor(id: string, connection: RelayedConnection, way: string | undefined) {
    this.id = id;
    this.#connection = connection;
    this.#way = way;
  }

  get socket(): Duplex {
    return this.#connection.client;
  }

  get obstacle(): string | undefined {
    return this.#way !== undefined && isCarried(this.#connection.client) ? undefined : "relayed";
  }

  /**
   * @param isWanted whether it is still to move when its owner has answered
   * @returns the ticket of its stream
   */
  async depart(_worker: number, isWanted = () => true): Promise<Uint8Array | undefined> {
    const connection = this.#connection;
    if (this.#way === undefined || !(await connection.hold())) return undefined;
    const unsent = isWanted() ? connection.takeOut() : undefined;
    if (!unsent) {
      connection.release();
      return undefined;
    }
    this.#token = newToken();
    const { owner } = connection;
    return encodeTicket({ end: "relay", token: this.#token, way: this.#way, owner, unsent });
  }

  onLeft(): void {
    this.#connection.moveAway(this.#token);
  }

  onLost(): void {
    this.#connection.cut();
  }

  close(): void {
    this.#connection.leave();
  }

  cut(): void {
    this.#connection.cut();
  }
}
