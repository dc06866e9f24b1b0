/**
 * Workers that were told that nobody answers them any more, since the last router is closed or their last server, and that have
 * not said that they know.
 * Owns: a list of them; while there is no roster, listeners on `cluster`, and timers. Runs in: primary, one for the process.
 *
 * Such a worker gives connections to the primary until it knows. Node.js tells it that they are there, whether or not
 * anybody listens for them here; without a listener they would stay open for good, and nobody would have them.
 */
import cluster, { type Worker } from "node:cluster";
import type { Handle } from "../handle/node-internals.js";
import { processWide } from "../process-wide.js";
import { decodeToPrimary } from "../wire/messages.js";
import { decodeMove } from "../wire/move-messages.js";
import { allWorkers } from "./all-workers.js";
import { CHANNEL_DRAIN_MS, whenChannelEnds } from "./channel-end.js";

export class Partings {
  /** The list of this process. */
  static get(): Partings {
    return processWide("partings", () => new Partings());
  }

  /** How often each is still to say that it knows. */
  readonly #due = new Map<number, number>();
  /** The last of each worker's departures: a worker says the same one until it knows that it was heard. */
  readonly #departures = new Map<number, number>();
  /** End the listening, if this listens. */
  readonly #releases = new Set<() => void>();

  /** How many workers there are. */
  get size(): number {
    return this.#due.size;
  }

  /** The worker is told so, perhaps once more. */
  add(workerId: number): void {
    this.#due.set(workerId, (this.#due.get(workerId) ?? 0) + 1);
  }

  /** It is told so because its last server is closed, for so many times by now. */
  onDeparted(workerId: number, departure: number): void {
    if (departure <= (this.#departures.get(workerId) ?? 0)) return;
    this.#departures.set(workerId, departure);
    this.add(workerId);
  }

  /** It has said once that it knows. */
  settle(workerId: number): void {
    const due = (this.#due.get(workerId) ?? 0) - 1;
    if (due > 0) this.#due.set(workerId, due);
    else this.#settleAll(workerId);
  }

  /** It is gone. */
  forget(workerId: number): void {
    this.#departures.delete(workerId);
    this.#settleAll(workerId);
  }

  /** There is no roster any more: closes what still comes, until all know. */
  closeRest(): void {
    if (this.#releases.size > 0) return;
    this.#forgetGone();
    if (this.#due.size === 0) return;
    const onMessage = (worker: Worker, message: unknown, handle: unknown) => {
      if (this.#due.has(worker.id)) this.#onMessage(worker.id, message, handle as Handle | undefined);
    };
    const onDisconnect = (worker: Worker) => this.forget(worker.id);
    const onExit = (worker: Worker) => {
      if (!this.#due.has(worker.id)) return this.forget(worker.id);
      this.#releases.add(whenChannelEnds(worker, CHANNEL_DRAIN_MS, () => this.forget(worker.id)));
    };
    cluster.prependListener("message", onMessage);
    cluster.prependListener("disconnect", onDisconnect);
    cluster.prependListener("exit", onExit);
    this.#releases.add(() => {
      cluster.off("message", onMessage);
      cluster.off("disconnect", onDisconnect);
      cluster.off("exit", onExit);
    });
    for (const worker of allWorkers()) if (this.#due.has(worker.id) && worker.isDead()) onExit(worker);
  }

  /** There is a roster: it hears them, and of their ends. */
  leaveToRoster(): void {
    this.#listenNoMore();
    for (const worker of allWorkers()) if (worker.isDead()) this.forget(worker.id);
    this.#forgetGone();
  }

  #forgetGone(): void {
    for (const workerId of [...this.#due.keys(), ...this.#departures.keys()]) {
      if (!cluster.workers?.[workerId]) this.forget(workerId);
    }
  }

  #settleAll(workerId: number): void {
    this.#due.delete(workerId);
    if (this.#due.size === 0) this.#listenNoMore();
  }

  #listenNoMore(): void {
    for (const release of this.#releases) release();
    this.#releases.clear();
  }

  #onMessage(workerId: number, message: unknown, handle: Handle | undefined): void {
    const kind = decodeToPrimary(message)?.kind ?? decodeMove(message)?.kind;
    if (kind === "parted") this.settle(workerId);
    // Its client connects anew, and whoever has its session gives it back.
    else if (kind === "move" || kind === "moveOffered") handle?.close();
  }
}
