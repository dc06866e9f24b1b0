/**
 * What this worker has to tell the hub about the rooms of one namespace.
 * Owns: a count of rooms by key, and the entries that are not on the wire yet. Runs in: workers.
 */
import { KeyTable } from "./key-table.js";
import { roomKey } from "./room-key.js";

const MIN_ENTRIES = 64;

export class InterestReport {
  readonly #namespaceId: number;
  /** Rooms that have a socket here, by key: two rooms with one key are reported once. */
  readonly #rooms = new KeyTable();
  #entries = new Uint32Array(MIN_ENTRIES);
  #count = 0;

  constructor(namespaceId: number) {
    this.#namespaceId = namespaceId;
  }

  /** Whether everything has been taken. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** The first socket has joined the room. */
  add(room: string): void {
    const key = roomKey(this.#namespaceId, String(room));
    const rooms = this.#rooms.get(key);
    this.#rooms.set(key, rooms + 1);
    if (rooms === 0) this.#push(key * 2 + 1);
  }

  /** The last socket has left the room. */
  remove(room: string): void {
    const key = roomKey(this.#namespaceId, String(room));
    const rooms = this.#rooms.get(key);
    if (rooms === 0) return;
    this.#rooms.set(key, rooms - 1);
    if (rooms === 1) this.#push(key * 2);
  }

  /** The entries of an `interest` frame since the last call; read them before the next change. */
  take(): Uint32Array {
    const entries = this.#entries.subarray(0, this.#count);
    this.#count = 0;
    // A burst leaves no large array behind.
    if (entries.length > 1024) this.#entries = new Uint32Array(MIN_ENTRIES);
    return entries;
  }

  #push(entry: number): void {
    if (this.#count === this.#entries.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[this.#count++] = entry;
  }
}
