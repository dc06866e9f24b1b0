/**
 * Which workers have got the sessions of others: session ids keep the mark of the worker that made them.
 * Owns: what this worker has heard of it, and its questions to the primary. Runs in: workers, one for all servers of the
 * process.
 */
import { NO_OWNER } from "../wire/owner-mark.js";

/** How long the primary may take to answer. */
const ANSWER_MS = 2_000;

interface Question {
  readonly answer: Promise<void>;
  settle(): void;
}

export class Successors {
  readonly #ask: (worker: number) => void;
  readonly #successors = new Map<number, number>();
  readonly #questions = new Map<number, Question>();

  /** @param ask asks the primary, which answers with {@link set} */
  constructor(ask: (worker: number) => void) {
    this.#ask = ask;
  }

  /** @param successor `NO_OWNER` if there is none */
  set(worker: number, successor: number): void {
    if (successor === NO_OWNER) this.#successors.delete(worker);
    else this.#successors.set(worker, successor);
    this.#questions.get(worker)?.settle();
  }

  /** The worker that has the sessions of `worker`, as far as it is known here: most often itself. */
  of(worker: number): number {
    let found = worker;
    // Whoever gets sessions has no successor at that time, so this comes to an end; two primaries may have said otherwise.
    for (let hops = this.#successors.size; hops > 0; hops--) {
      const next = this.#successors.get(found);
      if (next === undefined) break;
      found = next;
    }
    return found;
  }

  /** The worker that has the sessions of one that is gone; itself if none has. */
  async after(worker: number): Promise<number> {
    if (!this.#successors.has(worker)) await this.#questionOf(worker).answer;
    return this.of(worker);
  }

  /** The primary is gone. */
  close(): void {
    for (const question of this.#questions.values()) question.settle();
  }

  #questionOf(worker: number): Question {
    const asked = this.#questions.get(worker);
    if (asked) return asked;
    let settle = () => {};
    const answer = new Promise<void>((resolve) => {
      const timer = setTimeout(() => settle(), ANSWER_MS).unref();
      settle = () => {
        clearTimeout(timer);
        this.#questions.delete(worker);
        resolve();
      };
    });
    const question = { answer, settle: () => settle() };
    this.#questions.set(worker, question);
    this.#ask(worker);
    return question;
  }
}
