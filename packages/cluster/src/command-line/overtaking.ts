/**
 * When what goes on makes way for a change of a file: it started with what was in the files before.
 * Owns: one timer. Runs in: the command line.
 *
 * The change may be the application's own: it writes into a watched directory when it starts, and does so again at each
 * start. So what follows an attempt that has made way has twice as long: else an application that needs longer to start
 * would never run.
 */

/** How long something may still take after a change. */
const FIRST_MS = 2_000;

/** `T` stands for what goes on: another object each time. */
export class Overtaking<T extends object> {
  readonly #giveUp: (what: T) => void;
  #graceMs = FIRST_MS;
  #armed: { readonly what: T; readonly timer: NodeJS.Timeout } | undefined;

  constructor(giveUp: (what: T) => void) {
    this.#giveUp = giveUp;
  }

  /** A change has come while this goes on. Further ones leave it the time that it has. */
  arm(what: T): void {
    if (this.#armed?.what === what) return;
    this.cancel();
    this.#armed = { what, timer: setTimeout(() => this.#onDue(what), this.#graceMs) };
  }

  /** An attempt to run what is in the files has come to its end: it has made way, or ended by itself. */
  end(hasMadeWay: boolean): void {
    this.cancel();
    this.#graceMs = hasMadeWay ? this.#graceMs * 2 : FIRST_MS;
  }

  cancel(): void {
    clearTimeout(this.#armed?.timer);
    this.#armed = undefined;
  }

  #onDue(what: T): void {
    this.#armed = undefined;
    this.#giveUp(what);
  }
}
