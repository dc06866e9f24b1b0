/**
 * Sessions that have changed since they were kept with the backplane.
 * Owns: which they are, and which are on their way there. Runs in: where the hub is.
 *
 * A session is kept with all of its rooms. Kept for each room that it joins, many rooms would take the square of their
 * time and memory: so it is kept once for all that was read in one go, and again only when that is in effect.
 *
 * A session: changed → on its way → in effect; what changes on its way is late, and changed when that is in effect.
 */
import type { Session } from "./session.js";

/** What of a session is kept anew. */
export type SessionPart = "all" | "rooms" | "data";

export interface ChangedSessionsEvents {
  keep(session: Session, part: SessionPart): void;
  /** Calls back when everything that was kept before is in effect, in the order of the calls. */
  whenInEffect(callback: () => void): void;
}

export class ChangedSessions {
  readonly #events: ChangedSessionsEvents;
  #changed = new Map<Session, SessionPart>();
  readonly #onTheirWay = new Set<Session>();
  readonly #late = new Map<Session, SessionPart>();

  constructor(events: ChangedSessionsEvents) {
    this.#events = events;
  }

  /** Whether some have to wait until they are kept. */
  get hasLate(): boolean {
    return this.#late.size > 0;
  }

  note(session: Session, part: SessionPart): void {
    const list = this.#onTheirWay.has(session) ? this.#late : this.#changed;
    const known = list.get(session);
    list.set(session, known === undefined || known === part ? part : "all");
  }

  /** Whoever calls this keeps the session. @returns what has changed; undefined if nothing has */
  take(session: Session): SessionPart | undefined {
    const part = this.#changed.get(session) ?? this.#late.get(session);
    this.#changed.delete(session);
    this.#late.delete(session);
    return part;
  }

  /** Keeps what has changed, but for what is late. */
  keep(): void {
    if (this.#changed.size === 0) return;
    const changed = this.#changed;
    this.#changed = new Map();
    for (const [session, part] of changed) {
      this.#onTheirWay.add(session);
      this.#events.keep(session, part);
    }
    this.#events.whenInEffect(() => this.#onInEffect(changed.keys()));
  }

  /** Keeps also what is late. */
  keepAll(): void {
    for (const [session, part] of this.#late) this.#changed.set(session, part);
    this.#late.clear();
    this.keep();
  }

  #onInEffect(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      this.#onTheirWay.delete(session);
      const part = this.#late.get(session);
      if (part !== undefined) this.#changed.set(session, part);
      this.#late.delete(session);
    }
    this.keep();
  }
}
