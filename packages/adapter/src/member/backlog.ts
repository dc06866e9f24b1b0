/**
 * How much of a member's messages may wait, and what the application is told when that is too much.
 * Owns: whether it has been told. Runs in: workers; in the primary for its emitters.
 *
 * Broadcasts are dropped beyond the limit, since no call waits for them: the application is told once until there
 * is room. Commands and requests have as much again for themselves; beyond that, their callers are told.
 */
import { HoldfastError } from "../errors.js";
import { VOLATILE_SHARE } from "../wire/frame.js";

const COMMAND_SHARE = 2;
/** There is room again when no more than this part of the limit waits. */
const ROOM_SHARE = 3 / 4;

const WHAT_WAITS =
  "bytes of this process' messages wait for the primary, or for workers that take theirs slowly";

interface Waiting {
  /** Bytes that wait now. */
  readonly backlogBytes: number;
}

export class Backlog {
  readonly #maxBytes: number;
  readonly #what: Waiting;
  readonly #onFull: (error: HoldfastError) => void;
  #isTold = false;

  constructor(maxBytes: number, what: Waiting, onFull: (error: HoldfastError) => void) {
    this.#maxBytes = maxBytes;
    this.#what = what;
    this.#onFull = onFull;
  }

  /** Whether a broadcast has to be dropped; volatile ones are the first. */
  isFull(isVolatile: boolean): boolean {
    const bytes = this.#what.backlogBytes;
    if (this.#isTold && bytes <= this.#maxBytes * ROOM_SHARE) this.#isTold = false;
    return bytes > this.#maxBytes * (isVolatile ? VOLATILE_SHARE : 1);
  }

  /** Why a command or a request cannot even wait; undefined while it can. */
  get refusal(): HoldfastError | undefined {
    const maxBytes = this.#maxBytes * COMMAND_SHARE;
    if (this.#what.backlogBytes <= maxBytes) return undefined;
    return new HoldfastError(
      "HOLDFAST_ERR_BACKLOG_FULL",
      `More than ${maxBytes} ${WHAT_WAITS}, so nothing has been sent. Try again later, and look for an event loop ` +
        "that is blocked.",
    );
  }

  /** Broadcasts are dropped. */
  tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#onFull(
      new HoldfastError(
        "HOLDFAST_ERR_BACKLOG_FULL",
        `More than ${this.#maxBytes} ${WHAT_WAITS}. Broadcasts to other workers are dropped until there is room. ` +
          "Look for an event loop that is blocked.",
      ),
    );
  }
}
