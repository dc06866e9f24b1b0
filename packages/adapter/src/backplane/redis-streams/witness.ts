/**
 * Sees in Redis that the process of another host has ended: the connection that it had there has ended as well.
 * Owns: which connections of others were seen. Runs in: where the hub is, one for each membership.
 *
 * Redis numbers connections. Only one that was seen by this host's own connection can be missed by it: behind a proxy, or
 * after a failover, Redis does not know those of others. Users of Redis may be denied the commands; then nothing is seen,
 * and a host that is silent has its lease.
 */
import type { Connection } from "./connection.js";
import type { Keys } from "./keys.js";
import { listOf, textOf } from "./replies.js";

export class Witness {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #deadlineMs: number;
  /** By the hosts' names. */
  readonly #seen = new Map<string, string>();
  // asking → denied
  #state: "asking" | "denied" = "asking";

  constructor(connection: Connection, keys: Keys, deadlineMs: number) {
    this.#connection = connection;
    this.#keys = keys;
    this.#deadlineMs = deadlineMs;
  }

  /** The number of this host's own connection; empty if this user may not know. */
  async ownId(): Promise<string> {
    const id = await this.#ask(["CLIENT", "ID"]);
    return typeof id === "number" ? String(id) : "";
  }

  /** Has the connections of all hosts seen as long as they are there. */
  async lookAround(): Promise<void> {
    if (this.#state === "denied") return;
    const hosts = await this.#ask(["SMEMBERS", this.#keys.hosts]);
    await this.look(listOf(hosts).map(textOf));
  }

  /**
   * Looks at the connections of these hosts.
   * @returns those that have ended, by the hosts' names
   */
  async look(hosts: readonly string[]): Promise<Map<string, string>> {
    const ended = new Map<string, string>();
    if (this.#state === "denied" || hosts.length === 0) return ended;
    const ids = await this.#idsOf(hosts);
    if (ids.size === 0) return ended;
    const list = await this.#ask(["CLIENT", "LIST", "ID", ...ids.values()]);
    if (typeof list !== "string" && !Buffer.isBuffer(list)) return ended;
    const living = new Set([...textOf(list).matchAll(/^id=(\d+)/gm)].map(([, id]) => id));
    for (const [host, id] of ids) {
      if (living.has(id)) this.#seen.set(host, id);
      else if (this.#seen.get(host) === id) ended.set(host, id);
    }
    return ended;
  }

  async #idsOf(hosts: readonly string[]): Promise<Map<string, string>> {
    const replies = await Promise.all(hosts.map((host) => this.#ask(["HGET", this.#keys.host(host), "cid"])));
    const ids = hosts.map((host, i): [string, string] => [host, textOf(replies[i])]);
    return new Map(ids.filter(([, id]) => /^\d+$/.test(id)));
  }

  /** `undefined` if this user may not, or Redis answers with another error. */
  async #ask(command: string[]): Promise<unknown> {
    try {
      return await this.#connection.command(command, this.#deadlineMs);
    } catch (error) {
      if (!this.#connection.isOpen) throw error;
      this.#state = "denied";
      return undefined;
    }
  }
}
