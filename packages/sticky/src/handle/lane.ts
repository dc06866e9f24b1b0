/**
 * How connections get to another process.
 * Owns: the handles on their way until the receiver has taken them; a timer while there are some, if it is to see
 * that the receiver takes nothing. Runs in: primary (one to each worker) and workers (one to the primary).
 *
 * Node.js sends one handle at a time over an IPC channel and lets everything else wait behind it, in a queue
 * that it runs through again for each acknowledgement. So connections wait here instead, where they also can
 * be given to another worker. The sender keeps its copy of a handle until the receiver has acknowledged it:
 * a worker that dies before that has read nothing of the connection.
 *
 * What is on the channel cannot be called back, so a connection that may go elsewhere has a ticket: a receiver that
 * gets it late asks before it reads from it. If there was no acknowledgement by the time that the receiver must ask
 * from, and nothing is left to be read of the channel, the receiver has not read from the connection, and will ask.
 */
import { monotonicMs } from "../clock.js";
import { reportFailure } from "../diagnostics.js";
import { processWide } from "../process-wide.js";
import type { Ticket } from "../wire/messages.js";
import type { Handover } from "./handover.js";
import {
  bytesReadOf,
  type IpcChannel,
  isHandleInFlight,
  onHandleSettled,
  sendHandle,
} from "./node-internals.js";

export interface LaneHooks<H extends Handover> {
  toMessage(handover: H, ticket: Ticket | undefined): object;
  /** There is one more that the receiver gets, or one less: it could not be sent. Also when the lane is closed. */
  onSent?(by: 1 | -1): void;
  /** The receiver has one. Also when the lane is closed, and of one that was taken back meanwhile. */
  onArrived?(): void;
  /** The receiver could not take it. */
  onRefused(handover: H): void;
}

/** For a lane that sees whether its receiver takes connections. */
export interface StallHooks<H extends Handover> {
  /** After so long without taking one, the receiver is stalled. */
  readonly afterMs: number;
  /** So is one that is so slow that a connection waits for so long. */
  readonly maxWaitMs: number;
  /** Whether a connection may go elsewhere. */
  canRevoke(handover: H): boolean;
  /** The receiver takes nothing. These are all that can be taken back; the lane should get no others for now. */
  onStalled(handovers: H[]): void;
  /** The receiver takes connections again. */
  onResumed(): void;
}

/** After so long on its way, a connection is late. */
const CLAIM_MS = 1_000;
/** A timer that is so late shows that this process was busy itself, and has not heard what it judges by. */
const LATE_MS = 250;
/** How often it is looked whether there is nothing left to be read of the channel. */
const MAX_TRIES = 10;

/** Tickets are unique in this process: a lane must not know another's. */
const tickets = processWide("tickets", () => ({ last: 0 }));

export class Lane<H extends Handover = Handover> {
  readonly #channel: IpcChannel;
  readonly #hooks: LaneHooks<H>;
  readonly #stall: StallHooks<H> | undefined;
  readonly #stopListening: () => void;
  /** With the time since when each has been in the lane, in order. */
  readonly #waiting = new Map<H, number>();
  #inFlight: H | undefined;
  /** Of the connection that is on the channel, also of one that was taken back. */
  #ticket: Ticket | undefined;
  /** Whether there is one, ours, of which the receiver has not said whether it has it. */
  #isSent = false;
  readonly #firstTicketId = tickets.last + 1;
  /** Of connections that were taken back while they were in flight, and of which the receiver has not asked yet. */
  readonly #revoked = new Set<number>();
  /** When the receiver has last taken one, or had none to take. */
  #progressAt = 0;
  #timer: NodeJS.Timeout | undefined;
  // open ⇄ stalled; open, stalled → closed
  #state: "open" | "stalled" | "closed" = "open";

  constructor(channel: IpcChannel, hooks: LaneHooks<H>, stall?: StallHooks<H>) {
    this.#channel = channel;
    this.#hooks = hooks;
    this.#stall = stall;
    this.#stopListening = onHandleSettled(channel, (taken) => this.#onSettled(taken));
  }

  /** Connections that the receiver has not taken yet. */
  get length(): number {
    return this.#waiting.size + (this.#inFlight ? 1 : 0);
  }

  /** Those that are not on their way yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Those that were taken back, and that the receiver does not know of yet. */
  get revoked(): number {
    return this.#revoked.size;
  }

  /** Whether the receiver takes nothing. */
  isStalled(): boolean {
    return this.#state === "stalled";
  }

  /** Whether the receiver has been leaving connections untaken for so long. */
  isBehind(ms: number): boolean {
    return this.length > 0 && monotonicMs() - this.#progressAt > ms;
  }

  push(handover: H): void {
    const now = monotonicMs();
    if (this.length === 0) this.#progressAt = now;
    if (this.#inFlight || this.#waiting.size > 0 || isHandleInFlight(this.#channel)) {
      this.#waiting.set(handover, now);
    } else {
      this.#dispatch(handover, now);
    }
    this.#watch(now);
  }

  /** Whether a connection that the receiver got late is still for it. */
  grant(ticketId: number): boolean {
    return ticketId >= this.#firstTicketId && !this.#revoked.delete(ticketId);
  }

  /** Takes one back, if it is not on its way yet. */
  withdraw(handover: H): boolean {
    return this.#waiting.delete(handover);
  }

  /** Takes back those connections that are not on their way yet; all, or those of which `isMeant` says so. */
  recall(isMeant: (handover: H) => boolean = () => true): H[] {
    const recalled = [...this.#waiting.keys()].filter(isMeant);
    for (const handover of recalled) this.#waiting.delete(handover);
    return recalled;
  }

  /** Ends the lane and returns the connections that the receiver has not taken, in order. */
  close(): H[] {
    if (this.#state === "closed") return [];
    this.#state = "closed";
    clearTimeout(this.#timer);
    if (!this.#isSent) this.#stopListening();
    const connections = this.recall();
    if (this.#inFlight) connections.unshift(this.#inFlight);
    this.#inFlight = undefined;
    return connections;
  }

  #dispatch(handover: H, now: number): void {
    this.#inFlight = handover;
    this.#isSent = true;
    this.#hooks.onSent?.(1);
    this.#ticket = this.#stall?.canRevoke(handover)
      ? { id: ++tickets.last, claimAfter: Math.ceil(now) + CLAIM_MS }
      : undefined;
    sendHandle(this.#channel, this.#hooks.toMessage(handover, this.#ticket), handover.handle, (error) => {
      if (!error || this.#inFlight !== handover) return;
      reportFailure("lane", "a connection cannot be sent", { error });
      this.#onSettled(false);
    });
  }

  /** Without a connection of ours in flight this was somebody else's handle, for which ours had to wait. */
  #onSettled(taken: boolean): void {
    const handover = this.#inFlight;
    this.#inFlight = undefined;
    this.#settleSent(taken);
    if (this.#state === "closed") return this.#stopListening();
    const now = monotonicMs();
    this.#progressAt = now;
    const wasStalled = this.#state === "stalled";
    if (wasStalled) this.#state = "open";
    this.#next(now);
    this.#watch(now);
    if (handover && taken) {
      if (!handover.moving) handover.handle.close();
      handover.onTaken?.();
    } else if (handover) {
      this.#hooks.onRefused(handover);
    }
    if (wasStalled) this.#stall?.onResumed();
  }

  #settleSent(taken: boolean): void {
    if (!this.#isSent) return;
    this.#isSent = false;
    if (taken) return this.#hooks.onArrived?.();
    this.#hooks.onSent?.(-1);
    // What never arrived will not be asked for.
    if (this.#ticket) this.#revoked.delete(this.#ticket.id);
  }

  #next(now: number): void {
    if (this.#state === "closed" || isHandleInFlight(this.#channel)) return;
    for (const handover of this.#waiting.keys()) {
      this.#waiting.delete(handover);
      this.#dispatch(handover, now);
      return;
    }
  }

  /** One timer at a time: arming one for each connection would cost too much. */
  #watch(now: number): void {
    if (!this.#stall || this.#timer !== undefined || this.length === 0) return;
    const dueAt = this.#dueAt(this.#stall);
    this.#timer = setTimeout(() => this.#onTimer(dueAt), Math.max(1, dueAt - now)).unref();
  }

  #onTimer(dueAt: number): void {
    this.#timer = undefined;
    const now = monotonicMs();
    if (now - dueAt > LATE_MS) this.#progressAt = Math.max(this.#progressAt, now - LATE_MS);
    this.#judgeLater();
  }

  /** Acknowledgements that have arrived are read before that. */
  #judgeLater(tries = 0): void {
    const bytesRead = bytesReadOf(this.#channel);
    setImmediate(() => {
      const isQuiet = bytesRead !== undefined && bytesRead === bytesReadOf(this.#channel);
      this.#judge(isQuiet, bytesRead === undefined ? MAX_TRIES : tries);
    });
  }

  /** @param isQuiet whether there was nothing to be read of the channel */
  #judge(isQuiet: boolean, tries: number): void {
    if (!this.#stall || this.#state === "closed" || this.#timer !== undefined || this.length === 0) return;
    const now = monotonicMs();
    if (now < this.#dueAt(this.#stall)) return this.#watch(now);
    const isLate = this.#inFlight !== undefined && now - (this.#ticket?.claimAfter ?? now) > LATE_MS;
    if (isLate && !isQuiet && tries < MAX_TRIES) return this.#judgeLater(tries + 1);
    this.#state = "stalled";
    // Connections of sessions that move can go nowhere else: they wait.
    const back = this.recall(({ moving }) => !moving);
    if (isLate && isQuiet && this.#inFlight && this.#ticket) {
      this.#revoked.add(this.#ticket.id);
      back.unshift(this.#inFlight);
      this.#inFlight = undefined;
    }
    this.#stall.onStalled(back);
  }

  /** When the receiver is stalled, if nothing happens until then. */
  #dueAt({ afterMs, maxWaitMs }: StallHooks<H>): number {
    const [oldest] = this.#waiting.values();
    const idleAt = this.#progressAt + afterMs;
    return oldest === undefined ? idleAt : Math.min(idleAt, oldest + maxWaitMs);
  }
}
