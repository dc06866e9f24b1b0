/**
 * The namespaces that members have, by the hub's id and by name.
 * Owns: them, each with its members and their interest. Runs in: primary.
 */
import { NamespaceKeys } from "../wire/room-key.js";
import type { HubMember } from "./hub-member.js";
import { Interest } from "./interest.js";

export interface HubNamespace {
  readonly id: number;
  readonly name: string;
  readonly keys: NamespaceKeys;
  readonly interest: Interest;
  readonly members: Set<HubMember>;
  /** Members that only send; the namespace keeps its id for them. */
  readonly emitters: Set<HubMember>;
  /** Members that report no interest and get everything. */
  readonly wildcards: Set<HubMember>;
}

export class Namespaces {
  readonly #roomSeed: string;
  readonly #byId = new Map<number, HubNamespace>();
  readonly #byName = new Map<string, HubNamespace>();
  #lastId = 0;

  constructor(roomSeed: string) {
    this.#roomSeed = roomSeed;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Entries in all tables of rooms. */
  get interestSize(): number {
    let size = 0;
    for (const { interest } of this.#byId.values()) size += interest.size;
    return size;
  }

  get(id: number): HubNamespace | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<HubNamespace> {
    return this.#byId.values();
  }

  /** The namespace of this name, with a new id if there was none. */
  ofName(name: string): HubNamespace {
    const known = this.#byName.get(name);
    if (known) return known;
    const fresh = {
      id: ++this.#lastId,
      name,
      keys: new NamespaceKeys(this.#roomSeed, name),
      interest: new Interest(),
      members: new Set<HubMember>(),
      emitters: new Set<HubMember>(),
      wildcards: new Set<HubMember>(),
    };
    this.#byId.set(fresh.id, fresh);
    this.#byName.set(name, fresh);
    return fresh;
  }

  forget({ id, name }: HubNamespace): void {
    this.#byId.delete(id);
    this.#byName.delete(name);
  }
}
