/**
 * What a client has missed: read from the journal in order, in portions, for what there is to read.
 * Owns: the entries that were found and not taken yet. Runs in: where the hub is.
 *
 * The chains of the client's rooms lead from new to old, so they are followed first and merged then. What is
 * placed between two portions is found with the next one; what is dropped in between is noticed.
 */
import { FieldReader } from "../wire/field-reader.js";
import { frameFields } from "../wire/frame.js";
import type { Offsets } from "../wire/offset.js";
import type { Journal, RoomKeys } from "./journal.js";
import type { JournalEntry, JournalSlab } from "./journal-slab.js";
import { RisingRuns } from "./rising-runs.js";
import { EVERYBODY } from "./room-chains.js";

/** Some milliseconds of work: so many links of chains are followed for one portion … */
const MAX_LINKS = 200_000;
/** … and so many packets looked at. */
const MAX_PACKETS = 2_000;

/** Whose packets these are. */
export interface Audience extends RoomKeys {
  readonly rooms: ReadonlySet<string>;
}

export interface Portion {
  readonly packets: readonly JournalEntry[];
  /** Whether these are the last that have been placed by now. */
  readonly isLast: boolean;
}

/** A chain that is being followed. */
interface Chain {
  readonly run: number[];
  /** The entry that comes next. */
  next: number;
}

export class MissedPackets {
  readonly #journal: Journal;
  /** The order that this began in. */
  readonly #offsets: Offsets;
  readonly #audience: Audience;
  /** Everything up to this packet has been taken, or was never missed. */
  #sequence: number;
  /** Entries up to this one are in `#runs` or taken. */
  #foundUpTo: number;
  readonly #runs = new RisingRuns();
  /** Chains that are followed from `#findingFrom` back to `#foundUpTo`. */
  readonly #chains: Chain[] = [];
  #findingFrom = 0;

  private constructor(journal: Journal, audience: Audience, sequence: number) {
    this.#journal = journal;
    this.#offsets = journal.offsets;
    this.#audience = audience;
    this.#sequence = sequence;
    this.#foundUpTo = this.#findingFrom = journal.lastEntryUpTo(sequence);
  }

  /** @returns undefined when the offset is not one of this order, or something after it may have been dropped */
  static since(offset: string, journal: Journal, audience: Audience): MissedPackets | undefined {
    const sequence = journal.offsets.parse(offset);
    if (sequence === undefined || sequence > journal.lastSequence) return undefined;
    if (journal.mayLack(sequence, audience)) return undefined;
    return new MissedPackets(journal, audience, sequence);
  }

  /**
   * Takes the next packets, `maxBytes` of them or one that is larger.
   * @returns undefined when some may have been dropped since the last portion
   */
  take(maxBytes: number): Portion | undefined {
    if (this.#journal.offsets !== this.#offsets) return undefined;
    if (this.#journal.mayLack(this.#sequence, this.#audience)) return undefined;
    if (!this.#find()) return { packets: [], isLast: false };
    const packets: JournalEntry[] = [];
    let slab: JournalSlab | undefined;
    let bytes = 0;
    for (let looks = 0; looks < MAX_PACKETS && bytes < maxBytes && !this.#runs.isEmpty; looks++) {
      const entry = this.#runs.take();
      if (!slab || entry >= slab.firstEntry + slab.entryCount) slab = this.#slabOf(entry);
      const packet = slab.packetOf(entry);
      // It is for several of the client's rooms, and was here before; or it is past, and has come only now.
      if (packet.sequence <= this.#sequence) continue;
      this.#sequence = packet.sequence;
      if (!isFor(this.#audience.rooms, packet)) continue;
      packets.push(packet);
      bytes += packet.end - packet.start;
    }
    return { packets, isLast: this.#runs.isEmpty };
  }

  /** Finds what has been placed since it was last done. @returns false if there is more to follow */
  #find(): boolean {
    if (this.#chains.length === 0) this.#findHeads();
    let links = 0;
    for (let chain = this.#chains.at(-1); chain; chain = this.#chains.at(-1)) {
      links += this.#follow(chain, MAX_LINKS - links);
      if (chain.next !== 0) return false;
      this.#runs.add(chain.run);
      this.#chains.pop();
    }
    this.#foundUpTo = this.#findingFrom;
    return true;
  }

  #findHeads(): void {
    const { namespaceId, keys } = this.#audience;
    this.#findingFrom = this.#journal.lastEntry;
    if (this.#findingFrom === this.#foundUpTo) return;
    this.#findHead(namespaceId, EVERYBODY);
    for (const key of keys) this.#findHead(namespaceId, key);
  }

  #findHead(namespaceId: number, key: number): void {
    const next = this.#journal.newestEntry(namespaceId, key);
    if (next > this.#foundUpTo) this.#chains.push({ run: [], next });
  }

  /** Follows a chain for so many links; its `next` is 0 at its end. @returns how many links they were */
  #follow(chain: Chain, maxLinks: number): number {
    const end = Math.max(this.#foundUpTo, this.#journal.firstEntry - 1);
    const { run } = chain;
    let { next } = chain;
    let links = 0;
    let slab: JournalSlab | undefined;
    for (; next > end && links < maxLinks; links++) {
      run.push(next);
      if (!slab || next < slab.firstEntry) slab = this.#slabOf(next);
      const distance = slab.distance(next);
      next = distance === 0 ? 0 : next - distance;
    }
    chain.next = next > end ? next : 0;
    return links;
  }

  #slabOf(entry: number): JournalSlab {
    // `mayLack()` has said that what was found is there.
    return this.#journal.slabOf(entry) as JournalSlab;
  }
}

/** Whether a packet is for who is in these rooms: two rooms may have one key. */
function isFor(joined: ReadonlySet<string>, { buffer, start, end }: JournalEntry): boolean {
  const fields = new FieldReader(buffer, frameFields(buffer, start), end);
  fields.skip(8);
  const rooms = fields.names();
  if (rooms.size > 0 && !overlap(rooms, joined)) return false;
  return !overlap(fields.names(), joined);
}

function overlap(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return true;
  return false;
}
