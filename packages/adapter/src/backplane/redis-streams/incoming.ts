/**
 * What a host reads, entry by entry, on its way to the hub.
 * Owns: how far it knows the numbers, the changes and its inbox. Runs in: where the hub is.
 */
import { HoldfastError } from "../../errors.js";
import type { BackplaneEvents } from "../../hub/backplane.js";
import { readEntry } from "./entry.js";
import { InboxLag } from "./inbox-lag.js";
import { lostMembership } from "./outages.js";
import type { Stream } from "./reader.js";
import { bytesOf, numberOf, readChange, type StreamEntry, textOf } from "./replies.js";

/** Packets of this host that have their places, and have not come back. */
export interface OwnRecords {
  /** The number of the first one. */
  readonly first: number;
  readonly count: number;
  /** As they are in the journal. */
  readonly entry: Buffer;
}

export interface IncomingEvents extends BackplaneEvents {
  /** Packets of this host's batch with this number have come back. */
  onSeen(batch: number): void;
  /** Packets up to this number do not come back any more. @returns those of this host, the first ones first */
  takeUnseen(upTo: number): OwnRecords[];
}

/** An entry's number, and what tells it from another one that another server might have given it. */
type Mark = readonly [number: string, mark: string];
const NOTHING: Mark = ["0", ""];

export class Incoming {
  readonly inboxLag = new InboxLag();
  readonly #host: string;
  readonly #prefix: string;
  readonly #events: IncomingEvents;
  /** The highest number of any entry that this host knows of. */
  #seen = 0;
  /** The newest change that it knows of. */
  #change = 0;
  /** The same, without its own that it has not read yet. */
  #readChange = 0;
  #lastRecord = NOTHING;
  #lastChange = NOTHING;
  /** All packets up to this number have been told, or are past. */
  #recordsUpTo = 0;
  /** Of each host, the last batch that had packets and was told, by the number that it had first. */
  readonly #had = new Map<string, number>();
  #inboxCount = 0;
  /** What was placed up to this number is past. */
  #pastUpTo = 0;

  constructor(host: string, prefix: string, events: IncomingEvents) {
    this.#host = host;
    this.#prefix = prefix;
    this.#events = events;
  }

  /** The last entry that was read of the journal, and of the changes: if Redis has them no more, it has lost the newest. */
  get lastRead(): readonly string[] {
    return [...this.#lastRecord, ...this.#lastChange];
  }

  get seen(): number {
    return this.#seen;
  }

  get change(): number {
    return this.#change;
  }

  /** How far the packets have been told: the number of the last one. */
  get recordsUpTo(): number {
    return this.#recordsUpTo;
  }

  /** How many entries its inbox has had up to the last one that was read. */
  get inboxCount(): number {
    return this.#inboxCount;
  }

  /**
   * There is another order, with entries up to this number, and packets up to that one.
   * @param isPast nobody here waits for what is in it
   */
  beginOrder(number: number, sequence: number, isPast: boolean): void {
    this.#seen = number;
    this.#recordsUpTo = isPast ? sequence : 0;
    this.#lastRecord = NOTHING;
    this.#pastUpTo = isPast ? number : 0;
  }

  /** The same order goes on. */
  goOn(number: number): void {
    this.#seen = Math.max(this.#seen, number);
  }

  /** It is a new member, whose inbox is empty, and which knows all changes up to this one. */
  beginMembership(change: number): void {
    this.#inboxCount = 0;
    this.inboxLag.reset();
    this.#change = this.#readChange = change;
    this.#lastChange = NOTHING;
  }

  /** This host has told something, right after what it knew. */
  onTold(change: number): void {
    this.#change = Math.max(this.#change, change);
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN` if something that was told is missing */
  onEntry(stream: Stream, entry: StreamEntry): void {
    this.#seen = Math.max(this.#seen, entry.number);
    const host = textOf(entry.fields.get("h"));
    if (stream === "journal") this.#onJournal(host, entry);
    else if (stream === "inbox") this.#onInbox(host, entry);
    else this.#onChange(host, entry);
  }

  /** Whether packets before this entry of the journal are missing. */
  lacksBefore({ number, fields }: StreamEntry): boolean {
    return number > this.#pastUpTo && numberOf(fields.get("s")) > this.#recordsUpTo + 1;
  }

  /** Packets up to this number that have not been read are not in the journal any more. */
  lose(upTo: number): void {
    for (const { first, count, entry } of this.#events.takeUnseen(upTo)) {
      if (first <= this.#recordsUpTo) continue;
      this.#tellLost(first - 1);
      this.#tellRecords(this.#host, first, false, entry);
      this.#recordsUpTo = first + count - 1;
    }
    this.#tellLost(upTo);
  }

  #tellLost(upTo: number): void {
    if (upTo <= this.#recordsUpTo) return;
    this.#events.onRecordsLost(this.#recordsUpTo + 1, upTo);
    this.#recordsUpTo = upTo;
  }

  #onJournal(host: string, entry: StreamEntry): void {
    const { number, fields } = entry;
    const original = numberOf(fields.get("o"));
    // Another server may lack what this host has had: whoever had not is right to send it again.
    const isAgain = original > 0 && original <= (this.#had.get(host) ?? 0);
    const isPast = number <= this.#pastUpTo || isAgain;
    if (!isPast) this.#had.set(host, original);
    const first = numberOf(fields.get("s"));
    if (this.lacksBefore(entry)) this.lose(first - 1);
    // Otherwise it was taken for lost just before it came.
    if (isPast || first > this.#recordsUpTo) {
      const next = this.#tellRecords(host, first, isPast, bytesOf(fields.get("f")));
      this.#recordsUpTo = Math.max(this.#recordsUpTo, next - 1);
    }
    this.#lastRecord = markOf(entry);
    if (host === this.#host) this.#events.onSeen(numberOf(fields.get("b")));
  }

  /** @returns the number of the packet that comes next */
  #tellRecords(host: string, first: number, isPast: boolean, entry: Buffer): number {
    let sequence = first;
    const isWhole = readEntry(entry, (namespace, buffer, start, end) => {
      this.#events.onRecord(host, namespace, sequence++, isPast, buffer, start, end);
    });
    if (!isWhole) this.#onBroken();
    return sequence;
  }

  #onInbox(host: string, { fields }: StreamEntry): void {
    const count = numberOf(fields.get("k"));
    if (count > this.#inboxCount + 1) this.#events.onGap(count - this.#inboxCount - 1);
    this.#inboxCount = count;
    this.inboxLag.onRead(count);
    const isWhole = readEntry(bytesOf(fields.get("f")), (namespace, buffer, start, end) => {
      this.#events.onFrame(host, namespace, buffer, start, end);
    });
    if (!isWhole) this.#onBroken();
  }

  #onChange(host: string, entry: StreamEntry): void {
    const { number, fields } = entry;
    // Without what was told in between, it is not known what the hosts want.
    if (numberOf(fields.get("p")) !== this.#readChange) throw lostMembership("GAP");
    this.#lastChange = markOf(entry);
    this.#readChange = number;
    this.#change = Math.max(this.#change, number);
    if (host === this.#host) return;
    const type = textOf(fields.get("t"));
    if (type === "host") this.#events.onHost(host);
    else if (type === "gone") {
      const why = textOf(fields.get("r")) === "silent" ? "silent" : "ended";
      if (why === "ended") this.#had.delete(host);
      this.#events.onHostGone(host, why);
    } else this.#events.onChange(host, readChange(fields));
  }

  #onBroken(): void {
    this.#events.onError(
      new HoldfastError(
        "HOLDFAST_ERR_BROKEN_FRAME",
        `What was read from Redis under ${this.#prefix} are not frames of this protocol. ` +
          "Let nothing else write to these keys.",
      ),
    );
  }
}

function markOf({ number, fields }: StreamEntry): Mark {
  return [String(number), textOf(fields.get("m"))];
}
