/**
 * A member that needs long for what it has read says so while it works: to the hub it looks as if it took nothing.
 * Owns: the times of the last look at the clock, and of the last sign. Runs in: workers.
 *
 * The system shows only after several reads that a pipe is being read, and one read may bring a thousand frames.
 */

/** Below the smallest `stallTimeout`. */
const SIGN_MS = 50;
/** Who has much waiting reads as much as there is room for. Smaller reads are not worth a look at the clock. */
const LARGE_READ_BYTES = 16 * 1024;
/** A look at the clock costs as much as a small part of a frame. */
const FRAMES_A_LOOK = 8;
/** If so many frames take longer than this, each is looked at; who has done nothing for as long was not busy. */
const SLOW_MS = 10;

export class SignOfLife {
  readonly #give: () => void;
  readonly #now: () => number;
  #lookedAt = 0;
  /** When the last sign was given, or the work began. */
  #givenAt = 0;
  /** Frames until the next look. */
  #left = Number.POSITIVE_INFINITY;

  constructor(give: () => void, now: () => number = () => performance.now()) {
    this.#give = give;
    this.#now = now;
  }

  /** Call when so much has been read. */
  begin(bytes: number): void {
    this.#left = Number.POSITIVE_INFINITY;
    if (bytes < LARGE_READ_BYTES) return;
    const now = this.#now();
    if (now - this.#lookedAt > SLOW_MS) this.#givenAt = now;
    this.#lookedAt = now;
    // The first may be a slow one.
    this.#left = 1;
  }

  /** Call when a frame of it has been worked off. */
  step(): void {
    if (--this.#left <= 0) this.#look();
  }

  /** Call when all of it has been. */
  end(): void {
    if (this.#left !== Number.POSITIVE_INFINITY) this.#look();
  }

  #look(): void {
    const now = this.#now();
    this.#left = now - this.#lookedAt < SLOW_MS ? FRAMES_A_LOOK : 1;
    this.#lookedAt = now;
    if (now - this.#givenAt < SIGN_MS) return;
    this.#givenAt = now;
    this.#give();
  }
}
