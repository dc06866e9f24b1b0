/**
 * Workers that have said hello to a hub that is not ready yet: it waits for its backplane. They hear again and again
 * that it is there, so that they take it neither for missing nor for one that stands still.
 * Owns: the timer, while somebody waits. Runs in: where the hub is.
 */
import type { Hub } from "../hub/hub.js";

/** Several times in what a worker waits for a word. */
const WORD_MS = 500;

export class WaitingWorkers {
  readonly #hub: Hub;
  readonly #words = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  get count(): number {
    return this.#words.size;
  }

  /**
   * Calls back as soon as members can be admitted, at once if they can.
   * @param sayStarting tells the worker that the hub is there; called at once, and again and again until it is ready
   * @returns ends the wait: the worker is gone, or has asked anew
   */
  whenReady(sayStarting: () => void, onReady: () => void): () => void {
    let isReady = false;
    const endWait = this.#hub.whenReady(() => {
      isReady = true;
      this.#forget(sayStarting);
      onReady();
    });
    if (isReady) return endWait;
    this.#words.add(sayStarting);
    this.#timer ??= setInterval(() => this.#sayAll(), WORD_MS).unref();
    sayStarting();
    return () => {
      endWait();
      this.#forget(sayStarting);
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#words.clear();
  }

  #sayAll(): void {
    for (const sayStarting of this.#words) sayStarting();
  }

  #forget(sayStarting: () => void): void {
    this.#words.delete(sayStarting);
    if (this.#words.size === 0) this.close();
  }
}
