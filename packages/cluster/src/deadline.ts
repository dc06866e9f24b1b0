/** A moment to come, which may be brought forward and is never put off. Owns: its timer. Runs in: primary and workers. */
import { MAX_TIMER_MS } from "./option-reader.js";

export class Deadline {
  /** Settles when it has come. */
  readonly passed: Promise<void>;
  /** By `performance.now()`. */
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #onPassed: () => void = () => {};

  constructor() {
    this.passed = new Promise((resolve) => {
      this.#onPassed = resolve;
    });
  }

  /** Milliseconds; `Infinity` if nobody has said when. */
  get leftMs(): number {
    return Math.max(0, this.#at - performance.now());
  }

  /** It comes in so long, unless it comes sooner anyway. @returns whether that is sooner than before */
  bringForward(ms: number): boolean {
    const at = performance.now() + ms;
    if (at >= this.#at) return false;
    this.#at = at;
    clearTimeout(this.#timer);
    // Node.js takes what is longer for nothing.
    this.#timer = setTimeout(this.#onPassed, Math.min(ms, MAX_TIMER_MS));
    return true;
  }

  /** It never comes. */
  cancel(): void {
    clearTimeout(this.#timer);
  }
}
