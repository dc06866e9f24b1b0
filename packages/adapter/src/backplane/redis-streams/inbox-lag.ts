/**
 * How long what other hosts send waits in this host's inbox.
 * Owns: how much has been read, and what it has not read up to yet. Runs in: where the hub is.
 *
 * Redis says with each renewal of the lease how many entries the inbox has had. The time until they are read is the lag;
 * so no entry needs a time of its own, and no two clocks are compared.
 */
export class InboxLag {
  /** What waited when it was last looked at. */
  bytes = 0;
  #read = 0;
  #lastMs = 0;
  /** Entries that were there at that time, and have not been read. */
  #unread: { readonly entries: number; readonly since: number } | undefined;

  /** Grows while something is not read. */
  get ms(): number {
    if (!this.#unread) return this.#lastMs;
    return Math.max(this.#lastMs, performance.now() - this.#unread.since);
  }

  /** The inbox is empty, and counts anew. */
  reset(): void {
    this.bytes = this.#read = this.#lastMs = 0;
    this.#unread = undefined;
  }

  /**
   * Redis has been asked.
   * @param entries that the inbox has had
   * @param bytes that are not read
   * @param askedAt by the clock of `performance`
   */
  onLook(entries: number, bytes: number, askedAt: number): void {
    this.bytes = bytes;
    // What was there at an earlier look has waited for longer.
    if (this.#unread) return;
    if (entries > this.#read) this.#unread = { entries, since: askedAt };
    else this.#lastMs = 0;
  }

  /** All entries up to this one have been read. */
  onRead(entries: number): void {
    this.#read = entries;
    if (!this.#unread || entries < this.#unread.entries) return;
    this.#lastMs = performance.now() - this.#unread.since;
    this.#unread = undefined;
  }
}
