/**
 * A worker as the router sees it.
 * Owns: its lane and its counts. Runs in: primary.
 */
import type { Worker } from "node:cluster";
import { type Handover, toMessage } from "../handle/handover.js";
import { Lane } from "../handle/lane.js";
import type { WorkerStats } from "../stats.js";
import type { Reported, ToPrimary } from "../wire/messages.js";
import type { Candidate } from "./balancer.js";
import { SlotCounts } from "./slot-counts.js";

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
  slot: number;
  #isTakenOver = false;
  readonly #lane: Lane;
  readonly #slots = SlotCounts.get();
  /** Connections that it had from an earlier router, and how many it had closed by then. */
  #before: { readonly open: number; readonly closed: number };
  #handedOver = 0;
  #closed: number;
  #forwardedOut = 0;
  #forwardedIn = 0;
  // serving ⇄ retiring (its sessions move away); serving and retiring → gone, with its process
  #state: "serving" | "retiring" | "gone" = "serving";

  constructor(
    worker: Worker,
    slot: number,
    { open, closed }: ToPrimary & { kind: "ready" },
    hooks: RoutedWorkerHooks,
  ) {
    this.worker = worker;
    this.workerId = worker.id;
    this.slot = slot;
    this.#before = { open, closed };
    this.#closed = closed;
    this.#lane = new Lane(
      worker.process,
      {
        toMessage: (handover, ticket) => toMessage(handover, worker.id, ticket),
        onRefused: (handover) => {
          this.#handedOver--;
          hooks.onRefused(handover);
        },
      },
      {
        afterMs: STALLED_MS,
        maxWaitMs: MAX_WAIT_MS,
        canRevoke: ({ owner }) => owner !== worker.id,
        onStalled: (handovers) => {
          this.#handedOver -= handovers.length;
          hooks.onStalled(handovers);
        },
        onResumed: () => hooks.onResumed(),
      },
    );
  }

  /** Connections that were given to it so far. */
  get handedOver(): number {
    return this.#handedOver;
  }

  /** Connections that are open there or on their way. */
  get connections(): number {
    return this.#before.open + this.#handedOver - (this.#closed - this.#before.closed);
  }

  /** Whether connections can be sent to it. */
  isUsable(): boolean {
    return this.#state !== "gone" && this.worker.exitedAfterDisconnect !== true && this.worker.isConnected();
  }

  /** Whether it gets connections that belong to none of its sessions. */
  takesNew(): boolean {
    return this.#state === "serving" && this.isUsable();
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
    this.#handedOver++;
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
    const isBack = this.#lane.withdraw(handover);
    if (isBack) this.#handedOver--;
    return isBack;
  }

  /** There is another router: the worker is asked anew what it has. */
  takeOver(): void {
    this.#isTakenOver = true;
    for (const name of this.names) this.earlierNames.add(name);
    this.names.clear();
  }

  /** Whether an earlier router had it, and it has not said what it has since there is another. */
  get isTakenOver(): boolean {
    return this.#isTakenOver;
  }

  /** What the worker says to another router that it has. */
  countFrom({ open, closed }: ToPrimary & { kind: "ready" }): void {
    this.#isTakenOver = false;
    this.#before = { open, closed };
    this.#closed = closed;
    this.#handedOver = this.untaken;
  }

  /** Takes connections back that it was about to get: all, or those of that name. */
  recall(name?: string): Handover[] {
    const recalled = this.#lane.recall((handover) => name === undefined || handover.name === name);
    this.#handedOver -= recalled.length;
    return recalled;
  }

  /** It has a connection that was handed to it. */
  onTaken(): void {
    this.#slots.onTaken(this.slot);
  }

  /** The worker says what it has counted so far. */
  onReport(counts: Reported): void {
    this.#closed = counts.closed;
    this.#forwardedOut = counts.relayed + counts.moved;
    this.#forwardedIn = counts.forwardedIn;
    this.#slots.onReport(this.workerId, this.slot, counts);
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
