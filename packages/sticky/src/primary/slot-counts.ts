/**
 * What each worker has got and done, and what the workers of each slot have, counted on when a worker is replaced.
 * Owns: the totals of each slot, and the tally of each living worker. Runs in: primary, one for all routers of the process,
 * also of routers to come: a counter that starts anew is one that has fallen, and what a worker counts has no beginning
 * that both ends would know.
 */
import { processWide } from "../process-wide.js";
import {
  REQUEST_REFUSAL_REASONS,
  type RequestRefusalReason,
  SESSION_END_REASONS,
  type SessionEndReason,
  type SessionStats,
  TRANSPORT_NAMES,
  type TransportName,
} from "../stats.js";
import { REPORTED, type Reported } from "../wire/messages.js";

type Totals = Record<Exclude<keyof Reported, TransportName>, number>;

/** What a slot has counted so far. */
export interface SlotTotals
  extends Pick<Totals, "closed" | "relayed" | "relayedToHosts" | "moved" | "forwardedIn"> {
  readonly handedOver: number;
  readonly sessions: Omit<SessionStats, "open">;
}

/** What is counted of a worker since its process has begun. */
export interface Tally {
  /** Connections that were sent to it, also those that were taken back on their way. */
  sent: number;
  /** What it has said last. */
  reported: Reported;
}

const NOTHING = zeros(REPORTED) as Reported;

export class SlotCounts {
  static get(): SlotCounts {
    return processWide("slot counts", () => new SlotCounts());
  }

  readonly #slots: Slot[] = [];
  readonly #tallies = new Map<number, Tally>();

  /** How many slots there have been. */
  get length(): number {
    return this.#slots.length;
  }

  /** The tally of that worker, which is alive. */
  tallyOf(workerId: number): Tally {
    const tally = this.#tallies.get(workerId) ?? { sent: 0, reported: NOTHING };
    this.#tallies.set(workerId, tally);
    return tally;
  }

  /** A worker of that slot has taken a connection. */
  onTaken(slot: number): void {
    this.#at(slot).handedOver++;
  }

  /** A worker has said what it has counted so far. */
  onReport(workerId: number, slot: number, counts: Reported): void {
    const tally = this.tallyOf(workerId);
    this.#at(slot).add(counts, tally.reported);
    tally.reported = counts;
  }

  /** That worker's process is gone, and with it the sessions that it had. */
  onGone(workerId: number, slot: number): void {
    const { reported } = this.tallyOf(workerId);
    this.#tallies.delete(workerId);
    this.#at(slot).workerGone += TRANSPORT_NAMES.reduce((sum, name) => sum + reported[name], 0);
  }

  /** The sessions that workers have open. */
  openSessions(workerIds: readonly number[]): SessionStats["open"] {
    const open = { polling: 0, websocket: 0, webtransport: 0 };
    for (const workerId of workerIds) {
      const { reported } = this.tallyOf(workerId);
      for (const name of TRANSPORT_NAMES) open[name] += reported[name];
    }
    return open;
  }

  totals(slot: number): SlotTotals {
    return this.#at(slot).totals();
  }

  /** Forgets workers that have gone while nobody listened. */
  keepOnly(isThere: (workerId: number) => boolean): void {
    for (const workerId of this.#tallies.keys()) if (!isThere(workerId)) this.#tallies.delete(workerId);
  }

  #at(slot: number): Slot {
    while (this.#slots.length <= slot) this.#slots.push(new Slot());
    return this.#slots[slot] as Slot;
  }
}

class Slot {
  handedOver = 0;
  workerGone = 0;
  readonly #totals: Record<keyof Reported, number> = zeros(REPORTED);

  add(counts: Reported, before: Reported): void {
    for (const name of REPORTED) this.#totals[name] += counts[name] - before[name];
  }

  totals(): SlotTotals {
    const { closed, relayed, relayedToHosts, moved, forwardedIn, opened, upgraded } = this.#totals;
    const ended = Object.fromEntries(
      SESSION_END_REASONS.map((reason) => [
        reason,
        reason === "worker gone" ? this.workerGone : this.#totals[reason],
      ]),
    ) as Record<SessionEndReason, number>;
    const refused = Object.fromEntries(
      REQUEST_REFUSAL_REASONS.map((reason) => [reason, this.#totals[reason]]),
    ) as Record<RequestRefusalReason, number>;
    const sessions = { opened, upgraded, ended, refused };
    return { handedOver: this.handedOver, closed, relayed, relayedToHosts, moved, forwardedIn, sessions };
  }
}

/** A zero for each name. */
function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
