/**
 * Telling all workers who has the sessions of one that has retired, and hearing that they know.
 * Owns: who has not said so yet, and one timer for each announcement. Runs in: primary.
 */
import type { MoveMessage } from "../wire/move-messages.js";

/** How long is waited for a worker that is busy: it asks if it cannot reach the one that has retired. */
const HEARD_MS = 1_000;

interface Announcement {
  readonly missing: Set<number>;
  settle(): void;
}

export class Announcements {
  readonly #send: (workerId: number, message: MoveMessage) => void;
  /** By the workers that they are about. */
  readonly #underway = new Map<number, Announcement>();

  constructor(send: (workerId: number, message: MoveMessage) => void) {
    this.#send = send;
  }

  /** Settles when all of `workerIds` have heard, or have had the time to. */
  make(
    news: { readonly worker: number; readonly successor: number },
    workerIds: readonly number[],
  ): Promise<void> {
    if (workerIds.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#underway.delete(news.worker);
        resolve();
      };
      const timer = setTimeout(settle, HEARD_MS).unref();
      this.#underway.set(news.worker, { missing: new Set(workerIds), settle });
      for (const workerId of workerIds) this.#send(workerId, { kind: "succeeded", ...news });
    });
  }

  onHeard(worker: number, workerId: number): void {
    const announcement = this.#underway.get(worker);
    if (announcement?.missing.delete(workerId) && announcement.missing.size === 0) announcement.settle();
  }

  /** The worker hears nothing any more. */
  onGone(workerId: number): void {
    for (const worker of [...this.#underway.keys()]) this.onHeard(worker, workerId);
  }

  close(): void {
    for (const { settle } of [...this.#underway.values()]) settle();
  }
}
