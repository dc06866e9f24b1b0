/**
 * When a worker that has ended is started again: the policy, without timers.
 * Owns: the crashes in a row, and the leaves, of one place in the cluster. Runs in: primary.
 */
export interface RestartLimits {
  readonly restartDelayMs: number;
  readonly maxRestartDelayMs: number;
  readonly minUptimeMs: number;
  readonly maxCrashes: number;
}

export class Restarts {
  readonly #limits: RestartLimits;
  #crashes = 0;
  /** Workers in a row that have left soon after they were ready. */
  #leaves = 0;

  constructor(limits: RestartLimits) {
    this.#limits = limits;
  }

  /** Crashes in a row. */
  get crashes(): number {
    return this.#crashes;
  }

  /**
   * A worker has crashed.
   * @param uptimeMs how long it was ready
   * @returns milliseconds to wait before the next one; `undefined` if there is to be none
   */
  onCrash(uptimeMs: number): number | undefined {
    if (this.#hasLasted(uptimeMs)) {
      this.forget();
      return 0;
    }
    if (++this.#crashes >= this.#limits.maxCrashes) return undefined;
    return this.#delay(this.#crashes);
  }

  /**
   * A worker has left, which is no fault: the next one starts at once, unless that one leaves as soon, and so on.
   * @param uptimeMs how long it was ready
   * @returns milliseconds to wait before the next one
   */
  onLeft(uptimeMs: number): number {
    if (this.#hasLasted(uptimeMs)) this.#leaves = 0;
    else this.#leaves++;
    return this.#leaves < 2 ? 0 : this.#delay(this.#leaves - 1);
  }

  /** A worker was put there that has shown that it can be ready. */
  forget(): void {
    this.#crashes = 0;
    this.#leaves = 0;
  }

  #hasLasted(uptimeMs: number): boolean {
    return uptimeMs > 0 && uptimeMs >= this.#limits.minUptimeMs;
  }

  #delay(times: number): number {
    const { restartDelayMs, maxRestartDelayMs } = this.#limits;
    return Math.min(maxRestartDelayMs, restartDelayMs * 2 ** (times - 1));
  }
}
