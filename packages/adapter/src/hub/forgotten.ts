/**
 * What the journal has dropped: for each room, the last packet that it no longer has.
 * It answers for a client whose offset is older than the journal: has it missed nothing, because its own
 * rooms were silent? Owns: one number a room, of the rooms that were dropped from last. Runs in: primary.
 */

/** About 10 MB of memory; a client that has been silent for more rooms than this starts afresh. */
const MAX_ROOMS = 100_000;

export class Forgotten {
  /** Sequence of the last dropped packet, by room key; what was dropped from longest ago comes first. */
  readonly #last = new Map<number, number>();
  readonly #maxRooms: number;
  /** Of rooms that are not in the table, nothing after this was dropped. */
  #horizon = 0;

  constructor(maxRooms = MAX_ROOMS) {
    this.#maxRooms = maxRooms;
  }

  /** A packet to the room is dropped; sequences only rise. */
  note(key: number, sequence: number): void {
    this.#last.delete(key);
    this.#last.set(key, sequence);
    if (this.#last.size <= this.#maxRooms) return;
    for (const [oldest, dropped] of this.#last) {
      this.#last.delete(oldest);
      this.#horizon = dropped;
      return;
    }
  }

  /** Whether a packet to one of the rooms that came after `sequence` may have been dropped. */
  hasSince(sequence: number, keys: Iterable<number>): boolean {
    if (sequence < this.#horizon) return true;
    for (const key of keys) if ((this.#last.get(key) ?? 0) > sequence) return true;
    return false;
  }
}
