/**
 * When a worker that has ended is started again: the policy, without timers.
 * Owns: the crashes in a row of one place in the cluster. Runs in: primary.
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
    const { restartDelayMs, maxRestartDelayMs, minUptimeMs, maxCrashes } = this.#limits;
    if (uptimeMs > 0 && uptimeMs >= minUptimeMs) {
      this.#crashes = 0;
      return 0;
    }
    if (++this.#crashes >= maxCrashes) return undefined;
    return Math.min(maxRestartDelayMs, restartDelayMs * 2 ** (this.#crashes - 1));
  }

  /** A worker was put there that has shown that it can be ready. */
  forget(): void {
    this.#crashes = 0;
  }
}
