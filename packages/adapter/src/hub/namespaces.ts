/**
 * The namespaces that members have, by the hub's id and by name.
 * Owns: them, each with its members and their interest. Runs in: where the hub is.
 */
import { NamespaceKeys } from "../wire/room-key.js";
import type { HubMember } from "./hub-member.js";
import { Interest, type InterestWatcher } from "./interest.js";

export interface HubNamespace {
  readonly id: number;
  readonly name: string;
  /** Others when the hosts turn out to have another seed. */
  keys: NamespaceKeys;
  readonly interest: Interest;
  readonly members: Set<HubMember>;
  /** Members that only send; the namespace keeps its id for them. */
  readonly emitters: Set<HubMember>;
  /** Members that report no interest, or have not done so with these keys, and get everything. */
  readonly wildcards: Set<HubMember>;
  /** How long its sessions live and its packets are kept, in milliseconds, if it has recovery. */
  recovery: readonly [durationMs: number, retainMs: number] | undefined;
}

export class Namespaces {
  #roomSeed: string;
  readonly #watcher: InterestWatcher | undefined;
  readonly #byId = new Map<number, HubNamespace>();
  readonly #byName = new Map<string, HubNamespace>();
  #lastId = 0;

  /** @param watcher hears of all interest */
  constructor(roomSeed: string, watcher?: InterestWatcher) {
    this.#roomSeed = roomSeed;
    this.#watcher = watcher;
  }

  /** What keys of rooms are made with. */
  get roomSeed(): string {
    return this.#roomSeed;
  }

  /** From now on, also for the namespaces that there are; their tables have to be empty. */
  set roomSeed(seed: string) {
    this.#roomSeed = seed;
    for (const namespace of this.#byId.values()) namespace.keys = new NamespaceKeys(seed, namespace.name);
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

  /** Rooms that the member has reported, in all namespaces. */
  roomsOf(slot: number): number {
    let rooms = 0;
    for (const { interest } of this.#byId.values()) rooms += interest.sizeOf(slot);
    return rooms;
  }

  get(id: number): HubNamespace | undefined {
    return this.#byId.get(id);
  }

  /** The namespace of this name, if there is one. */
  find(name: string): HubNamespace | undefined {
    return this.#byName.get(name);
  }

  all(): IterableIterator<HubNamespace> {
    return this.#byId.values();
  }

  /** The namespace of this name, with a new id if there was none. */
  ofName(name: string): HubNamespace {
    const known = this.#byName.get(name);
    if (known) return known;
    const fresh: HubNamespace = {
      id: ++this.#lastId,
      name,
      keys: new NamespaceKeys(this.#roomSeed, name),
      interest: new Interest(this.#watcher),
      members: new Set<HubMember>(),
      emitters: new Set<HubMember>(),
      wildcards: new Set<HubMember>(),
      recovery: undefined,
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
