/**
 * Long work of the hub, done in slices, so that nothing else waits for longer than a slice takes.
 * Owns: the work that is left, and the immediate that goes on with it. Runs in: where the hub is.
 */

const SLICE_MS = 10;

/** Work that is done step by step; a step takes a few milliseconds at most. */
export type Work = Iterator<void>;

export class Slices {
  readonly #now: () => number;
  readonly #work: Work[] = [];
  #next: NodeJS.Immediate | undefined;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Begins when the event loop has had its turn; several works take turns, too. */
  add(work: Work): void {
    this.#work.push(work);
    this.#schedule();
  }

  close(): void {
    clearImmediate(this.#next);
    this.#next = undefined;
    this.#work.length = 0;
  }

  #schedule(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#runSlice();
      if (this.#work.length > 0) this.#schedule();
    });
  }

  #runSlice(): void {
    const end = this.#now() + SLICE_MS;
    do {
      const work = this.#work.shift();
      if (!work) return;
      if (!work.next().done) this.#work.push(work);
    } while (this.#now() < end);
  }
}
