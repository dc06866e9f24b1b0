/**
 * Changes of something that others wait for.
 * Owns: the promise of the next one. Runs in: primary.
 */
export class Changes {
  #next: Promise<void> | undefined;
  #onNext = () => {};

  /** Settles with the next change. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#onNext = resolve;
    });
    return this.#next;
  }

  tell(): void {
    this.#next = undefined;
    this.#onNext();
  }
}
