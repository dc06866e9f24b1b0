/**
 * What this worker has to tell the hub about the rooms of one namespace.
 * Owns: a count of rooms by key, and the changes that are not on the wire yet. Runs in: workers.
 */
import type { Outbox } from "../link/outbox.js";
import { FrameKind, HEADER_BYTES, interestFlags, KEY_BYTES } from "../wire/frame.js";
import { KeyTable } from "../wire/key-table.js";
import { machineTime } from "../wire/machine-time.js";
import { canTravel } from "../wire/names.js";
import type { NamespaceKeys } from "../wire/room-key.js";
import { type RoomMembers, UNREPORTED } from "./room-members.js";

export class InterestReport {
  readonly #keys: NamespaceKeys;
  /** Rooms that have a socket here, by key: two rooms with one key are reported once. */
  readonly #rooms = new KeyTable();
  /** Names of rooms, and the sockets in them. */
  #added: string[] = [];
  #addedMembers: RoomMembers[] = [];
  /** Rooms whose last socket has left: by key, or by name where the room is among the added. */
  #removedKeys: number[] = [];
  #removed: string[] = [];
  /** When the first socket joined one of the added rooms, on the clock of {@link machineTime}; 0 if there are none. */
  #since = 0;

  constructor(keys: NamespaceKeys) {
    this.#keys = keys;
  }

  /** The time of the oldest join that has not been taken; 0 if there is none. Whole microseconds. */
  get since(): number {
    return Math.floor(this.#since);
  }

  /** Whether everything has been taken. */
  get isEmpty(): boolean {
    return this.#added.length === 0 && this.#removedKeys.length === 0;
  }

  /** The first socket has joined the room. */
  add(room: unknown, members: RoomMembers): void {
    if (!canTravel(room)) return;
    // It may have been reported to another hub.
    members.key = UNREPORTED;
    if (this.#since === 0) this.#since = machineTime();
    this.#added.push(String(room));
    this.#addedMembers.push(members);
  }

  /** The sockets of the rooms that were added may have joined as early as that; 0: the hub knew of them all. */
  backdate(since: number): void {
    if (this.#added.length > 0) this.#since = since;
  }

  /** The last socket has left the room. */
  remove(room: unknown, members: RoomMembers): void {
    if (!canTravel(room)) return;
    if (members.key === UNREPORTED) this.#removed.push(String(room));
    else this.#removedKeys.push(members.key);
  }

  /** Nobody is in any room any more: what the hub was told is to be taken back, and nothing else is to be told. */
  withdraw(): void {
    this.#added = [];
    this.#addedMembers = [];
    this.#removed = [];
    this.#since = 0;
    this.#removedKeys = this.#rooms.keys();
    for (const key of this.#removedKeys) this.#rooms.add(key, 1 - this.#rooms.get(key));
  }

  /** The entries of an `interest` frame since the last call. */
  take(): Uint32Array {
    const added = this.#keys.ofAll(this.#added);
    const removed = this.#keys.ofAll(this.#removed);
    const [members, removedKeys] = [this.#addedMembers, this.#removedKeys];
    this.#added = [];
    this.#addedMembers = [];
    this.#removed = [];
    this.#removedKeys = [];
    this.#since = 0;
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

const NO_ENTRIES = new Uint32Array(0);
/** What an `interest` frame has before its entries. */
const HEAD_BYTES = HEADER_BYTES + 12;

/**
 * Writes what there is to report, in as many frames as the limit asks for: one at least, which may be waited for.
 * @param seeds how many seeds of keys the hub has told
 * @param nextOutbox gives the outbox for one frame
 */
export function writeReport(
  report: InterestReport | undefined,
  namespaceId: number,
  maxMessageBytes: number,
  seeds: number,
  nextOutbox: () => Outbox,
  nextSequence: () => number,
): void {
  const since = report?.since ?? 0;
  const entries = report?.take() ?? NO_ENTRIES;
  const most = Math.floor((maxMessageBytes - HEAD_BYTES) / KEY_BYTES);
  let at = 0;
  do {
    const end = Math.min(at + most, entries.length);
    const outbox = nextOutbox();
    outbox.begin(FrameKind.interest, interestFlags(seeds, end === entries.length), namespaceId);
    outbox.u32(nextSequence());
    outbox.u64(end === entries.length ? since : 0);
    outbox.u32s(entries.subarray(at, end));
    outbox.end();
    at = end;
  } while (at < entries.length);
}
