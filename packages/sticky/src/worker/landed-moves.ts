/**
 * What has come of sessions that move here, on its way to the primary. A message costs as much as bringing up a good part
 * of a session, and wakes two processes: those that come one right after another are told of together.
 * Owns: what has not been told yet. Runs in: workers.
 */
import type { MoveEnd } from "../wire/move-messages.js";

/** How many are told of at once at most: their places in the window are free only then. */
const AT_ONCE = 4;

export class LandedMoves {
  readonly #send: (ends: readonly MoveEnd[]) => void;
  #ends: MoveEnd[] = [];

  constructor(send: (ends: readonly MoveEnd[]) => void) {
    this.#send = send;
  }

  /** A session is up, or is not. One that is not is told of at once: its client waits. */
  add(end: MoveEnd): void {
    this.#ends.push(end);
    if (!end.isUp || this.#ends.length === AT_ONCE) this.#flush();
    else if (this.#ends.length === 1) this.#wait(this.#ends);
  }

  /** The next one is on its way already, or is not waited for: between the two immediates, what has come is read. */
  #wait(ends: readonly MoveEnd[]): void {
    const { length } = ends;
    setImmediate(() =>
      setImmediate(() => {
        if (this.#ends !== ends) return;
        if (ends.length > length) this.#wait(ends);
        else this.#flush();
      }),
    );
  }

  #flush(): void {
    const ends = this.#ends;
    this.#ends = [];
    this.#send(ends);
  }
}
