/**
 * A clock that runs only while this process's event loop turns. What a worker owes is measured by it: a primary that was
 * blocked, stopped or asleep has heard nothing meanwhile, and must not blame its workers for that.
 * Owns: one timer. Runs in: primary.
 */

/** It is as coarse as that. */
const MIN_TICK_MS = 20;
const MAX_TICK_MS = 1_000;
/** Ticks in the shortest time that somebody measures. */
const TICKS = 10;

export class LoopClock {
  readonly #timer: NodeJS.Timeout;
  #immediate: NodeJS.Immediate | undefined;
  #now = 0;
  #tickedAt = performance.now();

  /**
   * @param shortestMs the shortest time that is to be measured
   * @param onTick called each time that the clock has moved on
   */
  constructor(shortestMs: number, onTick: () => void) {
    const tickMs = Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, Math.floor(shortestMs / TICKS)));
    this.#timer = setInterval(() => {
      // Not at once: what the workers have sent is read between the timers of a turn and its immediates.
      this.#immediate ??= setImmediate(() => {
        this.#immediate = undefined;
        this.#tick(tickMs);
        onTick();
      });
    }, tickMs);
    this.#timer.unref();
  }

  /** Milliseconds that it has run. */
  get now(): number {
    return this.#now;
  }

  close(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#immediate);
  }

  #tick(tickMs: number): void {
    const at = performance.now();
    this.#now += Math.min(at - this.#tickedAt, 2 * tickMs);
    this.#tickedAt = at;
  }
}
