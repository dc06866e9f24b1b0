/**
 * Who has the sessions of a worker that retires or has retired, for requests whose session ids name that worker.
 * Owns: one entry for each such worker, for as long as the process lives, as sessions may. Runs in: primary, one for all
 * routers of the process.
 */
import { processWide } from "../process-wide.js";
import { NO_OWNER } from "../wire/owner-mark.js";

/**
 * giving: the worker has some of its sessions yet, and knows which; requests go there as long as it lives. done: it has
 * none any more.
 *
 * giving → done
 */
interface Inheritance {
  readonly heir: number;
  state: "giving" | "done";
}

export class Heirs {
  static get(): Heirs {
    return processWide("heirs", () => new Heirs());
  }

  readonly #heirs = new Map<number, Inheritance>();

  name(worker: number, heir: number): void {
    this.#heirs.set(worker, { heir, state: "giving" });
  }

  /** The worker has given all away. */
  onDone(worker: number): void {
    const inheritance = this.#heirs.get(worker);
    if (inheritance) inheritance.state = "done";
  }

  /** The worker gets sessions itself: two must not be each other's heirs. @returns whether it had one */
  forget(worker: number): boolean {
    return this.#heirs.delete(worker);
  }

  /**
   * The worker that requests of a worker's sessions go to: most often itself.
   * @param lives whether a worker can be reached
   */
  of(worker: number, lives: (worker: number) => boolean): number {
    let found = worker;
    for (let next = this.#heirs.get(found); next; next = this.#heirs.get(found)) {
      if (next.state === "giving" && lives(found)) break;
      found = next.heir;
    }
    return found;
  }

  /** The worker that has the sessions of one that somebody could not reach; `NO_OWNER` if none has. */
  after(worker: number, lives: (worker: number) => boolean): number {
    const found = this.of(worker, (each) => each !== worker && lives(each));
    return found === worker || !lives(found) ? NO_OWNER : found;
  }
}
