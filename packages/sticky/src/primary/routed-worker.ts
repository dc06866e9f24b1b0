/**
 * A worker as the router sees it.
 * Owns: its lane and its counts. Runs in: primary.
 */
import type { Worker } from "node:cluster";
import { type Handover, toMessage } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import type { WorkerStats } from "../stats.js";
import type { ToPrimary } from "../wire/messages.js";
import type { Candidate } from "./balancer.js";

/** A worker that leaves a connection untaken for so long gets no others that could go elsewhere. */
const STALLED_MS = 1_000;
/** How long a new worker is spared in a cluster that is already at work. */
const SLOW_START_MS = 10_000;

export class RoutedWorker implements Candidate {
  readonly worker: Worker;
  readonly workerId: number;
  /** Names of the servers for which it takes connections. */
  readonly names = new Set<string>();
  slot: number;
  readonly #lane: Lane;
  readonly #readyAt = Date.now();
  readonly #handicap: number;
  #handedOver = 0;
  #closed = 0;
  #forwardedOut = 0;
  #forwardedIn = 0;
  // serving → retired, when its process is gone
  #state: "serving" | "retired" = "serving";

  /**
   * @param handicap load of the least loaded worker when this one came: at first it counts as equally loaded
   */
  constructor(worker: Worker, slot: number, handicap: number, onReturned: (handover: Handover) => void) {
    this.worker = worker;
    this.workerId = worker.id;
    this.slot = slot;
    this.#handicap = handicap;
    this.#lane = new Lane(
      worker.process,
      (handover) => toMessage(handover, worker.id),
      (handover) => {
        this.#handedOver--;
        onReturned(handover);
      },
    );
  }

  /** Connections that were given to it so far. */
  get handedOver(): number {
    return this.#handedOver;
  }

  /** Connections that are open there or on their way. */
  get connections(): number {
    return this.#handedOver - this.#closed;
  }

  /**
   * What counts for "least-connection": its connections and, while it is new, what keeps it from getting
   * every new connection until it has as many as the others.
   */
  get load(): number {
    if (this.#handicap === 0) return this.connections;
    const rest = 1 - (Date.now() - this.#readyAt) / SLOW_START_MS;
    return this.connections + (rest > 0 ? this.#handicap * rest : 0);
  }

  /** Whether connections can be sent to it. */
  isUsable(): boolean {
    return (
      this.#state === "serving" && this.worker.exitedAfterDisconnect !== true && this.worker.isConnected()
    );
  }

  isStalled(now: number): boolean {
    return this.#lane.stalledMs(now) > STALLED_MS;
  }

  hand(handover: Handover): void {
    this.#handedOver++;
    this.#lane.push(handover);
  }

  /** The worker takes no more connections of that name. Returns those that it was about to get. */
  leave(name: string): Handover[] {
    this.names.delete(name);
    const recalled = this.#lane.recall(name);
    this.#handedOver -= recalled.length;
    return recalled;
  }

  /** The worker says what it has counted so far. */
  onReport({ closed, forwardedOut, forwardedIn }: ToPrimary & { kind: "report" }): void {
    this.#closed = closed;
    this.#forwardedOut = forwardedOut;
    this.#forwardedIn = forwardedIn;
  }

  stats(): WorkerStats {
    return {
      workerId: this.workerId,
      slot: this.slot,
      connections: this.connections,
      handedOver: this.#handedOver,
      forwardedOut: this.#forwardedOut,
      forwardedIn: this.#forwardedIn,
    };
  }

  retire(): void {
    this.#state = "retired";
  }

  /** Ends it and returns the connections that it has not taken. */
  close(): Handover[] {
    this.#state = "retired";
    return this.#lane.close();
  }
}
