/**
 * A connection in the primary's care: since it came, or came back from a worker, until one has it.
 * Owns: nothing. Runs in: primary.
 */
import { monotonicMs } from "../clock.js";
import type { Handover, Placer } from "../handle/handover.js";
import type { Handle } from "../handle/node-internals.js";
import type { Peer } from "../wire/messages.js";
import type { Head } from "./head.js";
import type { RoutedWorker } from "./routed-worker.js";

/** Who takes care of a connection. */
export interface Care {
  /** A worker has it. */
  onTaken(arrival: Arrival): void;
  /** It came back from the worker's lane. */
  readonly place: Placer;
}

export class Arrival implements Handover {
  readonly handle: Handle;
  readonly name: string;
  readonly peer: Peer | undefined;
  /** Its session may move on while it waits. */
  owner: number;
  /** What the options need of its head. */
  readonly parsed: Head;
  readonly since = monotonicMs();
  /** Grows while the connection waits for a worker. */
  head: string;
  /** Whether it waits for what `selectWorker` has promised. */
  isAwaiting = false;
  /** When its client was found to have ended its side. */
  endedAt: number | undefined;
  /** The worker in whose lane it is. */
  lane: RoutedWorker | undefined;
  #refusedBy: Set<number> | undefined;
  readonly #care: Care;

  constructor({ handle, name, head, peer, owner }: Handover, parsed: Head, care: Care) {
    this.handle = handle;
    this.name = name;
    this.head = head;
    this.peer = peer;
    this.owner = owner;
    this.parsed = parsed;
    this.#care = care;
  }

  /** How its router takes it back. */
  get place(): Placer {
    return this.#care.place;
  }

  /** That worker could not take it, and is not asked again. */
  refuse(workerId: number): void {
    this.#refusedBy ??= new Set();
    this.#refusedBy.add(workerId);
  }

  wasRefusedBy(workerId: number): boolean {
    return this.#refusedBy?.has(workerId) === true;
  }

  onTaken(): void {
    this.#care.onTaken(this);
  }
}
