/**
 * What this worker counts, and tells the primary: the load of a worker is what it says itself.
 * Owns: the counts, and a timer while the primary has not heard of the last ones. Runs in: workers.
 */
import type { WorkerProcessStats } from "../stats.js";
import type { ToPrimary } from "../wire/messages.js";
import { SessionCounts } from "./session-counts.js";

/** How long counts are collected before the primary hears of them. */
const REPORT_MS = 50;

/**
 * `received`: those that the router has brought, and those that were `kept`: they were on their way to it, or back to it, and
 * there is none. `declined`: those that it has brought late and did not grant. `accepted` and `ended`: those that it has not
 * brought.
 */
type Counted =
  | "received"
  | "kept"
  | "declined"
  | "closed"
  | "accepted"
  | "ended"
  | "relayed"
  | "relayedToHosts"
  | "moved"
  | "forwardedIn";
/** What the primary counts itself, or does not ask for. */
const NOT_TOLD: ReadonlySet<Counted> = new Set(["received", "accepted", "ended"]);

export class Counts {
  readonly #send: (report: ToPrimary) => void;
  readonly #counts: Record<Counted, number> = {
    received: 0,
    kept: 0,
    declined: 0,
    closed: 0,
    accepted: 0,
    ended: 0,
    relayed: 0,
    relayedToHosts: 0,
    moved: 0,
    forwardedIn: 0,
  };
  /** The Engine.IO sessions of this process. */
  readonly sessions = new SessionCounts(() => this.#reportSoon());
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (report: ToPrimary) => void) {
    this.#send = send;
  }

  add(what: Counted): void {
    this.#counts[what]++;
    if (!NOT_TOLD.has(what)) this.#reportSoon();
  }

  report(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { received, accepted, ended, ...told } = this.#counts;
    this.#send({ kind: "report", counts: { ...told, ...this.sessions.reported() } });
  }

  stats(): WorkerProcessStats {
    const { accepted, ended, relayed, relayedToHosts, moved, forwardedIn } = this.#counts;
    const received = this.#counts.received + accepted;
    const connections = received - this.#counts.closed - ended;
    const sessions = this.sessions.stats();
    return { connections, received, relayed, relayedToHosts, moved, forwardedIn, sessions };
  }

  #reportSoon(): void {
    this.#timer ??= setTimeout(() => this.report(), REPORT_MS).unref();
  }
}
