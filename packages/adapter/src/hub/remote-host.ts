/**
 * Another host as this hub sees it. To members here, it and each of its members that they deal with have ids like
 * those of members here.
 * Owns: these ids, and what the host has said of its namespaces. Runs in: where the hub is.
 */
import type { MemberInfo } from "../member-info.js";

export class RemoteHost implements MemberInfo {
  readonly name: string;
  readonly slot: number;
  /** The id of the host itself, as one that is asked. */
  readonly id: number;
  /** No worker of this host. */
  readonly workerId = 0;
  readonly pid = 0;
  /** What it says of its namespaces, by name. */
  readonly namespaces = new Map<string, string>();
  readonly #allotId: () => number;
  /** Ids here by ids there, and the other way round. */
  readonly #ids = new Map<number, number>();
  readonly #remoteIds = new Map<number, number>();
  /** Keys that commands on their way to it claim, by the command's number. */
  readonly claims = new Map<number, readonly number[]>();

  constructor(name: string, slot: number, allotId: () => number) {
    this.name = name;
    this.slot = slot;
    this.#allotId = allotId;
    this.id = allotId();
  }

  /** The id here of a member there. */
  idOf(remoteId: number): number {
    const known = this.#ids.get(remoteId);
    if (known !== undefined) return known;
    const id = this.#allotId();
    this.#ids.set(remoteId, id);
    this.#remoteIds.set(id, remoteId);
    return id;
  }

  /** The id there of a member that has an id here. */
  remoteIdOf(id: number): number | undefined {
    return this.#remoteIds.get(id);
  }

  /** A member there is gone. @returns its id here, if it had one */
  forget(remoteId: number): number | undefined {
    const id = this.#ids.get(remoteId);
    if (id === undefined) return undefined;
    this.#ids.delete(remoteId);
    this.#remoteIds.delete(id);
    return id;
  }

  /** The ids here of all that is there. */
  ids(): number[] {
    return [this.id, ...this.#remoteIds.keys()];
  }
}
