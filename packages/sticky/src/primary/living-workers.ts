/**
 * The workers whose sessions can be reached, now or soon again.
 * Owns: a list of them. Runs in: primary, one for the process.
 *
 * A worker is in it from its first word to a router to the end of its process, or of its last server. Whether it gets
 * connections does not matter, nor whether it has a channel: it may have sessions yet, and routers come and go.
 */
import type { Worker } from "node:cluster";
import { processWide } from "../process-wide.js";

export class LivingWorkers {
  /** The list of this process. */
  static get(): LivingWorkers {
    return processWide("living workers", () => new LivingWorkers());
  }

  readonly #workers = new Map<number, Pick<Worker, "id" | "isDead">>();

  /** It has said something of its servers. */
  add(worker: Pick<Worker, "id" | "isDead">): void {
    // What ends while there is no router is told to nobody.
    for (const [id, each] of this.#workers) if (each.isDead()) this.#workers.delete(id);
    if (!worker.isDead()) this.#workers.set(worker.id, worker);
  }

  /** Its last server is closed, or its process has ended. */
  remove(workerId: number): void {
    this.#workers.delete(workerId);
  }

  has(workerId: number): boolean {
    return this.#workers.get(workerId)?.isDead() === false;
  }
}
