/**
 * What the journal has dropped: for each room, the last packet that it no longer has.
 * It answers for a client whose offset is older than the journal: has it missed nothing, because its own
 * rooms were silent? Owns: one number a room, of the rooms that were dropped from last. Runs in: where the hub is.
 *
 * Rooms are in two generations. When the younger one is full it becomes the older one, and what was in that is
 * let go: for one write a room that costs a quarter of keeping the rooms in order.
 */

/** About 10 MB of memory; a client that has been silent for more rooms than this may start afresh. */
const MAX_ROOMS = 100_000;

class Generation {
  /** Sequence of the last dropped packet, by namespace and room key. */
  readonly namespaces = new Map<number, Map<number, number>>();
  size = 0;
  /** The last packet that is noted here. */
  newest = 0;

  note(namespaceId: number, key: number, sequence: number): void {
    let rooms = this.namespaces.get(namespaceId);
    if (!rooms) {
      rooms = new Map();
      this.namespaces.set(namespaceId, rooms);
    }
    const before = rooms.size;
    rooms.set(key, sequence);
    this.size += rooms.size - before;
    this.newest = sequence;
  }

  forgetNamespace(namespaceId: number): void {
    this.size -= this.namespaces.get(namespaceId)?.size ?? 0;
    this.namespaces.delete(namespaceId);
  }
}

export class Forgotten {
  readonly #maxRooms: number;
  #young = new Generation();
  #old = new Generation();
  /** Of rooms that are in neither, nothing after this was dropped. */
  #horizon = 0;

  constructor(maxRooms = MAX_ROOMS) {
    this.#maxRooms = maxRooms;
  }

  /** A packet to the room is dropped; sequences only rise. */
  note(namespaceId: number, key: number, sequence: number): void {
    this.#young.note(namespaceId, key, sequence);
    if (this.#young.size < this.#maxRooms / 2) return;
    this.#horizon = Math.max(this.#horizon, this.#old.newest);
    this.#old = this.#young;
    this.#young = new Generation();
  }

  /** Whether a packet to one of the rooms that came after `sequence` may have been dropped. */
  hasSince(sequence: number, namespaceId: number, keys: Iterable<number>): boolean {
    if (sequence < this.#horizon) return true;
    const young = this.#young.namespaces.get(namespaceId);
    const old = this.#old.namespaces.get(namespaceId);
    for (const key of keys) {
      if ((young?.get(key) ?? old?.get(key) ?? 0) > sequence) return true;
    }
    return false;
  }

  forgetNamespace(namespaceId: number): void {
    this.#young.forgetNamespace(namespaceId);
    this.#old.forgetNamespace(namespaceId);
  }
}
