/**
 * Workers that were told that the last router is closed, and have not said that they know.
 * Owns: a list of them; while there is no roster, listeners on `cluster`. Runs in: primary, one for the process.
 *
 * Such a worker gives connections to the primary until it knows. Node.js tells it that they are there, whether or not
 * anybody listens for them here; without a listener they would stay open for good, and nobody would have them.
 */
import cluster, { type Worker } from "node:cluster";
import type { Handle } from "../handle/node-internals.js";
import { processWide } from "../process-wide.js";
import { decodeToPrimary } from "../wire/messages.js";
import { decodeMove } from "../wire/move-messages.js";

export class Partings {
  /** The list of this process. */
  static get(): Partings {
    return processWide("partings", () => new Partings());
  }

  /** How often each is still to say that it knows. */
  readonly #due = new Map<number, number>();
  #stopListening: (() => void) | undefined;

  /** How many workers there are. */
  get size(): number {
    return this.#due.size;
  }

  /** The worker was told so, perhaps once more. */
  add(workerId: number): void {
    this.#due.set(workerId, (this.#due.get(workerId) ?? 0) + 1);
  }

  /** It has said once that it knows. */
  settle(workerId: number): void {
    const due = (this.#due.get(workerId) ?? 0) - 1;
    if (due > 0) this.#due.set(workerId, due);
    else this.delete(workerId);
  }

  /** It is gone, or has no server any more: it gives nothing. */
  delete(workerId: number): void {
    this.#due.delete(workerId);
    if (this.#due.size === 0) this.leaveToRoster();
  }

  /** There is no roster any more: closes what still comes, until all know. */
  closeRest(): void {
    if (this.#due.size === 0 || this.#stopListening) return;
    const onMessage = (worker: Worker, message: unknown, handle: unknown) => {
      if (this.#due.has(worker.id)) this.#onMessage(worker.id, message, handle as Handle | undefined);
    };
    const onGone = (worker: Worker) => this.delete(worker.id);
    cluster.prependListener("message", onMessage);
    cluster.prependListener("disconnect", onGone);
    this.#stopListening = () => {
      cluster.off("message", onMessage);
      cluster.off("disconnect", onGone);
    };
  }

  /** There is a roster: it hears them. */
  leaveToRoster(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  #onMessage(workerId: number, message: unknown, handle: Handle | undefined): void {
    const kind = decodeToPrimary(message)?.kind ?? decodeMove(message)?.kind;
    if (kind === "parted") this.settle(workerId);
    else if (kind === "departed") this.delete(workerId);
    // Its client connects anew, and whoever has its session gives it back.
    else if (kind === "move" || kind === "moveOffered") handle?.close();
  }
}
