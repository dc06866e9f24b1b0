/**
 * When what goes on makes way for a change of a file: it started with what was in the files before.
 * Owns: one timer. Runs in: the command line.
 *
 * The change may be the application's own: it writes into a watched directory when it starts, and does so again at each
 * start. So each time that something is given up, the next has twice as long: else an application that needs longer to
 * start would never run.
 */

/** How long something may still take after a change. */
const FIRST_MS = 2_000;

/** `T` stands for what goes on: another object each time. */
export class Overtaking<T extends object> {
  readonly #giveUp: (what: T) => boolean;
  #graceMs = FIRST_MS;
  #armed: { readonly what: T; readonly timer: NodeJS.Timeout } | undefined;
  /** Since the last {@link end}. */
  #hasGivenUp = false;

  /** @param giveUp returns false if it does not go on any more */
  constructor(giveUp: (what: T) => boolean) {
    this.#giveUp = giveUp;
  }

  /** A change has come while this goes on. Further ones leave it the time that it has. */
  arm(what: T): void {
    if (this.#armed?.what === what) return;
    this.cancel();
    this.#armed = { what, timer: setTimeout(() => this.#onDue(what), this.#graceMs) };
  }

  /** A start or reload has come to its end, by itself or since it was given up. */
  end(): void {
    this.cancel();
    if (!this.#hasGivenUp) this.#graceMs = FIRST_MS;
    this.#hasGivenUp = false;
  }

  cancel(): void {
    clearTimeout(this.#armed?.timer);
    this.#armed = undefined;
  }

  #onDue(what: T): void {
    this.#armed = undefined;
    if (!this.#giveUp(what)) return;
    this.#hasGivenUp = true;
    this.#graceMs *= 2;
  }
}
