/**
 * Where the packets of each room begin in the journal: the newest entry of every room that has one.
 * Owns: a table for each namespace, and the numbers of the entries. Runs in: where the hub is.
 *
 * Entries have numbers that count up for ever. Tables hold 32 bits, so they keep each number's place on a ring
 * that is larger than what fits into a journal.
 */
import { KeyTable } from "../wire/key-table.js";

/** Stands for a room's key in packets that name no room. */
export const EVERYBODY = -1;

/** Places are 1 to this; 0 says that there is no entry. */
export const RING = 2 ** 31 - 1;

interface NamespaceChains {
  readonly rooms: KeyTable;
  everybody: number;
}

export class RoomChains {
  readonly #namespaces = new Map<number, NamespaceChains>();
  /** The namespace of the last entry, and its chains. */
  #lastNamespaceId = -1;
  #lastChains: NamespaceChains = { rooms: new KeyTable(), everybody: 0 };
  #lastEntry = 0;
  #lastPlace: number;

  /** @param lastPlace where the ring begins */
  constructor(lastPlace = 0) {
    this.#lastPlace = lastPlace;
  }

  /** The number of the newest entry; they begin with 1. */
  get lastEntry(): number {
    return this.#lastEntry;
  }

  /** Rooms that have an entry. */
  get size(): number {
    let size = 0;
    for (const { rooms, everybody } of this.#namespaces.values())
      size += rooms.size + (everybody === 0 ? 0 : 1);
    return size;
  }

  /** Adds an entry. @returns how many entries before it the one of the same room is; 0 if there is none */
  add(namespaceId: number, key: number): number {
    this.#lastEntry++;
    const place = this.#lastPlace === RING ? 1 : this.#lastPlace + 1;
    this.#lastPlace = place;
    const chains = namespaceId === this.#lastNamespaceId ? this.#lastChains : this.#chainsOf(namespaceId);
    let before: number;
    if (key === EVERYBODY) {
      before = chains.everybody;
      chains.everybody = place;
    } else {
      before = chains.rooms.exchange(key, place);
    }
    return before === 0 ? 0 : this.#distanceTo(before);
  }

  /** The newest entry of the room; 0 if it has none. */
  newest(namespaceId: number, key: number): number {
    const chains = this.#namespaces.get(namespaceId);
    if (!chains) return 0;
    const place = key === EVERYBODY ? chains.everybody : chains.rooms.get(key);
    return place === 0 ? 0 : this.#lastEntry - this.#distanceTo(place);
  }

  /**
   * The entry is dropped, and with it what came before it in the room.
   * @returns false if the namespace is gone
   */
  drop(namespaceId: number, key: number, entry: number): boolean {
    const chains = this.#namespaces.get(namespaceId);
    if (!chains) return false;
    if (this.newest(namespaceId, key) !== entry) return true;
    if (key === EVERYBODY) chains.everybody = 0;
    else chains.rooms.exchange(key, 0);
    if (chains.everybody === 0 && chains.rooms.size === 0) this.forgetNamespace(namespaceId);
    return true;
  }

  forgetNamespace(namespaceId: number): void {
    this.#namespaces.delete(namespaceId);
    if (namespaceId === this.#lastNamespaceId) this.#lastNamespaceId = -1;
  }

  #chainsOf(namespaceId: number): NamespaceChains {
    let chains = this.#namespaces.get(namespaceId);
    if (!chains) {
      chains = { rooms: new KeyTable(), everybody: 0 };
      this.#namespaces.set(namespaceId, chains);
    }
    this.#lastNamespaceId = namespaceId;
    this.#lastChains = chains;
    return chains;
  }

  #distanceTo(place: number): number {
    const distance = this.#lastPlace - place;
    return distance < 0 ? distance + RING : distance;
  }
}
