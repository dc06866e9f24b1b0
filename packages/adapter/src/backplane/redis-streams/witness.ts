/**
 * Sees in Redis that the process of another host has ended: the connection that it had there has ended as well.
 * Owns: which connections of others were seen. Runs in: where the hub is, one for each membership.
 *
 * Redis numbers connections, and another server gives the same numbers to others: so the other end's address is a part
 * of a connection's name. Only one that was seen by this host's own connection can be missed by it: behind a proxy, or
 * after a failover, Redis does not know those of others. Users of Redis may be denied the commands; then nothing is seen,
 * and a host that is silent has its lease.
 */
import { type Connection, isDenied } from "./connection.js";
import type { Keys } from "./keys.js";
import { listOf, textOf } from "./replies.js";

/** The number of a connection, and the address of its other end. */
const NAME = /^\d+@/;
const LISTED = /^id=(\d+) addr=(\S+)/gm;

export class Witness {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #deadlineMs: number;
  /** By the hosts' names. */
  readonly #seen = new Map<string, string>();
  // asking → denied: Redis has said that this user may not
  #state: "asking" | "denied" = "asking";

  constructor(connection: Connection, keys: Keys, deadlineMs: number) {
    this.#connection = connection;
    this.#keys = keys;
    this.#deadlineMs = deadlineMs;
  }

  /** The name of this host's own connection; empty if this user may not know. */
  async ownName(): Promise<string> {
    const id = await this.#ask(["CLIENT", "ID"]);
    if (typeof id !== "number") return "";
    const [name = ""] = (await this.#living([String(id)])) ?? [];
    return name;
  }

  /** Has the connections of all hosts seen as long as they are there. */
  async lookAround(): Promise<void> {
    if (this.#state === "denied") return;
    const hosts = listOf(await this.#ask(["SMEMBERS", this.#keys.hosts])).map(textOf);
    for (const host of this.#seen.keys()) if (!hosts.includes(host)) this.#seen.delete(host);
    await this.look(hosts);
  }

  /**
   * Looks at the connections of these hosts.
   * @returns those that have ended, by the hosts' names
   */
  async look(hosts: readonly string[]): Promise<Map<string, string>> {
    const ended = new Map<string, string>();
    if (this.#state === "denied" || hosts.length === 0) return ended;
    const names = await this.#namesOf(hosts);
    if (names.size === 0) return ended;
    const living = await this.#living([...names.values()].map((name) => String(Number.parseInt(name, 10))));
    if (!living) return ended;
    for (const [host, name] of names) {
      if (living.has(name)) this.#seen.set(host, name);
      else if (this.#seen.get(host) === name) ended.set(host, name);
    }
    return ended;
  }

  async #namesOf(hosts: readonly string[]): Promise<Map<string, string>> {
    const replies = await Promise.all(hosts.map((host) => this.#ask(["HGET", this.#keys.host(host), "cid"])));
    const names = hosts.map((host, i): [string, string] => [host, textOf(replies[i])]);
    return new Map(names.filter(([, name]) => NAME.test(name)));
  }

  /** Names of the connections with these numbers, as far as they are there; undefined if this user may not know. */
  async #living(ids: readonly string[]): Promise<Set<string> | undefined> {
    const list = await this.#ask(["CLIENT", "LIST", "ID", ...ids]);
    if (typeof list !== "string" && !Buffer.isBuffer(list)) return undefined;
    return new Set([...textOf(list).matchAll(LISTED)].map(([, id, address]) => `${id}@${address}`));
  }

  /**
   * `undefined` if this user may not.
   * @throws {Error} what Redis answers when it cannot tell at the moment, or {@link Connection.command}
   */
  async #ask(command: string[]): Promise<unknown> {
    try {
      return await this.#connection.command(command, this.#deadlineMs);
    } catch (error) {
      if (!isDenied(error)) throw error;
      this.#state = "denied";
      return undefined;
    }
  }
}
