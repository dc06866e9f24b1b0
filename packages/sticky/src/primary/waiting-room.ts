/**
 * Connections for which no worker is ready.
 * Owns: them, and one timer for all deadlines. Runs in: primary.
 */

interface Entry<T> {
  readonly item: T;
  readonly deadline: number;
}

export class WaitingRoom<T> {
  readonly #timeoutMs: number;
  readonly #onTimeout: (item: T) => void;
  /** In order of arrival, which is the order of deadlines. */
  #entries: Entry<T>[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, onTimeout: (item: T) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onTimeout = onTimeout;
  }

  get size(): number {
    return this.#entries.length;
  }

  add(item: T): void {
    this.#entries.push({ item, deadline: Date.now() + this.#timeoutMs });
    this.#watch();
  }

  /** Empties it and returns all that waited, in order of arrival. */
  drain(): T[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#entries.splice(0).map(({ item }) => item);
  }

  #watch(): void {
    const [oldest] = this.#entries;
    if (this.#timer !== undefined || !oldest) return;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, oldest.deadline - Date.now()));
    this.#timer.unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = Date.now();
    const firstAlive = this.#entries.findIndex(({ deadline }) => deadline > now);
    const expired = this.#entries.splice(0, firstAlive < 0 ? this.#entries.length : firstAlive);
    this.#watch();
    for (const { item } of expired) this.#onTimeout(item);
  }
}
