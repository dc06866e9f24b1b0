/**
 * A link within one process: the primary's emitters are members of its own hub.
 * Owns: what is written and not delivered yet. Runs in: primary.
 */
import type { Link, LinkEvents } from "./contract.js";

export class LocalLink implements Link {
  readonly kind = "local";
  /** Written bytes are copied, so nothing is ever pending. */
  readonly pendingBytes = 0;
  readonly #events: LinkEvents;
  #peer: LocalLink | undefined;

  constructor(events: LinkEvents) {
    this.#events = events;
  }

  /** Joins two ends. */
  static connect(one: LocalLink, other: LocalLink): void {
    one.#peer = other;
    other.#peer = one;
  }

  write(chunks: readonly Buffer[]): void {
    const bytes = Buffer.concat(chunks);
    // Not at once: the writer is in the middle of something.
    setImmediate(() => this.#peer?.receive(bytes));
  }

  end(): void {
    setImmediate(() => this.close());
  }

  close(): void {
    const peer = this.#peer;
    this.#peer = undefined;
    if (!peer) return;
    peer.lose();
  }

  private receive(bytes: Buffer): void {
    this.#events.onChunk(bytes);
  }

  private lose(): void {
    this.#peer = undefined;
    this.#events.onEnd();
  }
}
