/**
 * What the workers of each slot have done, counted on when a worker is replaced.
 * Owns: the totals of each slot, and what each living worker has reported last. Runs in: primary, one for all routers of
 * the process, also of routers to come: a counter that starts anew is one that has fallen.
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

const NOTHING = zeros(REPORTED) as Reported;

export class SlotCounts {
  static get(): SlotCounts {
    return processWide("slot counts", () => new SlotCounts());
  }

  readonly #slots: Slot[] = [];
  readonly #last = new Map<number, Reported>();

  /** How many slots there have been. */
  get length(): number {
    return this.#slots.length;
  }

  /** A worker of that slot has taken a connection. */
  onTaken(slot: number): void {
    this.#at(slot).handedOver++;
  }

  /** A worker has said what it has counted so far. */
  onReport(workerId: number, slot: number, counts: Reported): void {
    this.#at(slot).add(counts, this.#last.get(workerId) ?? NOTHING);
    this.#last.set(workerId, counts);
  }

  /** That worker's process is gone, and with it the sessions that it had. */
  onGone(workerId: number, slot: number): void {
    const last = this.#last.get(workerId);
    if (!last) return;
    this.#last.delete(workerId);
    this.#at(slot).workerGone += TRANSPORT_NAMES.reduce((sum, name) => sum + last[name], 0);
  }

  /** The sessions that workers have open. */
  openSessions(workerIds: readonly number[]): SessionStats["open"] {
    const open = { polling: 0, websocket: 0, webtransport: 0 };
    for (const workerId of workerIds) {
      const last = this.#last.get(workerId) ?? NOTHING;
      for (const name of TRANSPORT_NAMES) open[name] += last[name];
    }
    return open;
  }

  totals(slot: number): SlotTotals {
    return this.#at(slot).totals();
  }

  /** Forgets workers that have gone while nobody listened. */
  keepOnly(isThere: (workerId: number) => boolean): void {
    for (const workerId of this.#last.keys()) if (!isThere(workerId)) this.#last.delete(workerId);
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
