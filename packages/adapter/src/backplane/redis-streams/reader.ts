/**
 * Reads the streams of a host with one blocking command at a time, and gives their entries in one order.
 * Owns: how far each stream has been read. Runs in: where the hub is.
 */
import type { Connection } from "./connection.js";
import type { Keys } from "./keys.js";
import { bytesOf, readStreams, type StreamEntry } from "./replies.js";

/** So long a reading waits for something to come. */
const BLOCK_MS = 1_000;
/** So many entries of a stream are read at once. */
const MAX_ENTRIES = 256;

/** A frame of the sender may have been sent before a packet of the same batch, but not after it: see `hub/placement.ts`. */
const RANK = { inbox: 0, journal: 1, changes: 2 } as const;
export type Stream = keyof typeof RANK;

export interface ReaderEvents {
  /**
   * Something was read. May hold it back, for as long as it is not clear whether this host is still one of them.
   * @param record the first entry of the journal, if one was read
   */
  beforeEntries(record: StreamEntry | undefined): Promise<void> | undefined;
  onEntry(stream: Stream, entry: StreamEntry): void;
  /** All entries of one reading have been given. */
  afterEntries(): void;
  /** All that was there has been given, for the first time. */
  onCaughtUp(): void;
}

export class Reader {
  readonly #keys: Record<Stream, string>;
  readonly #cursors: Record<Stream, number>;
  readonly #events: ReaderEvents;
  /** Bytes of the inbox that were read and that Redis was not told of. */
  #inboxBytes = 0;
  #isCaughtUp = false;
  #isStopped = false;

  constructor(keys: Keys, host: string, cursors: Record<Stream, number>, events: ReaderEvents) {
    this.#keys = { inbox: keys.inbox(host), journal: keys.journal, changes: keys.changes };
    this.#cursors = { ...cursors };
    this.#events = events;
  }

  /** The number up to which this stream has been read. */
  cursor(stream: Stream): number {
    return this.#cursors[stream];
  }

  /** Whether all that was there when it began has been given. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  get inboxBytes(): number {
    return this.#inboxBytes;
  }

  takeInboxBytes(): number {
    const bytes = this.#inboxBytes;
    this.#inboxBytes = 0;
    return bytes;
  }

  /** Reads until it is stopped, or until the connection fails, which rejects. */
  async run(connection: Connection, deadlineMs: number): Promise<void> {
    while (!this.#isStopped) {
      const streams: Stream[] = ["inbox", "journal", "changes"];
      const reply = await connection.command(
        [
          "XREAD",
          "COUNT",
          String(MAX_ENTRIES),
          ...(this.#isCaughtUp ? ["BLOCK", String(BLOCK_MS)] : []),
          "STREAMS",
          ...streams.map((stream) => this.#keys[stream]),
          ...streams.map((stream) => `${this.#cursors[stream]}-0`),
        ],
        BLOCK_MS + deadlineMs,
      );
      if (this.#isStopped) return;
      const read = readStreams(reply);
      if (read.size > 0) {
        await this.#events.beforeEntries(read.get(this.#keys.journal)?.[0]);
        if (this.#isStopped) return;
      }
      const isAll = this.#give(read);
      if (read.size > 0) this.#events.afterEntries();
      if (isAll && !this.#isCaughtUp) {
        this.#isCaughtUp = true;
        this.#events.onCaughtUp();
      }
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** @returns whether there is no more for now */
  #give(read: ReadonlyMap<string, StreamEntry[]>): boolean {
    const entries: { readonly stream: Stream; readonly entry: StreamEntry }[] = [];
    let end = Number.POSITIVE_INFINITY;
    for (const stream of Object.keys(this.#keys) as Stream[]) {
      const list = read.get(this.#keys[stream]) ?? [];
      for (const entry of list) entries.push({ stream, entry });
      // There may be more: what the other streams have from later comes with the next reading.
      if (list.length >= MAX_ENTRIES) end = Math.min(end, list.at(-1)?.number ?? end);
    }
    entries.sort((a, b) => a.entry.number - b.entry.number || RANK[a.stream] - RANK[b.stream]);
    for (const { stream, entry } of entries) {
      if (entry.number > end || this.#isStopped) return false;
      this.#cursors[stream] = entry.number;
      if (stream === "inbox") this.#inboxBytes += bytesOf(entry.fields.get("f")).length;
      this.#events.onEntry(stream, entry);
    }
    return end === Number.POSITIVE_INFINITY;
  }
}
