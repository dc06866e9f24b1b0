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

  constructor(ask: (ticketId: number) => void) {
    this.#ask = ask;
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
    this.#open.delete(ticketId);
    if (isGranted) claim?.take();
    // Only this process's copy: the connection is another worker's.
    else claim?.handle.close();
  }

  /** The router cannot answer any more. */
  giveUp(): void {
    for (const ticketId of this.ticketIds()) this.settle(ticketId, false);
  }
}
