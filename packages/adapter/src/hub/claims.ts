/**
 * Rooms of one namespace that a member may join by what is on its way to it: commands, and sessions that clients
 * come back for. The hub acts as if it had joined them.
 * Owns: how many hold each key. Runs in: where the hub is.
 */
import type { Interest } from "./interest.js";

export class Claims {
  readonly #interest: Interest;
  readonly #slot: number;
  readonly #counts = new Map<number, number>();
  // open → dropped
  #state: "open" | "dropped" = "open";

  constructor(interest: Interest, slot: number) {
    this.#interest = interest;
    this.#slot = slot;
  }

  /** Acts as if the member had joined these rooms until they are released as often as they were held. */
  hold(keys: Iterable<number>): void {
    if (this.#state === "dropped") return;
    for (const key of keys) {
      const count = this.#counts.get(key) ?? 0;
      this.#counts.set(key, count + 1);
      if (count === 0) this.#interest.claim(this.#slot, key);
    }
  }

  release(keys: Iterable<number>): void {
    if (this.#state === "dropped") return;
    for (const key of keys) {
      const count = this.#counts.get(key) ?? 0;
      if (count > 1) {
        this.#counts.set(key, count - 1);
        continue;
      }
      this.#counts.delete(key);
      this.#interest.unclaim(this.#slot, key);
    }
  }

  /** The member has left the namespace. What was held is released, and nothing is held any more. */
  drop(): void {
    this.#state = "dropped";
    for (const key of this.#counts.keys()) this.#interest.unclaim(this.#slot, key);
    this.#counts.clear();
  }
}
