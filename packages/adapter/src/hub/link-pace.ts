/**
 * How fast one link is filled with what can wait: a bounded piece, and the next when the link has taken that. So it
 * goes on however much else waits there, and takes no more than its part. Runs in: where the hub is.
 */
import type { Outbox } from "../link/outbox.js";
import { VOLATILE_SHARE } from "../wire/frame.js";

/** A link on which more than this share of the allowed backlog waits is not given more. */
const FULL_SHARE = 7 / 8;

export class LinkPace {
  readonly #outbox: Outbox;
  readonly #maxBacklogBytes: number;
  /** Bytes of the piece, and where on the link it ends. */
  #bytes = 0;
  #upTo = 0;

  constructor(outbox: Outbox, maxBacklogBytes: number) {
    this.#outbox = outbox;
    this.#maxBacklogBytes = maxBacklogBytes;
  }

  get hasRoom(): boolean {
    const { bytes, backlogBytes } = this.#outbox;
    if (backlogBytes > this.#maxBacklogBytes * FULL_SHARE) return false;
    if (bytes - backlogBytes >= this.#upTo) this.#bytes = 0;
    // More than that would cost others their volatile packets.
    return this.#bytes < this.#maxBacklogBytes * VOLATILE_SHARE;
  }

  /** What `write` writes counts. */
  add<T>(write: () => T): T {
    const before = this.#outbox.bytes;
    const result = write();
    this.#upTo = this.#outbox.bytes;
    this.#bytes += this.#upTo - before;
    return result;
  }
}
