/**
 * Events of an adapter's rooms, told in the middle of what changes them: the change is made whole, whatever listeners throw.
 * Owns: the first error, until the change is made. Runs in: workers.
 */
import type { EventEmitter } from "node:events";
import { throwUncaught } from "../faults.js";

export class RoomEvents {
  readonly #adapter: EventEmitter;
  #first: { readonly error: unknown } | undefined;

  constructor(adapter: EventEmitter) {
    this.#adapter = adapter;
  }

  emit(event: string, ...args: unknown[]): void {
    try {
      this.#adapter.emit(event, ...args);
    } catch (error) {
      // A caller can be thrown only one.
      if (this.#first) throwUncaught(error);
      else this.#first = { error };
    }
  }

  /** The change is made. What was thrown first comes to whoever made it, as it does with Socket.IO's own adapter. */
  end(): void {
    if (this.#first) throw this.#first.error;
  }
}
