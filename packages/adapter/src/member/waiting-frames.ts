/**
 * Frames of a namespace that the hub does not know yet, in the order in which they were made.
 * Owns: them. Runs in: workers; in the primary for its emitters.
 */
import type { HoldfastError } from "../errors.js";
import { Backlog } from "./backlog.js";

/** The hub's limit is not known yet; this is the default of `maxBacklogBytes`. */
const MAX_BYTES = 64 * 2 ** 20;

export class WaitingFrames {
  readonly backlog: Backlog;
  readonly #onError: (error: HoldfastError) => void;
  #sends: (() => void)[] = [];
  backlogBytes = 0;

  constructor(onError: (error: HoldfastError) => void) {
    this.#onError = onError;
    this.backlog = new Backlog(MAX_BYTES, this, onError);
  }

  get isEmpty(): boolean {
    return this.#sends.length === 0;
  }

  /** @param bytes what the frame takes, nearly */
  push(send: () => void, bytes: number): void {
    this.#sends.push(send);
    this.backlogBytes += bytes;
  }

  sendAll(): void {
    const sends = this.#sends;
    this.clear();
    for (const send of sends) {
      try {
        send();
      } catch (error) {
        // The call that made the frame has returned long ago.
        this.#onError(error as HoldfastError);
      }
    }
  }

  clear(): void {
    this.#sends = [];
    this.backlogBytes = 0;
  }
}
