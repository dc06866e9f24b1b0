/**
 * What a host sends: batches, one after the other, each once and for all.
 * Owns: the batch that is being filled, those that wait, the one on its way, and those whose packets have not come
 * back yet. Runs in: where the hub is.
 *
 * A batch: filling → waiting → on its way → done; and if it has packets, unseen until they are read again.
 */
import { Batch } from "./batch.js";
import type { RedisArgument } from "./clients.js";
import { FULL_BYTES } from "./entry.js";
import type { OwnRecords } from "./incoming.js";
import { type LastBatch, numberOf, textOf } from "./replies.js";
import { Answer } from "./scripts.js";

export interface SenderEvents {
  /** Calls the script with the batch's arguments. It rejects when there is no answer. */
  call(number: number, version: number, args: RedisArgument[]): Promise<readonly unknown[]>;
  /** The newest change that this host knows. */
  version(): number;
  /** What this host has told is in effect, and nobody has told anything since: it knows the newest change. */
  onTold(change: number): void;
  onSessionLost(key: string): void;
  /** The call has failed, or this host is not one of them any more. The batch stays on its way. */
  onFailure(error: unknown): void;
}

/** sending: calls can be made. stopped: they cannot, and batches wait. */
type SenderState = "sending" | "stopped";

export class Sender {
  readonly #events: SenderEvents;
  readonly #maxBytes: number;
  #state: SenderState = "stopped";
  #filling = new Batch();
  #waiting: Batch[] = [];
  #onItsWay: Batch | undefined;
  /** Sent, but their packets have not been read again; the oldest first. */
  #unseen: Batch[] = [];
  /** Called when the batch is done. */
  readonly #callbacks = new Map<Batch, (() => void)[]>();
  #waitingBytes = 0;
  #lastNumber = 0;
  #isCalling = false;
  #flush: NodeJS.Immediate | undefined;
  /** Calls that were made; frames that were thrown away; batches that went to all hosts. */
  readonly counts = { batches: 0, dropped: 0, widened: 0 };

  constructor(maxBytes: number, events: SenderEvents) {
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  /** The batch to add to: it is sent when this turn of the event loop is over. */
  get batch(): Batch {
    if (this.#filling.bytes >= FULL_BYTES) this.#seal();
    if (this.#flush === undefined) this.#flush = setImmediate(() => this.#onTurnEnd());
    return this.#filling;
  }

  /** Whether so much waits that frames are better dropped. */
  get isFull(): boolean {
    return this.#waitingBytes + this.#filling.bytes > this.#maxBytes;
  }

  get backlogBytes(): number {
    return this.#waitingBytes + this.#filling.bytes;
  }

  whenDone(callback: () => void): void {
    const { batch } = this;
    const callbacks = this.#callbacks.get(batch);
    if (callbacks) callbacks.push(callback);
    else this.#callbacks.set(batch, [callback]);
  }

  /** Packets of the batch with this number have been read. */
  seen(number: number): void {
    while (this.#unseen[0] && this.#unseen[0].number <= number) {
      this.#releaseWhenOver(this.#unseen.shift() as Batch);
    }
  }

  /** Packets up to this number are not read again any more. @returns those of this host, the first ones first */
  takeUnseen(upTo: number): OwnRecords[] {
    const end = this.#unseen.findIndex(({ firstRecord }) => firstRecord === 0 || firstRecord > upTo);
    const taken = this.#unseen.splice(0, end === -1 ? this.#unseen.length : end);
    return taken.map((batch) => ({
      first: batch.firstRecord,
      count: batch.recordCount,
      entry: batch.recordsEntry(),
    }));
  }

  /**
   * Goes on, first with the batch that is on its way.
   * @param lastBatch as it is in the order that is there
   */
  start(lastBatch: LastBatch): void {
    this.#state = "sending";
    const batch = this.#onItsWay;
    if (batch && batch.number <= lastBatch.number) {
      batch.firstRecord = lastBatch.firstRecord;
      this.#done(batch);
    }
    this.#next();
  }

  stop(): void {
    this.#state = "stopped";
  }

  /** The other hosts forget what this one has told, and are told everything anew. */
  dropChanges(): void {
    for (const batch of this.#all()) batch.dropChanges();
  }

  /** The keys of all frames say nothing any more. */
  voidKeys(): void {
    for (const batch of [...this.#unseen, ...this.#all()]) batch.voidKeys();
  }

  /** What was sent is gone: packets that have not come back are sent again. */
  sendAgain(): void {
    const lost = this.#unseen.filter((batch) => batch !== this.#onItsWay);
    this.#unseen = [];
    for (const batch of lost) batch.keepRecordsOnly();
    const rest = this.#onItsWay ? [this.#onItsWay] : [];
    this.#onItsWay = undefined;
    this.#waiting = [...lost, ...rest, ...this.#waiting];
    this.#weigh();
  }

  /** Nobody waits for any of it any more. */
  dropAll(): void {
    for (const batch of this.#all()) this.counts.dropped += batch.dropFrames();
    this.#filling = new Batch();
    this.#waiting = [];
    this.#unseen = [];
    this.#onItsWay = undefined;
    this.#weigh();
    const callbacks = [...this.#callbacks.values()].flat();
    this.#callbacks.clear();
    for (const callback of callbacks) callback();
  }

  close(): void {
    this.stop();
    clearImmediate(this.#flush);
    this.dropAll();
  }

  *#all(): Iterable<Batch> {
    if (this.#onItsWay) yield this.#onItsWay;
    yield* this.#waiting;
    yield this.#filling;
  }

  #seal(): void {
    this.#waiting.push(this.#filling);
    this.#waitingBytes += this.#filling.bytes;
    this.#filling = new Batch();
  }

  #weigh(): void {
    this.#waitingBytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #onTurnEnd(): void {
    this.#flush = undefined;
    this.#next();
  }

  /** Sends what is next, unless something is on its way. */
  #next(): void {
    if (this.#state !== "sending") return;
    if (this.#onItsWay) return void this.#send(this.#onItsWay);
    if (this.#waiting.length === 0) {
      if (this.#filling.isEmpty) return this.#callBack(this.#filling);
      this.#seal();
    }
    const batch = this.#waiting.shift() as Batch;
    this.#waitingBytes -= batch.bytes;
    batch.number = ++this.#lastNumber;
    batch.firstNumber ||= batch.number;
    if (batch.recordCount > 0) this.#unseen.push(batch);
    this.#onItsWay = batch;
    void this.#send(batch);
  }

  async #send(batch: Batch): Promise<void> {
    if (this.#isCalling) return;
    this.#isCalling = true;
    batch.calls++;
    try {
      const version = batch.version ?? this.#events.version();
      const answer = await this.#events.call(batch.number, version, batch.arguments());
      this.#isCalling = false;
      if (this.#onItsWay !== batch) return this.#next();
      this.#read(batch, answer);
    } catch (error) {
      this.#isCalling = false;
      this.#events.onFailure(error);
    }
  }

  #read(batch: Batch, answer: readonly unknown[]): void {
    const [result, number, widened, stale, firstRecord, ...lost] = answer;
    if (textOf(result) !== Answer.ok) return this.#events.onFailure(textOf(result));
    batch.answers++;
    batch.firstRecord = numberOf(firstRecord);
    this.counts.batches++;
    if (numberOf(widened) === 1) this.counts.widened++;
    if (batch.tells && numberOf(stale) === 0) this.#events.onTold(numberOf(number));
    for (const key of lost) this.#events.onSessionLost(textOf(key));
    this.#done(batch);
    this.#next();
  }

  #done(batch: Batch): void {
    this.#onItsWay = undefined;
    this.#callBack(batch);
    this.#releaseWhenOver(batch);
  }

  #releaseWhenOver(batch: Batch): void {
    if (batch.isBack && !this.#unseen.includes(batch)) batch.release();
  }

  #callBack(batch: Batch): void {
    const callbacks = this.#callbacks.get(batch);
    if (!callbacks) return;
    this.#callbacks.delete(batch);
    for (const callback of callbacks) callback();
  }
}
