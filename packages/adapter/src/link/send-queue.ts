/**
 * What waits for a link. The link itself is given little at a time: so what is urgent need not wait behind
 * megabytes, what has to wait can be held back, and progress shows while a large message is under way.
 * Owns: the chunks that the link has not been given. Runs in: primary and workers.
 *
 * Chunks that have begun, or go ahead of the others, go whatever happens. Those that wait, each of whole frames,
 * follow in order, unless they are held back.
 */
import type { Sink } from "./contract.js";

/** What a link is given at a time. More than Node.js's sockets take before they promise a "drain" event. */
export const LINK_BYTES = 128 * 1024;

export class SendQueue implements Sink {
  readonly #link: Sink;
  readonly #onBlocked: () => void;
  readonly #begun = new ChunkList();
  readonly #waiting = new ChunkList();
  #held = false;
  /** What begun and waiting chunks have. */
  #queuedBytes = 0;
  #writtenBytes = 0;

  /** @param onBlocked the link does not take what is written any more: from now on, it waits here */
  constructor(link: Sink, onBlocked: () => void = () => {}) {
    this.#link = link;
    this.#onBlocked = onBlocked;
  }

  get pendingBytes(): number {
    return this.#queuedBytes + this.#link.pendingBytes;
  }

  /** Bytes that the system has taken since the beginning: while this grows, the other end takes something. */
  get takenBytes(): number {
    return this.#writtenBytes - this.pendingBytes;
  }

  /** Whether what is written now goes to the link at once. */
  get isFlowing(): boolean {
    return this.#queuedBytes === 0 && !this.#held && this.#link.pendingBytes <= LINK_BYTES;
  }

  /** @param chunks each of whole frames */
  write(chunks: readonly Buffer[]): void {
    const bytes = sizeOf(chunks);
    this.#writtenBytes += bytes;
    if (!this.isFlowing) this.#wait(chunks, bytes, this.#waiting);
    else if (bytes <= LINK_BYTES) this.#link.write(chunks);
    else this.#wait(chunks, bytes, this.#begun);
  }

  /** Writes whole frames that do not wait behind others and are not held back. */
  writeAhead(chunk: Buffer): void {
    this.#writtenBytes += chunk.length;
    this.#wait([chunk], chunk.length, this.#begun);
  }

  /** Holds back what waits, and what is written from now on. */
  hold(): void {
    this.#held = true;
  }

  /** Lets go of it. */
  release(): void {
    this.#held = false;
    this.#giveMore();
  }

  /** Call when the link says that the system has taken something. */
  onTaken(): void {
    this.#giveMore();
  }

  /** Gives everything to the link, also what is held back: the link is about to be ended. */
  giveAll(): void {
    this.#held = false;
    this.#give(Number.POSITIVE_INFINITY);
  }

  /** Forgets what the link has not been given. */
  discard(): void {
    this.#begun.clear();
    this.#waiting.clear();
    this.#queuedBytes = 0;
  }

  #wait(chunks: readonly Buffer[], bytes: number, list: ChunkList): void {
    const wasEmpty = this.#queuedBytes === 0;
    for (const chunk of chunks) list.push(chunk);
    this.#queuedBytes += bytes;
    this.#giveMore();
    if (wasEmpty && this.#queuedBytes > 0) this.#onBlocked();
  }

  #giveMore(): void {
    // A link may take all of it at once, and say nothing then.
    while (this.#queuedBytes > 0) {
      const room = LINK_BYTES - this.#link.pendingBytes;
      if (room <= 0 || !this.#give(room)) return;
    }
  }

  /** @returns whether there was something to give */
  #give(room: number): boolean {
    const chunks: Buffer[] = [];
    for (let left = room; left > 0; ) {
      const chunk = this.#begun.take(left) ?? this.#beginNext(left);
      if (!chunk) break;
      chunks.push(chunk);
      left -= chunk.length;
      this.#queuedBytes -= chunk.length;
    }
    if (chunks.length === 0) return false;
    this.#link.write(chunks);
    return true;
  }

  /** The first chunk that waits. What does not fit stays in front: nothing goes between the parts of a frame. */
  #beginNext(most: number): Buffer | undefined {
    const chunk = this.#held ? undefined : this.#waiting.take(Number.POSITIVE_INFINITY);
    if (!chunk) return undefined;
    this.#begun.push(chunk);
    return this.#begun.take(most);
  }
}

/** Chunks, first in, first out. Neighbours in memory become one: a backlog of small frames is few objects. */
class ChunkList {
  #chunks: Buffer[] = [];
  /** Chunks before this one have been taken. */
  #first = 0;

  push(chunk: Buffer): void {
    const last = this.#chunks.length - 1;
    const before = last >= this.#first ? this.#chunks[last] : undefined;
    if (before && isNext(chunk, before)) this.#chunks[last] = joined(before, chunk);
    else this.#chunks.push(chunk);
  }

  /** Takes the first chunk, or as much of it as is asked for. */
  take(most: number): Buffer | undefined {
    const chunk = this.#chunks[this.#first];
    if (!chunk) return undefined;
    const part = chunk.length > most ? chunk.subarray(0, most) : chunk;
    if (part === chunk) this.#shift();
    else this.#chunks[this.#first] = chunk.subarray(most);
    return part;
  }

  clear(): void {
    this.#chunks = [];
    this.#first = 0;
  }

  /** `Array.shift()` moves all that follow. */
  #shift(): void {
    this.#first++;
    if (this.#first * 2 < this.#chunks.length) return;
    this.#chunks = this.#chunks.slice(this.#first);
    this.#first = 0;
  }
}

function isNext(chunk: Buffer, before: Buffer): boolean {
  return chunk.buffer === before.buffer && chunk.byteOffset === before.byteOffset + before.length;
}

function joined(before: Buffer, chunk: Buffer): Buffer {
  return Buffer.from(before.buffer, before.byteOffset, before.length + chunk.length);
}

function sizeOf(chunks: readonly Buffer[]): number {
  let bytes = 0;
  for (let i = 0; i < chunks.length; i++) bytes += (chunks[i] as Buffer).length;
  return bytes;
}
