/**
 * A worker as the router sees it.
 * Owns: its lane. Runs in: primary.
 */
import type { Worker } from "node:cluster";
import { type Handover, toMessage } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import type { WorkerStats } from "../stats.js";
import type { Candidate } from "./balancer.js";
import { SlotCounts, type Tally } from "./slot-counts.js";

/** A worker that takes nothing for so long gets no others that could go elsewhere. */
const BUSY_MS = 1_000;
/** After so long what waits for it goes elsewhere, if it can. */
const STALLED_MS = 2_000;
/** So long a connection may wait for one that takes them, but slowly. */
const MAX_WAIT_MS = 5_000;
export interface RoutedWorkerHooks {
  /** The worker could not take it. */
  onRefused(handover: Handover): void;
  /** The worker has not taken them for a while, and takes nothing for now. */
  onStalled(handovers: readonly Handover[]): void;
  /** The worker takes connections again. */
  onResumed(): void;
}

export class RoutedWorker implements Candidate {
  readonly worker: Worker;
  readonly workerId: number;
  /** Names of the servers for which it takes connections. */
  readonly names = new Set<string>();
  /** Those that it had for an earlier router, and of which it has said nothing since there is another. */
  readonly earlierNames = new Set<string>();
  #isTakenOver = false;
  readonly #lane: Lane;
  readonly #slots = SlotCounts.get();
  readonly #tally: Tally;
  // serving ⇄ retiring (its sessions move away); serving and retiring → gone, with its process
  #state: "serving" | "retiring" | "gone" = "serving";

  constructor(worker: Worker, slot: number, hooks: RoutedWorkerHooks) {
    this.worker = worker;
    this.workerId = worker.id;
    this.#tally = this.#slots.tallyOf(worker.id);
    this.slot = slot;
    this.#lane = new Lane(
      worker.process,
      {
        toMessage: (handover, ticket) => toMessage(handover, worker.id, ticket),
        onSent: (by) => {
          this.#tally.sent += by;
        },
        onArrived: () => this.#slots.onTaken(this.workerId),
        onRefused: (handover) => hooks.onRefused(handover),
      },
      {
        afterMs: STALLED_MS,
        maxWaitMs: MAX_WAIT_MS,
        canRevoke: ({ owner }) => owner !== worker.id,
        onStalled: (handovers) => hooks.onStalled(handovers),
        onResumed: () => hooks.onResumed(),
      },
    );
  }

  get slot(): number {
    return this.#tally.slot ?? 0;
  }

  set slot(slot: number) {
    this.#slots.assign(this.workerId, slot);
  }

  /** Connections that were given to it so far, by all routers. */
  get handedOver(): number {
    const { sent, reported } = this.#tally;
    return sent - reported.declined + this.#lane.waiting - this.#lane.revoked;
  }

  /** Connections that are open there or on their way. */
  get connections(): number {
    const { kept, closed } = this.#tally.reported;
    return this.handedOver + kept - closed;
  }

  /** Whether connections can be sent to it. */
  isUsable(): boolean {
    return this.#state !== "gone" && this.worker.exitedAfterDisconnect !== true && this.worker.isConnected();
  }

  /** Whether it gets connections that belong to none of its sessions. */
  takesNew(): boolean {
    // One that is drained has no server any more, long before its process ends.
    return this.#state === "serving" && this.names.size > 0 && this.isUsable();
  }

  /** Its sessions move away, or stay after all. */
  setRetiring(isRetiring: boolean): void {
    if (this.#state !== "gone") this.#state = isRetiring ? "retiring" : "serving";
  }

  /** Whether others should be preferred at the moment. */
  isBusy(): boolean {
    return this.#lane.isBehind(BUSY_MS);
  }

  /** Whether it takes nothing at the moment. */
  isStalled(): boolean {
    return this.#lane.isStalled();
  }

  hand(handover: Handover): void {
    this.#lane.push(handover);
  }

  /** Connections on their way to it. */
  get untaken(): number {
    return this.#lane.length;
  }

  /** Whether a connection that it got late is still for it. */
  grant(ticketId: number): boolean {
    return this.#lane.grant(ticketId);
  }

  /** Takes a connection back, if it is not on its way yet. */
  withdraw(handover: Handover): boolean {
    return this.#lane.withdraw(handover);
  }

  /** It takes connections of that name. */
  add(name: string): void {
    this.#isTakenOver = false;
    this.earlierNames.delete(name);
    this.names.add(name);
  }

  /** There is another router: the worker is asked anew which servers it has. */
  takeOver(): void {
    this.#isTakenOver = true;
    for (const name of this.names) this.earlierNames.add(name);
    this.names.clear();
  }

  /** Whether an earlier router had it, and it has no server yet since there is another. */
  get isTakenOver(): boolean {
    return this.#isTakenOver;
  }

  /** Takes connections back that it was about to get: all, or those of that name. */
  recall(name?: string): Handover[] {
    return this.#lane.recall((handover) => name === undefined || handover.name === name);
  }

  stats(): WorkerStats {
    const { workerId, slot, connections, handedOver } = this;
    const { relayed, moved, forwardedIn } = this.#tally.reported;
    return { workerId, slot, connections, handedOver, forwardedOut: relayed + moved, forwardedIn };
  }

  /** Its process is gone; what it has sent may still come. */
  onExit(): void {
    this.#state = "gone";
  }

  /** Ends it and returns the connections that it has not taken. */
  close(): Handover[] {
    this.#state = "gone";
    return this.#lane.close();
  }
}
