/**
 * Emits numbered events, as fast as the loop allows or at a steady rate, never more than `window` ahead
 * of the slowest receiver. Runs in: workers and the raw star.
 */
import type { Agent } from "@holdfast/harness";

export interface Pace {
  /** How long to go on, milliseconds. */
  readonly ms: number;
  /** Events per turn of the event loop; 1 with a `rate`. */
  readonly burst: number;
  /** Most events on their way to the slowest receiver. */
  readonly window: number;
  /** Events per second, each in its own turn; 0 for as many as possible. */
  readonly rate: number;
  /**
   * Whether emits come evenly, one a millisecond at most: one that is late is not made up for. Without it, the rate is
   * kept, by two in a row if need be. @default false
   */
  readonly even?: boolean;
}

export class Emitter {
  /** Number of the last event that was emitted. */
  last = 0;
  #acknowledged = 0;
  #resume: (() => void) | undefined;
  readonly #emit: (first: number, count: number) => void;

  /** `emit` is to send events `first` … `first + count - 1` in this turn. */
  constructor(agent: Agent, emit: (first: number, count: number) => void) {
    this.#emit = emit;
    agent.on("acknowledged", (sequence) => {
      this.#acknowledged = sequence as number;
      this.#resume?.();
    });
  }

  /** @returns how many events were emitted, and the number of the last */
  async run(pace: Pace): Promise<{ emitted: number; last: number; seconds: number }> {
    const before = this.last;
    const start = performance.now();
    if (pace.even) await this.#evenly(pace, start);
    else await (pace.rate > 0 ? this.#steadily(pace, start) : this.#quickly(pace, start));
    const seconds = (performance.now() - start) / 1000;
    return { emitted: this.last - before, last: this.last, seconds };
  }

  #send(count: number): void {
    this.#emit(this.last + 1, count);
    this.last += count;
  }

  async #quickly({ ms, burst, window }: Pace, start: number): Promise<void> {
    const end = start + ms;
    await new Promise<void>((done) => {
      // Where acknowledgements stop because something was lost, the end must come all the same.
      const timer = setTimeout(() => this.#resume?.(), ms + 1);
      const turn = () => {
        this.#resume = undefined;
        if (performance.now() >= end) {
          clearTimeout(timer);
          return done();
        }
        const room = window - (this.last - this.#acknowledged);
        if (room < burst) {
          this.#resume = turn;
          return;
        }
        this.#send(burst);
        setImmediate(turn);
      };
      turn();
    });
  }

  async #steadily({ ms, rate }: Pace, start: number): Promise<void> {
    const total = Math.round((ms * rate) / 1000);
    const target = this.last + total;
    const origin = this.last;
    await new Promise<void>((done) => {
      const turn = () => {
        const due = origin + Math.min(total, Math.floor(((performance.now() - start) * rate) / 1000));
        if (this.last < due) this.#send(1);
        if (this.last >= target) return done();
        if (this.last < due) setImmediate(turn);
        else setTimeout(turn, 1);
      };
      turn();
    });
  }

  async #evenly({ ms, rate }: Pace, start: number): Promise<void> {
    await new Promise<void>((done) => {
      const timer = setInterval(() => {
        this.#send(1);
        if (performance.now() - start < ms) return;
        clearInterval(timer);
        done();
      }, 1000 / rate);
    });
  }
}
