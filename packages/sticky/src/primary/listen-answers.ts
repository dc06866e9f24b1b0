/**
 * Answers workers whose servers `listen()` where a router's server does: connections come from there, so all is well.
 * node:cluster would open the place a second time, and fail.
 * Owns: listeners of the workers' channels and of `cluster`, the data that workers share. Runs in: primary.
 */
import cluster, { type Worker } from "node:cluster";
import { answerListen } from "../handle/node-internals.js";
import type { ListenAddress } from "../wire/messages.js";
import { allWorkers } from "./all-workers.js";

export class ListenAnswers {
  readonly #find: (place: string | number) => ListenAddress | undefined;
  readonly #onAnswered: (worker: Worker) => void;
  /** Of the first worker at each place; see `ListenQuery`. */
  readonly #data = new Map<string | number, unknown>();
  readonly #releases = new Map<Worker, () => void>();

  /**
   * @param find gives the address of the router's server that listens at a port or path
   * @param onAnswered is called for each worker that got such an answer
   */
  constructor(
    find: (place: string | number) => ListenAddress | undefined,
    onAnswered: (worker: Worker) => void,
  ) {
    this.#find = find;
    this.#onAnswered = onAnswered;
    for (const worker of allWorkers()) this.#onFork(worker);
    // First: when a listener of the application throws, Node.js calls none after it.
    cluster.prependListener("fork", this.#onFork);
    cluster.prependListener("exit", this.#onExit);
  }

  close(): void {
    cluster.off("fork", this.#onFork);
    cluster.off("exit", this.#onExit);
    for (const release of this.#releases.values()) release();
    this.#releases.clear();
  }

  readonly #onFork = (worker: Worker): void => {
    // One that was forked in the moment in which this began is among those that were there.
    if (this.#releases.has(worker)) return;
    const release = answerListen(worker.process, ({ place, data }) => {
      const address = this.#find(place);
      if (address === undefined) return undefined;
      if (!this.#data.has(place)) this.#data.set(place, data);
      this.#onAnswered(worker);
      return { address, data: this.#data.get(place) };
    });
    this.#releases.set(worker, release);
  };

  readonly #onExit = (worker: Worker): void => void this.#releases.delete(worker);
}
