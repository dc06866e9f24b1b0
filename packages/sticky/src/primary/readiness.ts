/**
 * Who waits until workers are ready.
 * Owns: their promises. Runs in: primary.
 */
import { HoldfastError } from "../errors.js";

/** How many workers there are. */
export interface WorkerCounts {
  /** That take connections. */
  readonly ready: number;
  /** That live, ready or not. */
  readonly living: number;
}

interface Waiter {
  /** `undefined` for all that live. */
  readonly workers: number | undefined;
  resolve(): void;
  reject(error: HoldfastError): void;
}

export class Readiness {
  readonly #counts: () => WorkerCounts;
  readonly #waiters = new Set<Waiter>();
  // open → closed
  #state: "open" | "closed" = "open";

  constructor(counts: () => WorkerCounts) {
    this.#counts = counts;
  }

  /** Settles when so many workers are ready; without a number, when at least one is and all that live are. */
  async wait(workers: number | undefined): Promise<void> {
    if (workers !== undefined && !(Number.isInteger(workers) && workers >= 1)) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        `ready() takes a number of workers, an integer from 1, not ${String(workers)}.`,
      );
    }
    if (this.#state === "closed") throw closed();
    await new Promise<void>((resolve, reject) => {
      this.#waiters.add({ workers, resolve, reject });
      this.check();
    });
  }

  /** A worker came, became ready, or went. */
  check(): void {
    if (this.#waiters.size === 0) return;
    const { ready, living } = this.#counts();
    for (const waiter of this.#waiters) {
      if (ready < (waiter.workers ?? Math.max(1, living))) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  close(): void {
    this.#state = "closed";
    for (const { reject } of this.#waiters) reject(closed());
    this.#waiters.clear();
  }
}

function closed(): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_CLOSED",
    "The router was closed before so many workers were ready. Await ready() before you call close().",
  );
}
