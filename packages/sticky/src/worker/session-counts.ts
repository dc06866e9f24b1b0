/**
 * The Engine.IO sessions of this worker: which transports they use, and why they end.
 * Owns: the counts, and its listeners on engines and sessions. Runs in: workers, one for all servers of the process.
 */
import {
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
  on(event: "upgrade", listener: () => void): unknown;
  once(event: "close", listener: (reason: string) => void): unknown;
}

export class SessionCounts {
  readonly #onChange: () => void;
  readonly #open = zeros(TRANSPORT_NAMES);
  readonly #ended = zeros(SESSION_END_REASONS);
  #opened = 0;
  #upgraded = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Counts the sessions that an engine opens. Returns the function that ends it; those that are open are counted on. */
  watch(engine: Engine): () => void {
    const onConnection = (session: Session) => this.#add(session);
    engine.on("connection", onConnection);
    return () => void engine.off("connection", onConnection);
  }

  stats(): SessionStats {
    return {
      open: { ...this.#open },
      opened: this.#opened,
      upgraded: this.#upgraded,
      ended: { ...this.#ended },
    };
  }

  reported(): Omit<Reported, "closed" | "relayed" | "relayedToHosts" | "moved" | "forwardedIn"> {
    const { "worker gone": _, ...ended } = this.#ended;
    return { ...this.#open, ...ended, opened: this.#opened, upgraded: this.#upgraded };
  }

  #add(session: Session): void {
    let transport = transportOf(session);
    this.#opened++;
    this.#open[transport]++;
    this.#onChange();
    session.on("upgrade", () => {
      this.#open[transport]--;
      transport = transportOf(session);
      this.#open[transport]++;
      this.#upgraded++;
      this.#onChange();
    });
    session.once("close", (reason: string) => {
      this.#open[transport]--;
      this.#ended[isReason(reason) ? reason : "other"]++;
      this.#onChange();
    });
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
