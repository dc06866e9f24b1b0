/**
 * Connections that came late: the router may have given them to another worker meanwhile. Nothing is read from them
 * before it has said whose they are.
 * Owns: them. Runs in: workers.
 */
import type { Handle } from "../handle/node-internals.js";

interface Claim {
  readonly handle: Handle;
  readonly take: () => void;
}

export class Claims {
  readonly #open = new Map<number, Claim>();
  readonly #ask: (ticketId: number) => void;
  readonly #onDeclined: () => void;

  /** @param onDeclined one of them is not this worker's */
  constructor(ask: (ticketId: number) => void, onDeclined: () => void) {
    this.#ask = ask;
    this.#onDeclined = onDeclined;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Of those that wait for an answer. */
  ticketIds(): number[] {
    return [...this.#open.keys()];
  }

  /** @param take is called when the connection is this worker's */
  add(ticketId: number, handle: Handle, take: () => void): void {
    this.#open.set(ticketId, { handle, take });
    this.#ask(ticketId);
  }

  settle(ticketId: number, isGranted: boolean): void {
    const claim = this.#open.get(ticketId);
    if (!claim) return;
    this.#open.delete(ticketId);
    if (isGranted) return claim.take();
    // Only this process's copy: the connection is another worker's.
    claim.handle.close();
    this.#onDeclined();
  }

  /** The router cannot answer any more. */
  giveUp(): void {
    for (const ticketId of this.ticketIds()) this.settle(ticketId, false);
  }
}
