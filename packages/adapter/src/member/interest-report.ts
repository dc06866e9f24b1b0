/**
 * What this worker has to tell the hub about the rooms of one namespace.
 * Owns: a count of rooms by key, and the changes that are not on the wire yet. Runs in: workers.
 */
import { KeyTable } from "../wire/key-table.js";
import { roomKeys } from "../wire/room-key.js";
import { type RoomMembers, UNREPORTED } from "./room-members.js";

export class InterestReport {
  readonly #namespaceId: number;
  /** Rooms that have a socket here, by key: two rooms with one key are reported once. */
  readonly #rooms = new KeyTable();
  /** Names of rooms, and the sockets in them. */
  #added: string[] = [];
  #addedMembers: RoomMembers[] = [];
  /** Rooms whose last socket has left: by key, or by name where the room is among the added. */
  #removedKeys: number[] = [];
  #removed: string[] = [];

  constructor(namespaceId: number) {
    this.#namespaceId = namespaceId;
  }

  /** Whether everything has been taken. */
  get isEmpty(): boolean {
    return this.#added.length === 0 && this.#removedKeys.length === 0;
  }

  /** The first socket has joined the room. */
  add(room: string, members: RoomMembers): void {
    // It may have been reported to another hub.
    members.key = UNREPORTED;
    this.#added.push(String(room));
    this.#addedMembers.push(members);
  }

  /** The last socket has left the room. */
  remove(room: string, members: RoomMembers): void {
    if (members.key === UNREPORTED) this.#removed.push(String(room));
    else this.#removedKeys.push(members.key);
  }

  /** The entries of an `interest` frame since the last call. */
  take(): Uint32Array {
    const added = roomKeys(this.#namespaceId, this.#added);
    const removed = roomKeys(this.#namespaceId, this.#removed);
    const [members, removedKeys] = [this.#addedMembers, this.#removedKeys];
    this.#added = [];
    this.#addedMembers = [];
    this.#removed = [];
    this.#removedKeys = [];
    const entries = new Uint32Array(added.length + removed.length + removedKeys.length);
    let count = 0;
    // Joins first: a room that was left and joined again since the last call has not changed.
    for (let i = 0; i < added.length; i++) {
      const key = added[i] as number;
      (members[i] as RoomMembers).key = key;
      if (this.#rooms.add(key, 1) === 1) entries[count++] = key * 2 + 1;
    }
    for (const key of removed) if (this.#rooms.add(key, -1) === 0) entries[count++] = key * 2;
    for (const key of removedKeys) if (this.#rooms.add(key, -1) === 0) entries[count++] = key * 2;
    return entries.subarray(0, count);
  }
}
