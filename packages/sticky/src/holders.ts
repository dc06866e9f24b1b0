/**
 * Which workers may have the sessions whose ids name a worker: itself, and those that get sessions from it.
 * Owns: a list for each worker whose sessions have moved, for as long as the process lives, as sessions may.
 * Runs in: primary and workers.
 *
 * A request is tried at the workers of a list in turn. One that gives its sessions away stands before the one that gets
 * them: a session that has left meanwhile is found behind it. So each step of a move is one change of all lists that
 * the giving worker is in, and whoever hears of the same steps has the same lists.
 */
export class Holders {
  readonly #lists = new Map<number, readonly number[]>();

  /** Where sessions are whose ids name that worker: most often there. */
  of(worker: number): readonly number[] {
    return this.#lists.get(worker) ?? [worker];
  }

  /** Whether a worker has given all away, and got none since. */
  hasGiven(worker: number): boolean {
    return !this.of(worker).includes(worker);
  }

  /** All lists that a worker is in, by the worker that they are of. */
  with(worker: number): [worker: number, holders: readonly number[]][] {
    const lists = [...this.#lists].filter(([, holders]) => holders.includes(worker));
    return this.#lists.has(worker) ? lists : [[worker, [worker]], ...lists];
  }

  /** Somebody who knows better says so. */
  set(worker: number, holders: readonly number[]): void {
    if (holders.length === 1 && holders[0] === worker) this.#lists.delete(worker);
    else this.#lists.set(worker, holders);
  }

  /** `giver` begins to give its sessions to `heir`. */
  onGiving(giver: number, heir: number): void {
    for (const [worker, holders] of this.with(giver)) {
      const others = holders.filter((holder) => holder !== heir);
      this.set(worker, others.toSpliced(others.indexOf(giver) + 1, 0, heir));
    }
  }

  /** `giver` has none any more. */
  onGiven(giver: number, heir: number): void {
    this.onGiving(giver, heir);
    this.#remove(giver);
  }

  /** The worker is gone, and with it what it had. Lists keep their last one: nobody else has ever had those sessions. */
  onGone(gone: number): void {
    this.#remove(gone);
  }

  #remove(holder: number): void {
    for (const [worker, holders] of this.with(holder)) {
      if (holders.length === 1) continue;
      this.set(
        worker,
        holders.filter((each) => each !== holder),
      );
    }
  }
}
