/** A moment to come. Owns: its timer, until it has passed or is cancelled. Runs in: workers. */
export class Deadline {
  readonly passed: Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.passed = new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms);
    });
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
