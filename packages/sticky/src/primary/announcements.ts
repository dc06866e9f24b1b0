/**
 * Telling workers who gets or has the sessions of one that retires, and hearing that they know.
 * Owns: who has not said so yet, and one timer for each announcement. Runs in: primary.
 */
import type { MoveMessage } from "../wire/move-messages.js";

/** How long is waited for a worker that is busy: it asks if it cannot reach the one that it knows of. */
const HEARD_MS = 1_000;

interface Announcement {
  readonly missing: Set<number>;
  settle(): void;
}

export class Announcements {
  readonly #send: (workerId: number, message: MoveMessage) => void;
  /** By the workers that give their sessions away. */
  readonly #underway = new Map<number, Announcement>();

  constructor(send: (workerId: number, message: MoveMessage) => void) {
    this.#send = send;
  }

  /** Settles when all of `workerIds` have heard, or have had the time to. */
  make(news: MoveMessage & { kind: "giving" | "given" }, workerIds: readonly number[]): Promise<void> {
    if (workerIds.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#underway.delete(news.giver);
        resolve();
      };
      const timer = setTimeout(settle, HEARD_MS).unref();
      this.#underway.set(news.giver, { missing: new Set(workerIds), settle });
      for (const workerId of workerIds) this.#send(workerId, news);
    });
  }

  onHeard(giver: number, workerId: number): void {
    const announcement = this.#underway.get(giver);
    if (announcement?.missing.delete(workerId) && announcement.missing.size === 0) announcement.settle();
  }

  /** The worker hears nothing any more. */
  onGone(workerId: number): void {
    for (const giver of [...this.#underway.keys()]) this.onHeard(giver, workerId);
  }

  close(): void {
    for (const { settle } of [...this.#underway.values()]) settle();
  }
}
