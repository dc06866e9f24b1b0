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
  readonly sessions: SessionStats;
}

/** What is counted of a worker since its process has begun. */
export interface Tally {
  /** Its slot; `undefined` until a router has admitted it. */
  slot: number | undefined;
  /** Connections that were sent to it, also those that were taken back on their way. */
  sent: number;
  /** Those of which it is known that they have got there. */
  taken: number;
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
    const tally = this.#tallies.get(workerId) ?? { slot: undefined, sent: 0, taken: 0, reported: NOTHING };
    this.#tallies.set(workerId, tally);
    return tally;
  }

  /** The slot that the worker has, if it has one. */
  slotOf(workerId: number): number | undefined {
    return this.#tallies.get(workerId)?.slot;
  }

  /** The slots that other workers have. */
  slotsOfOthers(workerId: number): number[] {
    const others = [...this.#tallies].filter(([id]) => id !== workerId);
    return others.flatMap(([, { slot }]) => slot ?? []);
  }

  /**
   * What that worker counts is of that slot from now on; if it had none, also what it has counted before. If it had another
   * one, what it has open has gone from there to here.
   */
  assign(workerId: number, slot: number): void {
    const tally = this.tallyOf(workerId);
    if (tally.slot === slot) return;
    if (tally.slot === undefined) {
      this.#at(slot).add(tally.reported, NOTHING);
    } else {
      this.#at(tally.slot).leave(tally, "moved away");
      this.#at(slot).enter(tally);
    }
    tally.slot = slot;
  }

  /** A worker has taken a connection. */
  onTaken(workerId: number): void {
    const tally = this.#tallies.get(workerId);
    // That it had is told after its end.
    if (!tally) return;
    tally.taken++;
    if (tally.slot !== undefined) this.#at(tally.slot).taken++;
  }

  /** A worker has said what it has counted so far. */
  onReport(workerId: number, counts: Reported): void {
    const tally = this.tallyOf(workerId);
    if (tally.slot !== undefined) this.#at(tally.slot).add(counts, tally.reported);
    tally.reported = counts;
  }

  /** That worker's process is gone, and with it the connections and sessions that it had. */
  onGone(workerId: number): void {
    const tally = this.#tallies.get(workerId);
    if (!tally) return;
    this.#tallies.delete(workerId);
    if (tally.slot !== undefined) this.#at(tally.slot).leave(tally, "worker gone");
  }

  /** Connections of that slot's workers, without those that somebody else counts. */
  connections(slot: number, isCounted: (workerId: number) => boolean): number {
    const others = [...this.#tallies].filter(([id, tally]) => tally.slot === slot && !isCounted(id));
    return others.reduce((sum, [, tally]) => sum + connectionsOf(tally), 0);
  }

  totals(slot: number): SlotTotals {
    const tallies = [...this.#tallies.values()].filter((tally) => tally.slot === slot);
    return this.#at(slot).totals(openOf(tallies));
  }

  /** Workers may have gone while nobody listened. */
  keepOnly(isThere: (workerId: number) => boolean): void {
    for (const workerId of [...this.#tallies.keys()]) if (!isThere(workerId)) this.onGone(workerId);
  }

  #at(slot: number): Slot {
    while (this.#slots.length <= slot) this.#slots.push(new Slot());
    return this.#slots[slot] as Slot;
  }
}

class Slot {
  /** Connections that its workers have taken, or had when they got it. */
  taken = 0;
  /** Connections and sessions that its workers had when they were gone, or got another slot. */
  #left = 0;
  readonly #ended = { "worker gone": 0, "moved away": 0 };
  /** Sessions that its workers had when they got it. */
  #entered = 0;
  /** What its workers have reported. */
  readonly #totals: Record<keyof Reported, number> = zeros(REPORTED);

  add(counts: Reported, before: Reported): void {
    for (const name of REPORTED) this.#totals[name] += counts[name] - before[name];
  }

  enter(tally: Tally): void {
    this.taken += connectionsOf(tally);
    this.#entered += sessionsOf(tally);
  }

  leave(tally: Tally, why: "worker gone" | "moved away"): void {
    this.#left += connectionsOf(tally);
    this.#ended[why] += sessionsOf(tally);
  }

  totals(open: SessionStats["open"]): SlotTotals {
    const { relayed, relayedToHosts, moved, forwardedIn, upgraded, kept, declined } = this.#totals;
    // What a worker has declined counts as closed there: nothing that is subtracted from would only grow.
    const handedOver = this.taken + kept;
    const closed = this.#totals.closed + declined + this.#left;
    const reported: Record<string, number> = this.#totals;
    const others: Record<string, number> = this.#ended;
    const ended = Object.fromEntries(
      SESSION_END_REASONS.map((reason) => [reason, (reported[reason] ?? 0) + (others[reason] ?? 0)]),
    ) as Record<SessionEndReason, number>;
    const refused = Object.fromEntries(
      REQUEST_REFUSAL_REASONS.map((reason) => [reason, this.#totals[reason]]),
    ) as Record<RequestRefusalReason, number>;
    const sessions = { open, opened: this.#totals.opened + this.#entered, upgraded, ended, refused };
    return { handedOver, closed, relayed, relayedToHosts, moved, forwardedIn, sessions };
  }
}

/** How many connections a worker has. */
function connectionsOf({ taken, reported: { kept, declined, closed } }: Tally): number {
  return taken + kept - declined - closed;
}

/** How many sessions a worker has. */
function sessionsOf({ reported }: Tally): number {
  return TRANSPORT_NAMES.reduce((sum, name) => sum + reported[name], 0);
}

/** The sessions that workers have open. */
function openOf(tallies: readonly Tally[]): SessionStats["open"] {
  const open = zeros(TRANSPORT_NAMES);
  for (const { reported } of tallies) for (const name of TRANSPORT_NAMES) open[name] += reported[name];
  return open;
}

/** A zero for each name. */
function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
