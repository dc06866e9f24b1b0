/**
 * A link within one process: the primary's emitters are members of its own hub.
 * Owns: what is written and not delivered yet. Runs in: primary.
 */
import type { Link, LinkEvents } from "./contract.js";

/**
 * open → ended (what is written is still delivered, nothing is received) → closed; open → closed
 */
type State = "open" | "ended" | "closed";

export class LocalLink implements Link {
  readonly kind = "local";
  readonly #events: LinkEvents;
  #peer: LocalLink | undefined;
  #state: State = "open";
  /** Written and not delivered; a copy, since the writer's memory is used again. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #delivery: NodeJS.Immediate | undefined;

  constructor(events: LinkEvents) {
    this.#events = events;
  }

  /** Joins two ends. */
  static connect(one: LocalLink, other: LocalLink): void {
    one.#peer = other;
    other.#peer = one;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  write(chunks: readonly Buffer[]): void {
    if (this.#state !== "open") return;
    const bytes = Buffer.concat(chunks);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    // Not at once: who writes is in the middle of something.
    this.#delivery ??= setImmediate(() => this.deliver());
  }

  /** Delivers what has been written, now. */
  deliver(): void {
    if (this.#delivery) clearImmediate(this.#delivery);
    this.#delivery = undefined;
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    for (const bytes of pending) this.#peer?.receive(bytes);
    if (pending.length > 0 && this.#state === "open") this.#events.onTaken();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.deliver();
    this.close();
  }

  close(): void {
    this.#state = "closed";
    if (this.#delivery) clearImmediate(this.#delivery);
    this.#delivery = undefined;
    this.#pending = [];
    this.#pendingBytes = 0;
    const peer = this.#peer;
    this.#peer = undefined;
    peer?.lose();
  }

  private receive(bytes: Buffer): void {
    if (this.#state === "open") this.#events.onChunk(bytes);
  }

  private lose(): void {
    this.#peer = undefined;
    if (this.#state !== "open") return;
    this.#state = "closed";
    this.#events.onEnd();
  }
}
