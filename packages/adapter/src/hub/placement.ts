/**
 * A recoverable packet's way from its arrival to its receivers: it gets its number, goes into the journal, and
 * from there to the members. Owns: the order, and frames that must not overtake packets without a number.
 * Runs in: where the hub is.
 */
import { BroadcastFlag, FrameKind, frameFields, frameFlags, frameNamespace } from "../wire/frame.js";
import { Offsets } from "../wire/offset.js";
import type { HubMember } from "./hub-member.js";
import { Journal } from "./journal.js";
import type { JournalEntry } from "./journal-slab.js";
import type { MakeOrder, Order } from "./order.js";

export interface PlacementEvents {
  /** Members that have sockets in the rooms that the frame's keys stand for. Valid until the next call. */
  collect(buffer: Buffer, start: number): readonly HubMember[];
  /** A packet has its place, and has gone to these, among which its sender may be. */
  onPlaced(from: HubMember, entry: JournalEntry, targets: readonly HubMember[]): void;
  /** A frame that was held may go on. */
  resume(from: HubMember, frame: Buffer): void;
  /** The journal drops packets before their time. */
  onJournalFull(): void;
}

/** A frame that came behind packets of its sender. */
interface HeldFrame {
  readonly frame: Buffer;
  /** It goes on when so many of the sender's packets have been placed. */
  readonly behind: number;
}

export class Placement {
  readonly journal: Journal;
  readonly #order: Order<HubMember>;
  readonly #events: PlacementEvents;
  readonly #held = new Map<HubMember, HeldFrame[]>();

  constructor(journalBytes: number, makeOrder: MakeOrder<HubMember>, events: PlacementEvents) {
    this.#events = events;
    this.#order = makeOrder((sender, buffer, start, end, sequence) =>
      this.#onNumbered(sender, buffer, start, end, sequence),
    );
    this.journal = new Journal(journalBytes, new Offsets(this.#order.epoch), () => events.onJournalFull());
  }

  /** A packet has arrived. */
  place(from: HubMember, buffer: Buffer, start: number, end: number): void {
    from.records++;
    this.#order.number(from, buffer, start, end);
  }

  /** A packet of another host has its place. @param isPast whether nobody here waits for it */
  placeRemote(buffer: Buffer, start: number, end: number, sequence: number, isPast: boolean): void {
    const targets = isPast ? [] : this.#events.collect(buffer, start);
    const entry = this.#append(buffer, start, end, sequence);
    for (let i = 0; i < targets.length; i++) {
      (targets[i] as HubMember).deliverQuietly(entry.buffer, entry.start, entry.end);
    }
  }

  /** The packets up to this one that have not come never will. */
  skipTo(sequence: number): void {
    this.journal.skipTo(sequence);
  }

  /** Numbers have another meaning, and what is kept has none. @param pastUpTo as {@link Journal.restart} has it */
  restart(epoch: string, pastUpTo: number): void {
    this.journal.restart(new Offsets(epoch), pastUpTo);
  }

  /** Keeps a frame until what came before it from the same member has been placed: see `HubMember.isPlaced`. */
  hold(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const frame = Buffer.from(buffer.subarray(start, end));
    const held = this.#held.get(from) ?? [];
    held.push({ frame, behind: from.records });
    this.#held.set(from, held);
  }

  close(): void {
    this.#order.close();
    this.#held.clear();
  }

  #onNumbered(from: HubMember, buffer: Buffer, start: number, end: number, sequence: number): void {
    const targets = this.#events.collect(buffer, start);
    const entry = this.#append(buffer, start, end, sequence);
    const echo = (frameFlags(buffer, start) & BroadcastFlag.echo) !== 0;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i] as HubMember;
      if (target !== from || !echo) target.deliver(from, entry.buffer, entry.start, entry.end);
    }
    this.#events.onPlaced(from, entry, targets);
    from.placed++;
    // It may have left while its packet waited for a number.
    if (echo && from.isMember) {
      from.outbox.begin(FrameKind.placed, 0, frameNamespace(buffer, start));
      from.outbox.latin1(this.journal.lastOffset);
      from.outbox.end();
    }
    if (this.#held.size > 0) this.#resumeHeld(from);
  }

  #append(buffer: Buffer, start: number, end: number, sequence: number): JournalEntry {
    const fromEnd = buffer.readUInt32LE(frameFields(buffer, start));
    this.journal.skipTo(sequence - 1);
    return this.journal.append(buffer, start, end, fromEnd, sequence);
  }

  #resumeHeld(from: HubMember): void {
    const held = this.#held.get(from);
    if (!held) return;
    const end = held.findIndex(({ behind }) => behind > from.placed);
    const free = held.splice(0, end === -1 ? held.length : end);
    if (held.length === 0) this.#held.delete(from);
    for (const { frame } of free) this.#events.resume(from, frame);
  }
}
