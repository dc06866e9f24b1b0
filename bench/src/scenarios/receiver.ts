/**
 * Counts and checks what arrives in one worker, and acknowledges it out of band, so that the emitter
 * never runs far ahead. Runs in: workers and the raw star.
 */
import type { Agent } from "@holdfast/harness";
import { SequenceCheck } from "./sequence.js";

export interface Received {
  readonly count: number;
  readonly wrong: number;
  readonly attachments: number;
}

export class Receiver {
  /** Attachments of the right size. */
  attachments = 0;
  #check = new SequenceCheck();
  #sinceAck = 0;
  #ackEvery = Number.POSITIVE_INFINITY;
  readonly #agent: Agent;
  #waiting: { upTo: number; resolve(): void } | undefined;

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** Expects `first`, `first + step`, … from now on and acknowledges every `ackEvery` arrivals. */
  expect(first: number, step: number, ackEvery: number): void {
    this.#check = new SequenceCheck(first, step);
    this.#ackEvery = ackEvery;
    this.#sinceAck = 0;
    this.attachments = 0;
  }

  /** Takes the number of an event; -1 for one that is not as it should be. */
  add(sequence: number): void {
    this.#check.add(sequence);
    if (++this.#sinceAck >= this.#ackEvery) {
      this.#sinceAck = 0;
      this.#agent.notify("received", sequence);
    }
    if (this.#waiting && sequence >= this.#waiting.upTo) this.#waiting.resolve();
  }

  /** Waits until `upTo` has arrived, or `ms` have passed: the count tells which. */
  async until(upTo: number, ms: number): Promise<Received> {
    if (this.#check.last < upTo) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#waiting = {
          upTo,
          resolve: () => {
            clearTimeout(timer);
            resolve();
          },
        };
      });
      this.#waiting = undefined;
    }
    return { count: this.#check.count, wrong: this.#check.wrong, attachments: this.attachments };
  }
}
