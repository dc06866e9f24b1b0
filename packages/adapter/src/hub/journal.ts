/**
 * The hub's ordered log of recoverable packets: the `record` frames themselves, each with its offset in it.
 * Bounded in time and in bytes; the oldest go first. Runs in: where the hub is.
 * Owns: the slabs that frames are copied into one after the other, so that a frame costs what it weighs,
 * neighbours can be relayed as one slice, and a whole slab is given back at once; and the chains that lead from
 * a room to its packets, so that reading them costs what there is to read.
 */
import type { JournalStats } from "../stats.js";
import { frameKey, frameKeyCount, frameNamespace } from "../wire/frame.js";
import type { Offsets } from "../wire/offset.js";
import { Forgotten } from "./forgotten.js";
import { type JournalEntry, JournalSlab } from "./journal-slab.js";
import { EVERYBODY, RoomChains } from "./room-chains.js";

const SLAB_BYTES = 256 * 1024;
/** A larger frame gets a slab of its own. */
const LARGE_BYTES = SLAB_BYTES / 8;

/** Rooms of one namespace, by their keys. */
export interface RoomKeys {
  readonly namespaceId: number;
  readonly keys: readonly number[];
}

export class Journal {
  #offsets: Offsets;
  readonly #maxBytes: number;
  readonly #onCut: () => void;
  readonly #now: () => number;
  #chains = new RoomChains();
  #forgotten = new Forgotten();
  #slabs: JournalSlab[] = [];
  #bytes = 0;
  #packets = 0;
  #retainMs = 0;
  #lastSequence = 0;
  /** Packets up to this one, which may still come, are past: see {@link restart}. */
  #pastUpTo = 0;
  /** Everything up to this has been dropped. */
  #droppedUpTo = 0;
  /** Everything up to this is not known here, whatever room it was for. */
  #unknownUpTo = 0;
  #cut = 0;

  /**
   * @param offsets writes and reads the places of the order that numbers the packets
   * @param onCut the bound in bytes has cut into the time that packets are to be kept
   */
  constructor(maxBytes: number, offsets: Offsets, onCut: () => void, now = () => performance.now()) {
    this.#maxBytes = maxBytes;
    this.#offsets = offsets;
    this.#onCut = onCut;
    this.#now = now;
  }

  /** Writes and reads places of this order. */
  get offsets(): Offsets {
    return this.#offsets;
  }

  /**
   * There is another order, and nothing of it is here yet.
   * @param pastUpTo packets up to this number were placed before; they come for who lacks them, and for nobody else
   */
  restart(offsets: Offsets, pastUpTo = 0): void {
    this.#offsets = offsets;
    this.#pastUpTo = pastUpTo;
    this.#chains = new RoomChains();
    this.#forgotten = new Forgotten();
    this.#slabs = [];
    this.#bytes = this.#packets = 0;
    this.#lastSequence = this.#droppedUpTo = this.#unknownUpTo = 0;
  }

  /** The packets up to this one that are not here have never come. */
  skipTo(sequence: number): void {
    if (sequence <= this.#lastSequence) return;
    this.#unknownUpTo = this.#lastSequence = sequence;
  }

  /** The number of the last packet that has been placed. */
  get lastSequence(): number {
    return Math.max(this.#lastSequence, this.#pastUpTo);
  }

  /** The offset of the last packet. */
  get lastOffset(): string {
    return this.#offsets.text(this.lastSequence);
  }

  /** The newest entry; the numbers of entries count up over all packets. */
  get lastEntry(): number {
    return this.#chains.lastEntry;
  }

  /** The oldest entry that is there. */
  get firstEntry(): number {
    return this.#slabs[0]?.firstEntry ?? this.lastEntry + 1;
  }

  /** Keeps packets at least this long, if the bytes allow. */
  retain(ms: number): void {
    this.#retainMs = Math.max(this.#retainMs, ms);
  }

  /**
   * Appends a packet: copies the frame and writes its offset into it, `fromEnd` bytes before its end.
   * @param sequence its number, above that of the packet before it
   */
  append(chunk: Buffer, from: number, to: number, fromEnd: number, sequence: number): JournalEntry {
    const size = to - from;
    const slab = this.#slabFor(size, sequence);
    const { buffer, usedBytes: start } = slab;
    const end = start + size;
    chunk.copy(buffer, start, from, to);
    this.#offsets.write(sequence, buffer, end - fromEnd);
    slab.addPacket(start, sequence);
    this.#addEntries(slab, start);
    slab.usedBytes = end;
    slab.newestAt = this.#now();
    this.#lastSequence = sequence;
    this.#packets++;
    return { buffer, start, end };
  }

  #addEntries(slab: JournalSlab, start: number): void {
    const { buffer } = slab;
    const namespaceId = frameNamespace(buffer, start);
    const keys = frameKeyCount(buffer, start);
    if (keys === 0) slab.addEntry(this.#chains.add(namespaceId, EVERYBODY));
    for (let i = 0; i < keys; i++) slab.addEntry(this.#chains.add(namespaceId, frameKey(buffer, start, i)));
  }

  /** The newest entry of the room; 0 if it has none. */
  newestEntry(namespaceId: number, key: number): number {
    return this.#chains.newest(namespaceId, key);
  }

  /** The last entry of the packets that were placed up to this one. */
  lastEntryUpTo(sequence: number): number {
    const slab = this.#lastSlab((candidate) => candidate.firstSequence <= sequence);
    return slab ? slab.lastEntryUpTo(sequence) : this.firstEntry - 1;
  }

  /** The slab that has an entry which is there. */
  slabOf(entry: number): JournalSlab | undefined {
    return this.#lastSlab((candidate) => candidate.firstEntry <= entry);
  }

  /** Whether a packet to one of the rooms that came after `sequence` may have been dropped. */
  mayLack(sequence: number, { namespaceId, keys }: RoomKeys): boolean {
    // Of what is past, some is still to come.
    if (sequence < this.#pastUpTo && this.#lastSequence < this.#pastUpTo) return true;
    if (sequence < this.#unknownUpTo) return true;
    if (sequence >= this.#droppedUpTo) return false;
    return this.#forgotten.hasSince(sequence, namespaceId, [EVERYBODY, ...keys]);
  }

  /** Drops what is older than it has to be, slab by slab. */
  *expire(): Generator<void> {
    const threshold = this.#now() - this.#retainMs;
    while (this.#slabs[0] && this.#slabs[0].newestAt < threshold) {
      this.#dropOldest();
      yield;
    }
  }

  /** The namespace is gone from the hub, and nobody will ask for its packets. */
  forgetNamespace(namespaceId: number): void {
    this.#chains.forgetNamespace(namespaceId);
    this.#forgotten.forgetNamespace(namespaceId);
  }

  stats(): JournalStats {
    const oldest = this.#slabs[0];
    return {
      packets: this.#packets,
      bytes: this.#bytes,
      ageMs: oldest ? Math.round(this.#now() - oldest.newestAt) : 0,
      cut: this.#cut,
    };
  }

  /** The last slab for which `isUpTo` holds; it holds for all before that one, too. */
  #lastSlab(isUpTo: (slab: JournalSlab) => boolean): JournalSlab | undefined {
    let [low, high] = [0, this.#slabs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isUpTo(this.#slabs[middle] as JournalSlab)) low = middle + 1;
      else high = middle;
    }
    return this.#slabs[low - 1];
  }

  #slabFor(size: number, sequence: number): JournalSlab {
    const last = this.#slabs.at(-1);
    if (last && last.buffer.length - last.usedBytes >= size) return last;
    if (last) this.#seal(last);
    const bytes = size > LARGE_BYTES ? size : SLAB_BYTES;
    this.#makeRoom(bytes);
    const slab = new JournalSlab(bytes, sequence, this.lastEntry + 1);
    this.#bytes += slab.bytes;
    this.#slabs.push(slab);
    return slab;
  }

  #seal(slab: JournalSlab): void {
    this.#bytes -= slab.bytes;
    slab.seal();
    this.#bytes += slab.bytes;
  }

  #makeRoom(bytes: number): void {
    const threshold = this.#now() - this.#retainMs;
    let cut = 0;
    while (this.#slabs[0] && this.#bytes + bytes > this.#maxBytes) {
      if (this.#slabs[0].newestAt >= threshold) cut += this.#slabs[0].packetCount;
      this.#dropOldest();
    }
    if (cut === 0) return;
    this.#cut += cut;
    this.#onCut();
  }

  #dropOldest(): void {
    const slab = this.#slabs.shift();
    if (!slab) return;
    this.#bytes -= slab.bytes;
    this.#packets -= slab.packetCount;
    this.#droppedUpTo = slab.lastSequence;
    slab.forEachRoom((namespaceId, key, sequence, entry) => {
      // Of a namespace that is gone nobody will ask.
      if (this.#chains.drop(namespaceId, key, entry)) this.#forgotten.note(namespaceId, key, sequence);
    });
  }
}
