/**
 * The frames of the last moments that have not gone to everybody. A join counts from the call, but the hub hears of
 * it later: what came for the room in between is here.
 * Bounded in time and in bytes; the oldest go first. Runs in: where the hub is.
 * Owns: pages of memory that are used again and again, and the timer that gives them back when nothing comes.
 *
 * Frames that come one behind the other are a run: they are copied at once, when the hub is done with what it has
 * read. So what a frame costs is a note of who has got it.
 */
import { frameLength, frameNamespace, voidAllKeys } from "../wire/frame.js";
import { REUSED_BYTES } from "../wire/frame-reader.js";
import { machineTime } from "../wire/machine-time.js";
import { FramePage, PAGE_BYTES, type Receiver } from "./frame-page.js";

/** A report that is older than what is kept was on its way for seconds, or behind tens of megabytes. */
const KEPT_BYTES = 32 * PAGE_BYTES;
const KEPT_MS = 5_000;

/** What a receiver may have missed: frames of a namespace since a time on the clock of {@link machineTime}. */
export interface Missed {
  readonly namespaceId: number;
  readonly since: number;
  isFor(buffer: Buffer, start: number): boolean;
}

export class RecentFrames {
  readonly #now: () => number;
  /** The oldest first. */
  readonly #pages: FramePage[] = [];
  /** The last one, which grows. */
  #page: FramePage | undefined;
  #bytes = 0;
  /** Those that are not in use: under load, several are dropped at once, and needed again soon. */
  #spares: FramePage[] = [];
  /** So many of them were not needed since the timer's last turn. */
  #idleSpares = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Frames up to this time are not here any more. */
  #droppedAt = Number.NEGATIVE_INFINITY;
  #banks = 1;

  /** The run that is growing, the last of `#page`: `[#from, #to)` of `#chunk`, which `#sender` has sent. */
  #chunk: Buffer | undefined;
  #sender = 0;
  #from = 0;
  #to = 0;

  constructor(now: () => number = machineTime) {
    this.#now = now;
  }

  /** There are receivers in so many banks. */
  growTo(banks: number): void {
    if (banks <= this.#banks) return;
    this.#banks = banks;
    for (const page of this.#pages) page.growTo(banks);
    this.#spares = [];
    this.#idleSpares = 0;
  }

  /**
   * Keeps `[start, end)` of `buffer`: one frame. Unless it is larger than {@link REUSED_BYTES}, it may be overwritten
   * after {@link endChunk}.
   */
  keep(sender: number, buffer: Buffer, start: number, end: number, receivers: readonly Receiver[]): void {
    const goesOn = buffer === this.#chunk && start === this.#to && sender === this.#sender;
    if (!goesOn || end - this.#from > (this.#page as FramePage).freeBytes)
      this.#begin(sender, buffer, start, end);
    this.#to = end;
    (this.#page as FramePage).note(receivers);
  }

  /** The hub is done with what it has read. */
  endChunk(): void {
    this.#endRun();
  }

  /** Whether anything has come since then. */
  hasSince(since: number): boolean {
    return this.#page !== undefined && this.#page.lastAt >= since;
  }

  /** Whether something that has come since then may not be here any more. */
  lacksSince(since: number): boolean {
    return since <= this.#droppedAt;
  }

  /** Gives the frames that the receiver has missed, in order, and notes that it has got them. */
  giveMissed(
    receiver: Receiver,
    missed: Missed,
    give: (buffer: Buffer, start: number, end: number) => void,
  ): void {
    this.#forEach(missed, (page, frame, sender, buffer, start, end) => {
      if (sender === receiver.id || page.has(frame, receiver) || !missed.isFor(buffer, start)) return;
      page.add(frame, receiver);
      give(buffer, start, end);
    });
  }

  /** What the receiver was sent of these frames went to an earlier server of the namespace. */
  takeBack(receiver: Receiver, missed: Omit<Missed, "isFor">): void {
    this.#forEach(missed, (page, frame) => page.remove(frame, receiver));
  }

  /** The keys of all that is kept say nothing any more. */
  voidKeys(): void {
    this.#endRun();
    for (const page of this.#pages) {
      for (let run = 0; run < page.runs; run++) {
        const { buffer, from, to } = page.run(run);
        voidAllKeys(buffer, from, to);
      }
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#chunk = this.#page = undefined;
    this.#pages.length = this.#spares.length = 0;
    this.#bytes = 0;
  }

  #forEach(
    { namespaceId, since }: Omit<Missed, "isFor">,
    visit: (
      page: FramePage,
      frame: number,
      sender: number,
      buffer: Buffer,
      start: number,
      end: number,
    ) => void,
  ): void {
    this.#endRun();
    for (const page of this.#pages) {
      if (page.lastAt < since) continue;
      for (let run = page.firstRunSince(since); run < page.runs; run++) {
        const { buffer, sender, from, to, firstFrame } = page.run(run);
        let frame = firstFrame;
        for (let at = from; at < to; frame++) {
          const end = at + frameLength(buffer, at);
          if (frameNamespace(buffer, at) === namespaceId) visit(page, frame, sender, buffer, at, end);
          at = end;
        }
      }
    }
  }

  #begin(sender: number, buffer: Buffer, start: number, end: number): void {
    this.#endRun();
    const isLarge = end - start > REUSED_BYTES;
    if (!this.#page || (isLarge ? this.#page.isHeavy : this.#page.freeBytes < end - start)) this.#addPage();
    const page = this.#page as FramePage;
    if (isLarge) {
      page.refer(this.#now(), sender, buffer, start, end);
      this.#bytes += end - start;
      this.#bound(0);
      return;
    }
    page.begin(this.#now(), sender);
    this.#chunk = buffer;
    this.#sender = sender;
    this.#from = start;
  }

  #endRun(): void {
    const chunk = this.#chunk;
    if (!chunk) return;
    this.#chunk = undefined;
    (this.#page as FramePage).fill(chunk, this.#from, this.#to);
  }

  #addPage(): void {
    this.#expire();
    this.#bound(PAGE_BYTES);
    this.#page = this.#spares.pop() ?? new FramePage(this.#banks);
    this.#idleSpares = Math.min(this.#idleSpares, this.#spares.length);
    this.#bytes += PAGE_BYTES;
    this.#pages.push(this.#page);
    this.#timer ??= setInterval(() => this.#onTimer(), KEPT_MS).unref();
  }

  #onTimer(): void {
    this.#expire();
    this.#spares.splice(0, this.#idleSpares);
    this.#idleSpares = this.#spares.length;
    if (this.#pages.length + this.#spares.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Drops what is too old. */
  #expire(): void {
    const threshold = this.#now() - KEPT_MS * 1_000;
    while (this.#pages[0] && this.#pages[0].lastAt < threshold) this.#dropOldest();
  }

  /** Drops what is too much when `bytes` more come; what came last stays. */
  #bound(bytes: number): void {
    while (this.#pages.length > 1 && this.#bytes + bytes > KEPT_BYTES) this.#dropOldest();
  }

  #dropOldest(): void {
    const page = this.#pages.shift();
    if (!page) return;
    if (page === this.#page) this.#page = undefined;
    this.#bytes -= PAGE_BYTES + page.referredBytes;
    this.#droppedAt = page.lastAt;
    page.clear();
    this.#spares.push(page);
  }
}
