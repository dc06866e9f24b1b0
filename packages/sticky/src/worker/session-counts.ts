/**
 * The Engine.IO sessions of this worker: which transports they use, why they end, and what was refused in their place.
 * Owns: the counts, and its listeners on engines and sessions. Runs in: workers, one for all servers of the process.
 */
import {
  REQUEST_REFUSAL_REASONS,
  SESSION_END_REASONS,
  type SessionEndReason,
  type SessionStats,
  TRANSPORT_NAMES,
  type TransportName,
} from "../stats.js";
import type { Reported } from "../wire/messages.js";
import type { Engine } from "./session-marks.js";

/** What is needed of an Engine.IO session. */
interface Session {
  readonly transport: { readonly name: string };
  prependListener(event: "upgrade", listener: () => void): unknown;
  prependListener(event: "close", listener: (reason: string) => void): unknown;
}

export class SessionCounts {
  readonly #onChange: () => void;
  readonly #open = zeros(TRANSPORT_NAMES);
  readonly #ended = zeros(SESSION_END_REASONS);
  readonly #refused = zeros(REQUEST_REFUSAL_REASONS);
  #opened = 0;
  #upgraded = 0;
  // One for all sessions: with closures of its own, each would take more memory than all the rest here.
  readonly #onUpgrade: (this: Session) => void;
  readonly #onClose: (this: Session, reason: string) => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    const counts = this;
    this.#onUpgrade = function () {
      counts.#addUpgrade(this);
    };
    this.#onClose = function (reason) {
      counts.#addEnd(this, reason);
    };
  }

  /** Counts the sessions that an engine opens. Returns the function that ends it; those that are open are counted on. */
  watch(engine: Engine): () => void {
    const onConnection = (session: Session) => this.#add(session);
    const onError = ({ code }: { readonly code: number }) => this.#addRefusal(code);
    // First: when a listener of the application throws, Node.js calls none after it.
    engine.prependListener("connection", onConnection);
    engine.prependListener("connection_error", onError);
    return () => {
      engine.off("connection", onConnection);
      engine.off("connection_error", onError);
    };
  }

  stats(): SessionStats {
    return {
      open: { ...this.#open },
      opened: this.#opened,
      upgraded: this.#upgraded,
      ended: { ...this.#ended },
      refused: { ...this.#refused },
    };
  }

  reported(): Omit<
    Reported,
    "closed" | "kept" | "declined" | "relayed" | "relayedToHosts" | "moved" | "forwardedIn"
  > {
    const { "worker gone": _, ...ended } = this.#ended;
    return { ...this.#open, ...ended, ...this.#refused, opened: this.#opened, upgraded: this.#upgraded };
  }

  #add(session: Session): void {
    this.#opened++;
    this.#open[transportOf(session)]++;
    this.#onChange();
    session.prependListener("upgrade", this.#onUpgrade);
    session.prependListener("close", this.#onClose);
  }

  #addUpgrade(session: Session): void {
    // No other transport can be upgraded.
    this.#open.polling--;
    this.#open[transportOf(session)]++;
    this.#upgraded++;
    this.#onChange();
  }

  #addEnd(session: Session, reason: string): void {
    this.#open[transportOf(session)]--;
    this.#ended[isReason(reason) ? reason : "other"]++;
    this.#onChange();
  }

  /** Codes of later versions of the engine are for requests that are bad in another way. */
  #addRefusal(code: number): void {
    this.#refused[REQUEST_REFUSAL_REASONS[code] ?? "bad request"]++;
    this.#onChange();
  }
}

function transportOf({ transport }: Session): TransportName {
  return TRANSPORT_NAMES.find((name) => name === transport.name) ?? "polling";
}

function isReason(reason: string): reason is SessionEndReason {
  return (SESSION_END_REASONS as readonly string[]).includes(reason);
}

/** A zero for each name. */
function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
