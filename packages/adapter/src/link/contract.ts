/** What carries frames between a worker and the hub. Runs in: primary and workers. */
import type { LinkKind } from "../stats.js";

/** Takes what an outbox has gathered. */
export interface Sink {
  /** Bytes that were written here and that the system has not taken yet. */
  readonly pendingBytes: number;
  /** Writes the chunks in order; what `pendingBytes` still counts of them must not change. */
  write(chunks: readonly Buffer[]): void;
}

/** One end of a link. The other end gets the same bytes in the same order, cut differently. */
export interface Link extends Sink {
  readonly kind: LinkKind;
  /** Sends what is waiting, then closes. Nothing is received from now on. */
  end(): void;
  /** Releases what the link opened; what still waits is dropped. Idempotent. */
  close(): void;
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** @param chunk is overwritten when the call has returned */
  onChunk(chunk: Buffer): void;
  /**
   * The system has taken what was pending, or some of it. Never within `write()`, and not for writes of which
   * nothing was left pending.
   */
  onTaken(): void;
  /** The other end is gone; everything that it sent has been delivered. Called once, not after `close()`. */
  onEnd(): void;
}
