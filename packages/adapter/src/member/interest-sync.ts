/**
 * When this worker's reports of interest go on the wire, and who waits until the hub acts on them.
 * Owns: the list of what has to be reported, the timer of late reports, the waiters. Runs in: workers.
 *
 * A report goes
 * - before the next frame of any kind, so that what a frame leads to finds the rooms that were joined before;
 * - at the end of the turn, if sockets have joined: until then the hub has to send on what comes for them;
 * - after {@link LATE_MS} otherwise: that sockets have left can wait for others who leave.
 */
import type { Outgoing } from "./outgoing.js";
import type { InterestReporter } from "./port-contract.js";
import { SyncWaiters } from "./sync-waiters.js";

/** How long the hub may believe that sockets are in rooms that they have left. */
const LATE_MS = 100;

export class InterestSync {
  readonly #waiters = new SyncWaiters();
  #outgoing: Outgoing | undefined;
  /** Namespaces with interest that is not on the wire. */
  #dirty: InterestReporter[] = [];
  /** Namespaces that the hub does not know yet, and that have still to report their rooms. */
  #opening = 0;
  #lateFlush: NodeJS.Timeout | undefined;

  /** There is a link: reports go this way. */
  open(outgoing: Outgoing): void {
    this.#outgoing = outgoing;
  }

  /** The port has interest to report. */
  markDirty(port: InterestReporter): void {
    this.#dirty.push(port);
    this.#lateFlush ??= setTimeout(() => {
      this.#lateFlush = undefined;
      if (this.#dirty.length > 0) this.#outgoing?.flush();
    }, LATE_MS).unref();
  }

  /** The hub has been told of a namespace. */
  onOpening(): void {
    this.#opening++;
  }

  /** The hub knows a namespace. @param open what follows from that; it may have rooms to report */
  onOpened(open: () => void): void {
    this.#opening--;
    open();
    if (this.#dirty.length === 0) this.#onWritten();
    else this.#outgoing?.schedule();
  }

  /** Settles when the hub acts on all interest up to now; undefined when it does already. */
  synced(isJoined: boolean): Promise<void> | undefined {
    if (!isJoined || this.#dirty.length > 0 || this.#opening > 0) {
      this.#outgoing?.schedule();
      return this.#waiters.next();
    }
    return this.#waiters.last;
  }

  /** Writes all reports; call before a frame is begun and when a flush begins. */
  write(): void {
    if (!this.#outgoing || this.#dirty.length === 0) return;
    const outgoing = this.#outgoing;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const port of dirty) {
      port.writeInterest(
        () => outgoing.ahead,
        () => this.#waiters.nextSequence(),
      );
    }
    this.#onWritten();
  }

  /** The hub acts on all interest up to this frame. */
  onSynced(sequence: number): void {
    this.#waiters.synced(sequence);
  }

  /** There is no hub: nobody waits for its word any longer. */
  close(): void {
    this.#outgoing = undefined;
    this.#dirty = [];
    this.#opening = 0;
    clearTimeout(this.#lateFlush);
    this.#lateFlush = undefined;
    this.#waiters.release();
  }

  #onWritten(): void {
    if (this.#opening === 0) this.#waiters.written();
  }
}
