/**
 * The backplane as the dashboard shows it, and when the hosts lose each other.
 * Owns: since when it is as it is, and a subscription until closed. Runs in: primary.
 */
import diagnostics from "node:diagnostics_channel";
import type { AdapterDiagnostics, HostsStats } from "@holdfast/adapter";
import type { BackplaneStatus, Health } from "../live-status.js";
import type { Happening } from "./timeline.js";

const CHANNEL = "holdfast:adapter:backplane";

type State = HostsStats["state"];

const HEALTHS: Record<State, Health> = { joined: "good", waiting: "warning", alone: "bad" };

export class BackplaneWatch {
  readonly #tell: (happening: Happening) => void;
  #state: State | undefined;
  #since = 0;
  #isAlone = false;
  /** Why this host is alone, or was last. */
  #reason = "";
  readonly #onState = (message: unknown) => {
    // Channels carry messages of the types that their package declares.
    this.#reason = (message as AdapterDiagnostics[typeof CHANNEL]).error?.message ?? this.#reason;
  };

  constructor(tell: (happening: Happening) => void) {
    this.#tell = tell;
    diagnostics.subscribe(CHANNEL, this.#onState);
  }

  /** @param hosts `undefined` where no backplane is used */
  look(hosts: HostsStats | undefined, at: number): BackplaneStatus | null {
    if (!hosts) return null;
    const { state, roundTripMs, inboxLagMs, backlogBytes } = hosts;
    if (state !== this.#state) this.#since = at;
    this.#state = state;
    this.#tellChange(state);
    return {
      kind: "Redis",
      health: HEALTHS[state],
      summary: summaryOf(hosts),
      since: this.#since,
      roundTripMs: state === "joined" ? roundTripMs : null,
      inboxLagMs: state === "joined" ? inboxLagMs : null,
      backlogBytes,
    };
  }

  close(): void {
    diagnostics.unsubscribe(CHANNEL, this.#onState);
  }

  /** A moment without an answer is no news. */
  #tellChange(state: State): void {
    if (state === "alone" && !this.#isAlone) {
      this.#isAlone = true;
      const text = "Redis does not answer. This host goes on by itself.";
      this.#tell({ kind: "backplane", health: "bad", text, detail: this.#reason });
    }
    if (state === "joined" && this.#isAlone) {
      this.#isAlone = false;
      this.#tell({ kind: "backplane", health: "good", text: "Redis answers again, and joins the hosts." });
    }
  }
}

function summaryOf({ state, others, roundTripMs }: HostsStats): string {
  if (state === "waiting") return "no answer yet; what is for other hosts waits";
  if (state === "alone") return "no answer; this host goes on by itself";
  const hosts = others.length === 0 ? "this is the only host" : `${others.length + 1} hosts`;
  return `${hosts}, round trip ${roundTripMs.toFixed(1)} ms`;
}
