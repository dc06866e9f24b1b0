/**
 * The hub's ordered log of recoverable packets: the `record` frames themselves, each with its offset in it.
 * Bounded in time and in bytes; the oldest go first. Runs in: primary.
 * Owns: slabs of memory that frames are copied into one after the other, so that a frame costs what it
 * weighs, neighbours can be relayed as one slice, and a whole slab is given back at once.
 */
import type { JournalStats } from "../stats.js";
import { FieldReader } from "../wire/field-reader.js";
import { frameFields, frameKey, frameKeyCount, frameNamespace } from "../wire/frame.js";
import { Offsets } from "../wire/offset.js";
import { Forgotten } from "./forgotten.js";

const SLAB_BYTES = 256 * 1024;
/** A larger frame gets a slab of its own. */
const LARGE_BYTES = SLAB_BYTES / 8;

/** A frame in the journal; its bytes do not change. */
export interface JournalEntry {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Who asks for what was missed. */
export interface Audience {
  readonly namespaceId: number;
  readonly rooms: ReadonlySet<string>;
  /** Their keys. */
  readonly keys: ReadonlySet<number>;
}

interface Slab {
  buffer: Buffer;
  usedBytes: number;
  readonly firstSequence: number;
  /** Where each frame begins. */
  readonly starts: number[];
  /** When the last frame was placed. */
  newestAt: number;
}

export class Journal {
  readonly offsets = new Offsets();
  readonly #maxBytes: number;
  readonly #onCut: () => void;
  readonly #now: () => number;
  readonly #forgotten = new Forgotten();
  #slabs: Slab[] = [];
  #bytes = 0;
  #retainMs = 0;
  #lastSequence = 0;
  #cut = 0;

  /** @param onCut packets are dropped before their time because there are too many bytes */
  constructor(maxBytes: number, onCut: () => void, now: () => number = Date.now) {
    this.#maxBytes = maxBytes;
    this.#onCut = onCut;
    this.#now = now;
  }

  /** The offset of the last packet. */
  get lastOffset(): string {
    return this.offsets.text(this.#lastSequence);
  }

  /** Keeps packets at least this long, if the bytes allow. */
  retain(ms: number): void {
    this.#retainMs = Math.max(this.#retainMs, ms);
  }

  /** Places a packet: copies the frame and writes its offset into it, `fromEnd` bytes before its end. */
  append(chunk: Buffer, from: number, to: number, fromEnd: number): JournalEntry {
    const size = to - from;
    const slab = this.#slabFor(size);
    const start = slab.usedBytes;
    const end = start + size;
    chunk.copy(slab.buffer, start, from, to);
    slab.buffer.write(this.offsets.text(++this.#lastSequence), end - fromEnd, "latin1");
    slab.usedBytes = end;
    slab.starts.push(start);
    slab.newestAt = this.#now();
    return { buffer: slab.buffer, start, end };
  }

  /**
   * What an audience has missed since an offset.
   * @returns undefined when the offset is not one of this hub's, or something after it may have been dropped
   */
  missed(offset: string, audience: Audience): JournalEntry[] | undefined {
    const since = this.offsets.parse(offset);
    if (since === undefined || since > this.#lastSequence) return undefined;
    if (since < this.#firstSequence - 1) {
      const everybody = everybodyKey(audience.namespaceId);
      if (this.#forgotten.hasSince(since, [everybody, ...audience.keys])) return undefined;
    }
    const missed: JournalEntry[] = [];
    for (const slab of this.#slabs) {
      const { starts, buffer, usedBytes, firstSequence } = slab;
      for (let i = Math.max(0, since + 1 - firstSequence); i < starts.length; i++) {
        const start = starts[i] as number;
        const end = starts[i + 1] ?? usedBytes;
        if (isFor(audience, buffer, start, end)) missed.push({ buffer, start, end });
      }
    }
    return missed;
  }

  /** Drops what is older than it has to be. */
  expire(): void {
    const threshold = this.#now() - this.#retainMs;
    while (this.#slabs[0] && this.#slabs[0].newestAt < threshold) this.#dropOldest();
  }

  stats(): JournalStats {
    const packets = this.#lastSequence - this.#firstSequence + 1;
    const oldest = this.#slabs[0];
    return {
      packets,
      bytes: this.#bytes,
      ageMs: oldest ? this.#now() - oldest.newestAt : 0,
      cut: this.#cut,
    };
  }

  get #firstSequence(): number {
    return this.#slabs[0]?.firstSequence ?? this.#lastSequence + 1;
  }

  #slabFor(size: number): Slab {
    const last = this.#slabs.at(-1);
    if (last && last.buffer.length - last.usedBytes >= size) return last;
    if (last) this.#seal(last);
    const bytes = size > LARGE_BYTES ? size : SLAB_BYTES;
    this.#makeRoom(bytes);
    const buffer = Buffer.allocUnsafeSlow(bytes);
    const slab = { buffer, usedBytes: 0, firstSequence: this.#lastSequence + 1, starts: [], newestAt: 0 };
    this.#bytes += bytes;
    this.#slabs.push(slab);
    return slab;
  }

  /** A slab that was left early gives its rest back. */
  #seal(slab: Slab): void {
    const { buffer, usedBytes } = slab;
    if (usedBytes > buffer.length / 2) return;
    slab.buffer = Buffer.allocUnsafeSlow(usedBytes);
    buffer.copy(slab.buffer, 0, 0, usedBytes);
    this.#bytes -= buffer.length - usedBytes;
  }

  #makeRoom(bytes: number): void {
    const threshold = this.#now() - this.#retainMs;
    let cut = 0;
    while (this.#slabs[0] && this.#bytes + bytes > this.#maxBytes) {
      if (this.#slabs[0].newestAt >= threshold) cut += this.#slabs[0].starts.length;
      this.#dropOldest();
    }
    if (cut === 0) return;
    this.#cut += cut;
    this.#onCut();
  }

  #dropOldest(): void {
    const slab = this.#slabs.shift();
    if (!slab) return;
    this.#bytes -= slab.buffer.length;
    slab.starts.forEach((start, i) => {
      const sequence = slab.firstSequence + i;
      const keys = frameKeyCount(slab.buffer, start);
      if (keys === 0) this.#forgotten.note(everybodyKey(frameNamespace(slab.buffer, start)), sequence);
      for (let k = 0; k < keys; k++) this.#forgotten.note(frameKey(slab.buffer, start, k), sequence);
    });
  }
}

/** Stands for the rooms of a packet that names none. Keys of rooms are not negative. */
function everybodyKey(namespaceId: number): number {
  return -namespaceId;
}

/** Whether a packet is for members of these rooms: first by key, which costs little, then by name. */
function isFor({ namespaceId, rooms, keys }: Audience, buffer: Buffer, start: number, end: number): boolean {
  if (frameNamespace(buffer, start) !== namespaceId) return false;
  const count = frameKeyCount(buffer, start);
  let hit = count === 0;
  for (let i = 0; i < count && !hit; i++) hit = keys.has(frameKey(buffer, start, i));
  if (!hit) return false;
  const fields = new FieldReader(buffer, frameFields(buffer, start), end);
  fields.skip(4);
  const to = fields.names();
  if (to.size > 0 && !overlap(to, rooms)) return false;
  return !overlap(fields.names(), rooms);
}

function overlap(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return true;
  return false;
}
