/**
 * How this process was in the last second, for all who ask.
 * Owns: a timer, and the monitor of the event loop, until closed. Runs in: primary.
 *
 * What is asked of the monitor itself is since somebody asked before: with two who ask, neither would see the whole.
 */
import { ProcessHealth, type ProcessSample } from "./process-health.js";

const EVERY_MS = 1_000;

export class OwnHealth {
  readonly #health = new ProcessHealth();
  readonly #timer: NodeJS.Timeout;
  #last: ProcessSample;

  constructor() {
    // No time has passed that it could be busy in: this is of all the time that the process has lived.
    const { utilization } = performance.eventLoopUtilization();
    this.#last = { ...this.#health.sample(), utilization };
    this.#timer = setInterval(() => {
      this.#last = this.#health.sample();
    }, EVERY_MS).unref();
  }

  get sample(): ProcessSample {
    return this.#last;
  }

  /** May be called twice. */
  close(): void {
    clearInterval(this.#timer);
    this.#health.close();
  }
}
