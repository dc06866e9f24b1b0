/**
 * A piece of the journal: frames one after the other, and where each of them and each of their rooms is.
 * Owns: its memory, which is given back at once. Runs in: where the hub is.
 *
 * Each room of a packet is an entry, and so is a packet to everybody. Entries count up over all slabs; each says how
 * far back the entry before it in the same room is. So the packets of a room are a chain, from its newest to its
 * oldest, for eight bytes an entry.
 */
import { frameKey, frameKeyCount, frameNamespace } from "../wire/frame.js";
import { EVERYBODY } from "./room-chains.js";
import { U32List } from "./u32-list.js";

/** A frame in the journal; its bytes do not change. */
export interface JournalEntry {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

export class JournalSlab {
  buffer: Buffer;
  usedBytes = 0;
  readonly firstSequence: number;
  readonly firstEntry: number;
  /** When the last frame was placed. */
  newestAt = 0;
  /** Of each packet: where its frame begins, and how far its sequence is above the first. */
  readonly #starts = new U32List();
  readonly #sequences = new U32List();
  /** Of each entry: its packet, and how many entries before it the one of the same room is, or 0. */
  readonly #packets = new U32List();
  readonly #distances = new U32List();
  #listBytes = 0;

  constructor(bytes: number, firstSequence: number, firstEntry: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.firstSequence = firstSequence;
    this.firstEntry = firstEntry;
  }

  /** Memory that it takes; where its frames are is counted when no more come. */
  get bytes(): number {
    return this.buffer.length + this.#listBytes;
  }

  get lastSequence(): number {
    return this.firstSequence + this.#sequences.at(this.#sequences.length - 1);
  }

  get packetCount(): number {
    return this.#starts.length;
  }

  get entryCount(): number {
    return this.#packets.length;
  }

  /** A frame was put at `start`; its entries come next. */
  addPacket(start: number, sequence: number): void {
    this.#starts.push(start);
    this.#sequences.push(sequence - this.firstSequence);
  }

  /** One more entry of the packet that was added last. */
  addEntry(distance: number): void {
    this.#packets.push(this.#starts.length - 1);
    this.#distances.push(distance);
  }

  /** Nothing more is added: memory that is not used is given back. */
  seal(): void {
    for (const list of [this.#starts, this.#sequences, this.#packets, this.#distances]) {
      list.trim();
      this.#listBytes += list.bytes;
    }
    const { buffer, usedBytes } = this;
    if (usedBytes > buffer.length / 2) return;
    this.buffer = Buffer.allocUnsafeSlow(usedBytes);
    buffer.copy(this.buffer, 0, 0, usedBytes);
  }

  /** How many entries before this one the entry of the same room is; 0 if there was none. */
  distance(entry: number): number {
    return this.#distances.at(entry - this.firstEntry);
  }

  /** The last entry of the last packet whose sequence is not above this one. */
  lastEntryUpTo(sequence: number): number {
    const packet = this.#sequences.lastUpTo(sequence - this.firstSequence);
    return this.firstEntry + this.#packets.lastUpTo(packet);
  }

  /** The packet of an entry. */
  packetOf(entry: number): JournalEntry & { readonly sequence: number } {
    const packet = this.#packets.at(entry - this.firstEntry);
    const start = this.#starts.at(packet);
    const isLast = packet + 1 === this.#starts.length;
    const end = isLast ? this.usedBytes : this.#starts.at(packet + 1);
    return { buffer: this.buffer, start, end, sequence: this.firstSequence + this.#sequences.at(packet) };
  }

  /** Calls `visit` with the last entry of each room in this slab. */
  forEachRoom(visit: (namespaceId: number, key: number, sequence: number, entry: number) => void): void {
    const hasLater = this.#markEarlier();
    const { buffer } = this;
    let at = 0;
    for (let packet = 0; packet < this.#starts.length; packet++) {
      const start = this.#starts.at(packet);
      const namespaceId = frameNamespace(buffer, start);
      const sequence = this.firstSequence + this.#sequences.at(packet);
      const keys = frameKeyCount(buffer, start);
      for (let i = 0; i < Math.max(1, keys); i++, at++) {
        if (hasLater[at] === 1) continue;
        visit(
          namespaceId,
          keys === 0 ? EVERYBODY : frameKey(buffer, start, i),
          sequence,
          this.firstEntry + at,
        );
      }
    }
  }

  /** A mark for each entry that another one of this slab comes after in the same room. */
  #markEarlier(): Uint8Array {
    const marks = new Uint8Array(this.#distances.length);
    for (let at = 0; at < marks.length; at++) {
      const distance = this.#distances.at(at);
      if (distance !== 0 && distance <= at) marks[at - distance] = 1;
    }
    return marks;
  }
}
