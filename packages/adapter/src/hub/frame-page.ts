/**
 * A page of recent frames: runs of them, and for each frame a mask of who has got it, by bank.
 * Owns: its memory, which is used again when the page is cleared. Runs in: where the hub is.
 */

export const PAGE_BYTES = 1024 * 1024;
const HEAVY_BYTES = 4 * PAGE_BYTES;
const MIN_NOTES = 64;

/** A member, as the masks know it: the bit of its slot among those of its bank. */
export interface Receiver {
  readonly id: number;
  readonly bank: number;
  readonly bit: number;
}

/** Frames one behind the other that came together. */
interface Run {
  readonly buffer: Buffer;
  readonly sender: number;
  readonly from: number;
  readonly to: number;
  readonly firstFrame: number;
}

export class FramePage {
  readonly #bytes = Buffer.allocUnsafeSlow(PAGE_BYTES);
  #usedBytes = 0;
  /** Of large frames, which are kept where they are. */
  referredBytes = 0;
  #banks: number;
  #frames = 0;
  #got: Int32Array;
  runs = 0;
  #cameAt = new Float64Array(MIN_NOTES);
  #senders = new Int32Array(MIN_NOTES);
  #firstFrames = new Int32Array(MIN_NOTES);
  #from = new Int32Array(MIN_NOTES);
  #to = new Int32Array(MIN_NOTES);
  readonly #buffers: Buffer[] = [];

  constructor(banks: number) {
    this.#banks = banks;
    this.#got = new Int32Array(MIN_NOTES * banks);
  }

  get freeBytes(): number {
    return PAGE_BYTES - this.#usedBytes;
  }

  /** Whether it refers to so much that its own memory, which may be empty, is little beside it. */
  get isHeavy(): boolean {
    return this.referredBytes >= HEAVY_BYTES;
  }

  get lastAt(): number {
    return this.runs === 0 ? Number.NEGATIVE_INFINITY : (this.#cameAt[this.runs - 1] as number);
  }

  /** A run begins whose bytes {@link fill} will bring. */
  begin(cameAt: number, sender: number): void {
    this.#addRun(cameAt, sender, this.#bytes, this.#usedBytes, this.#usedBytes);
  }

  fill(chunk: Buffer, from: number, to: number): void {
    chunk.copy(this.#bytes, this.#usedBytes, from, to);
    this.#usedBytes += to - from;
    this.#to[this.runs - 1] = this.#usedBytes;
  }

  /** A run of one frame that stays where it is. */
  refer(cameAt: number, sender: number, buffer: Buffer, from: number, to: number): void {
    this.referredBytes += to - from;
    this.#addRun(cameAt, sender, buffer, from, to);
  }

  /** The next frame of the last run; these have got it. */
  note(receivers: readonly Receiver[]): void {
    const at = this.#frames++ * this.#banks;
    if (at === this.#got.length) this.#got = twice(this.#got);
    const got = this.#got;
    for (let bank = 0; bank < this.#banks; bank++) got[at + bank] = 0;
    for (let i = 0; i < receivers.length; i++) {
      const { bank, bit } = receivers[i] as Receiver;
      got[at + bank] = (got[at + bank] as number) | bit;
    }
  }

  has(frame: number, { bank, bit }: Receiver): boolean {
    return ((this.#got[frame * this.#banks + bank] as number) & bit) !== 0;
  }

  add(frame: number, { bank, bit }: Receiver): void {
    const at = frame * this.#banks + bank;
    this.#got[at] = (this.#got[at] as number) | bit;
  }

  remove(frame: number, { bank, bit }: Receiver): void {
    const at = frame * this.#banks + bank;
    this.#got[at] = (this.#got[at] as number) & ~bit;
  }

  run(index: number): Run {
    return {
      buffer: this.#buffers[index] as Buffer,
      sender: this.#senders[index] as number,
      from: this.#from[index] as number,
      to: this.#to[index] as number,
      firstFrame: this.#firstFrames[index] as number,
    };
  }

  firstRunSince(since: number): number {
    let [low, high] = [0, this.runs];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#cameAt[middle] as number) < since) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  growTo(banks: number): void {
    const got = new Int32Array((this.#got.length / this.#banks) * banks);
    for (let frame = 0; frame < this.#frames; frame++) {
      for (let bank = 0; bank < this.#banks; bank++) {
        got[frame * banks + bank] = this.#got[frame * this.#banks + bank] as number;
      }
    }
    this.#banks = banks;
    this.#got = got;
  }

  clear(): void {
    this.#usedBytes = this.referredBytes = 0;
    this.#frames = this.runs = 0;
    this.#buffers.length = 0;
  }

  #addRun(cameAt: number, sender: number, buffer: Buffer, from: number, to: number): void {
    const run = this.runs++;
    if (run === this.#cameAt.length) {
      this.#cameAt = twice(this.#cameAt);
      this.#senders = twice(this.#senders);
      this.#firstFrames = twice(this.#firstFrames);
      this.#from = twice(this.#from);
      this.#to = twice(this.#to);
    }
    this.#cameAt[run] = cameAt;
    this.#senders[run] = sender;
    this.#firstFrames[run] = this.#frames;
    this.#from[run] = from;
    this.#to[run] = to;
    this.#buffers.push(buffer);
  }
}

function twice<T extends Int32Array | Float64Array>(notes: T): T {
  const larger = new (notes.constructor as new (length: number) => T)(notes.length * 2);
  larger.set(notes);
  return larger;
}
