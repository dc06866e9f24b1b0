/**
 * Which of a member's queries are on their way, and which wait for their turn. A query is a request that workers
 * answer at once, with much: `fetchSockets()`. All answers come to this process, so queries go one after the other
 * when answers are large, and several at a time when they are small.
 * Owns: the queue, and a timer while somebody is in it. Runs in: workers; in the primary for its emitters.
 *
 * A query that waits only for members that have been silent for a while gives up its place: it stays open until
 * its deadline, and those behind it need not wait for the silent ones, too.
 */

/** About so much may be on its way in answers. */
const WINDOW_BYTES = 4 * 1024 * 1024;
const MAX_QUERIES = 32;
/** What the answers to one query are taken for until some have come. */
const FIRST_BYTES = WINDOW_BYTES / 4;
/** Large answers are remembered for some time: queries of different kinds may take turns. */
const MEMORY = 0.9;
const TICK_MS = 500;
/** A member is silent when nothing has come from it between so many ticks. */
const SILENT_TICKS = 4;

interface Query {
  /** Of answers that have come. */
  bytes: number;
  /** For how many ticks nothing has come from those that it waits for. */
  ticks: number;
}

export class RequestWindow {
  readonly #missingOf: (id: number) => Iterable<number> | undefined;
  /** In order. */
  readonly #queue = new Map<number, () => void>();
  readonly #asked = new Map<number, Query>();
  readonly #silent = new Set<number>();
  /** Members from which something has come since the last tick. */
  readonly #heard = new Set<number>();
  #expectedBytes = FIRST_BYTES;
  #isSending = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param missingOf the members whose answer is missing; undefined until the hub has said whom it asked */
  constructor(missingOf: (id: number) => Iterable<number> | undefined) {
    this.#missingOf = missingOf;
  }

  /** Queries that wait for their turn. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Calls `send` when it is the query's turn, perhaps at once. It may throw only then. */
  enter(id: number, send: () => void): void {
    this.#queue.set(id, send);
    this.#sendNext();
  }

  /** The query is settled. */
  leave(id: number): void {
    const asked = this.#asked.get(id);
    if (asked) this.#expectedBytes = Math.max(asked.bytes, this.#expectedBytes * MEMORY);
    this.drop(id);
    this.#sendNext();
  }

  /** It is about to be settled, and no other is to take its place yet. */
  drop(id: number): void {
    this.#queue.delete(id);
    this.#asked.delete(id);
  }

  /** A member has answered something; it may be the query. */
  onAnswer(id: number, member: number, bytes: number): void {
    if (this.#queue.size > 0) this.#heard.add(member);
    this.#silent.delete(member);
    const asked = this.#asked.get(id);
    if (asked) asked.bytes += bytes;
  }

  /** A member has no more to say to the query. */
  onFinal(id: number): void {
    if (this.#silent.size === 0 || !this.#asked.has(id)) return;
    for (const member of this.#missingOf(id) ?? []) if (!this.#silent.has(member)) return;
    this.#asked.delete(id);
    this.#sendNext();
  }

  /** The member is gone. */
  forget(member: number): void {
    this.#silent.delete(member);
  }

  get #places(): number {
    return Math.max(1, Math.min(MAX_QUERIES, Math.floor(WINDOW_BYTES / this.#expectedBytes)));
  }

  #sendNext(): void {
    // What is sent may be settled at once, for lack of a hub: that is not the time to send the next one.
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (const [id, send] of this.#queue) {
        if (this.#asked.size >= this.#places) break;
        this.#queue.delete(id);
        this.#asked.set(id, { bytes: 0, ticks: 0 });
        send();
      }
    } finally {
      this.#isSending = false;
      if (this.#queue.size > 0) this.#timer ??= setTimeout(() => this.#onTick(), TICK_MS).unref();
    }
  }

  #onTick(): void {
    this.#timer = undefined;
    for (const [id, query] of this.#asked) this.#lookAt(id, query);
    this.#heard.clear();
    this.#sendNext();
  }

  #lookAt(id: number, query: Query): void {
    const missing = [...(this.#missingOf(id) ?? [])];
    const isQuiet = missing.length > 0 && !missing.some((member) => this.#heard.has(member));
    query.ticks = isQuiet ? query.ticks + 1 : 0;
    if (query.ticks < SILENT_TICKS) return;
    this.#asked.delete(id);
    for (const member of missing) this.#silent.add(member);
  }
}
