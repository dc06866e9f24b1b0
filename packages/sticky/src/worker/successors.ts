/**
 * Where requests of this router's sessions go from here: session ids keep the mark of the worker that made them. And
 * whether a worker lives that cannot be reached.
 * Owns: what this worker has heard of moves, and its questions to the primary. Runs in: workers, one for all servers of
 * the process.
 */
import { Holders } from "../holders.js";
import { NO_OWNER } from "../wire/owner-mark.js";

/** How long the primary may take to answer. */
const ANSWER_MS = 2_000;
/** For so long an answer is new enough for whoever would ask next. */
const RECENT_MS = 100;

/** A request on its way to its session. */
export interface Search {
  /** The worker that its session id names. */
  readonly marked: number;
  /** Another worker has sent it here. */
  readonly isRelayed: boolean;
  /** Workers that it could not reach. */
  readonly tried: ReadonlySet<number>;
}

interface Question {
  /** Whether that worker lives; `undefined` if there was no answer. */
  readonly answer: Promise<boolean | undefined>;
  settle(lives: boolean | undefined): void;
}

export class Successors {
  readonly #workerId: number;
  readonly #ask: (worker: number) => void;
  readonly #holders = new Holders();
  readonly #questions = new Map<number, Question>();
  /** The workers of which the primary has just told. */
  readonly #recent = new Set<number>();

  /** @param ask asks the primary, which answers with {@link onHolders} */
  constructor(workerId: number, ask: (worker: number) => void) {
    this.#workerId = workerId;
    this.#ask = ask;
  }

  onGiving(giver: number, heir: number): void {
    this.#holders.onGiving(giver, heir);
  }

  onGiven(giver: number, heir: number): void {
    this.#holders.onGiven(giver, heir);
  }

  onHolders(worker: number, lives: boolean, holders: readonly number[]): void {
    this.#holders.set(worker, holders);
    if (!this.#recent.has(worker)) {
      this.#recent.add(worker);
      setTimeout(() => this.#recent.delete(worker), RECENT_MS).unref();
    }
    this.#questions.get(worker)?.settle(lives);
  }

  /** Whether a worker lives and can be reached again, as the primary says; `undefined` if it says nothing. */
  lives(worker: number): Promise<boolean | undefined> {
    return this.#questionOf(worker).answer;
  }

  /**
   * The worker that a request goes to whose session is not here, as far as it is known; `NO_OWNER` if there is none.
   *
   * What was relayed only goes down the list, so that workers that know the same never send it around in circles.
   */
  next({ marked, isRelayed, tried }: Search): number {
    const holders = this.#holders.of(marked);
    const from = isRelayed ? this.#placeAfterThis(holders) : 0;
    const next = holders.find((each, place) => place >= from && each !== this.#workerId && !tried.has(each));
    return next ?? NO_OWNER;
  }

  /**
   * Whether a connection may be given to that worker, which {@link next} has found. Connections only go down the list, too:
   * that of a session that is nowhere would go up and down for ever.
   */
  getsConnections(marked: number, next: number): boolean {
    const holders = this.#holders.of(marked);
    return holders.indexOf(next) > holders.indexOf(this.#workerId);
  }

  /** What {@link next} finds after a worker could not be reached: the primary is asked if need be. */
  async after(search: Search): Promise<number> {
    const next = this.next(search);
    if (next !== NO_OWNER || this.#recent.has(search.marked)) return next;
    await this.#questionOf(search.marked).answer;
    return this.next(search);
  }

  /** The primary is gone. */
  close(): void {
    for (const question of this.#questions.values()) question.settle(undefined);
  }

  #placeAfterThis(holders: readonly number[]): number {
    const place = holders.indexOf(this.#workerId);
    if (place !== -1) return place + 1;
    // Whoever sent it here may not have heard yet that all have left; otherwise they are nowhere else.
    return this.#holders.hasGiven(this.#workerId) ? 0 : holders.length;
  }

  #questionOf(worker: number): Question {
    const asked = this.#questions.get(worker);
    if (asked) return asked;
    let settle: Question["settle"] = () => {};
    const answer = new Promise<boolean | undefined>((resolve) => {
      const timer = setTimeout(() => settle(undefined), ANSWER_MS).unref();
      settle = (lives) => {
        clearTimeout(timer);
        this.#questions.delete(worker);
        resolve(lives);
      };
    });
    const question = { answer, settle };
    this.#questions.set(worker, question);
    this.#ask(worker);
    return question;
  }
}
