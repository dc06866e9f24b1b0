/**
 * Waiting for a state: what changes is looked at once, and again each time that it is said to have changed.
 * Owns: the waits that are not over. Runs in: tests and benches.
 */
import { within } from "./within.js";

/** What a look finds as long as the state is not there. */
type Missing = false | null | undefined;

export class Changes {
  readonly #looks = new Set<() => void>();

  /** Something may be different now. */
  tell(): void {
    for (const look of [...this.#looks]) look();
  }

  /**
   * Waits until `find` gives something, and gives that. What `find` throws ends the wait.
   * @param what what is waited for, for the error; a function is asked when the time is over
   */
  async until<T>(what: string | (() => string), find: () => T | Missing, ms?: number): Promise<T> {
    let look = () => {};
    const found = new Promise<T>((resolve, reject) => {
      look = () => {
        try {
          const value = find();
          if (value !== false && value !== null && value !== undefined) resolve(value);
        } catch (error) {
          reject(error);
        }
      };
    });
    this.#looks.add(look);
    look();
    try {
      return await within(found, what, ms);
    } finally {
      this.#looks.delete(look);
    }
  }
}
