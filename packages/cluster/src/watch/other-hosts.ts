/**
 * The other hosts as the dashboard shows them: who is there, who has gone how, who cannot be seen while Redis is away.
 * Owns: what was seen of them last, and a subscription until closed. Runs in: primary.
 *
 * A host tells the others how many members it has, and nothing of single ones.
 */
import diagnostics from "node:diagnostics_channel";
import type { AdapterDiagnostics, HostStats, HostsStats } from "@holdfast/adapter";
import type { Health, HostPresence, HostStatus } from "../live-status.js";
import type { Happening } from "./timeline.js";

const CHANNEL = "holdfast:adapter:host";
/** When Redis comes back, hosts join anew one after another. */
const MISSING_MS = 3_000;
/** For so long those that are gone are shown. */
const GONE_MS = 60_000;
const SILENT_MS = 10 * 60_000;
/** Hosts that come and go all the time do not fill the page. */
const MAX_LEFT = 8;
/** So much of a name tells hosts of one machine apart. */
const UNIQUE_LENGTH = 4;

/**
 * there ⇄ unseen; there | unseen → missing → there | silent | gone. Those that are silent or gone are forgotten after a
 * while, or when a host of the same machine has joined.
 */
type State = "there" | "unseen" | "missing" | "silent" | "gone";

interface Seen {
  readonly host: HostStats;
  readonly state: State;
  /** By the clock of the system, for people, and by that of `performance`: the first may be set. */
  readonly since: number;
  readonly sinceMs: number;
}

type Moment = Pick<Seen, "since" | "sinceMs">;

const HEALTHS: Record<HostPresence, Health> = {
  here: "good",
  there: "good",
  unseen: "unknown",
  silent: "bad",
  gone: "unknown",
};

export class OtherHosts {
  readonly #tell: (happening: Happening) => void;
  readonly #seen = new Map<string, Seen>();
  /** Hosts that have said goodbye. */
  readonly #ended = new Set<string>();
  /** Those that were found when this host joined are no news. */
  #hasJoined = false;
  #ownName = "";
  readonly #onHost = (message: unknown) => {
    // Channels carry messages of the types that their package declares.
    const { name, state } = message as AdapterDiagnostics[typeof CHANNEL];
    if (state === "ended" && this.#seen.has(name)) this.#ended.add(name);
    else this.#ended.delete(name);
  };

  constructor(tell: (happening: Happening) => void) {
    this.#tell = tell;
    diagnostics.subscribe(CHANNEL, this.#onHost);
  }

  /**
   * @param hosts `undefined` where no backplane is used
   * @param at by the clock of the system
   * @param now by the clock of `performance`
   */
  look(hosts: HostsStats | undefined, at: number, now = performance.now()): HostStatus[] {
    if (!hosts) return [];
    this.#ownName = hosts.name;
    const present = new Set(hosts.others.map(({ name }) => name));
    const moment = { since: at, sinceMs: now };
    for (const host of hosts.others) this.#onThere(host, moment);
    for (const [name, seen] of this.#seen) if (!present.has(name)) this.#onAbsent(name, seen, hosts, moment);
    if (hosts.state === "joined") this.#hasJoined = true;
    this.#forget(now);
    return [...this.#seen.values()].map((seen) => this.#statusOf(seen));
  }

  close(): void {
    diagnostics.unsubscribe(CHANNEL, this.#onHost);
  }

  #onThere(host: HostStats, moment: Moment): void {
    const before = this.#seen.get(host.name);
    const wasThere = before !== undefined && before.state !== "silent" && before.state !== "gone";
    const { since, sinceMs } = before?.state === "there" ? before : moment;
    this.#seen.set(host.name, { host, state: "there", since, sinceMs });
    if (wasThere || !this.#hasJoined) return;
    this.#say("good", `Host ${this.#labelOf(host)} has joined.`);
    this.#forgetPredecessors(host);
  }

  #onAbsent(name: string, { host, state, sinceMs }: Seen, hosts: HostsStats, moment: Moment): void {
    const become = (next: State) => this.#seen.set(name, { host, state: next, ...moment });
    if (state === "silent" || state === "gone") return;
    if (hosts.state !== "joined") {
      if (state !== "unseen") become("unseen");
    } else if (this.#ended.delete(name)) {
      become("gone");
      this.#say("good", `Host ${this.#labelOf(host)} has said goodbye.`);
    } else if (state !== "missing") {
      become("missing");
    } else if (moment.sinceMs - sinceMs > MISSING_MS) {
      become("silent");
      this.#say(
        "bad",
        `Host ${this.#labelOf(host)} has fallen silent: it has crashed, stands still, or does not reach Redis.`,
      );
    }
  }

  /** Who comes from the same machine has come in its place. */
  #forgetPredecessors({ hostname }: HostStats): void {
    for (const [name, { host, state }] of this.#seen) {
      if (host.hostname === hostname && (state === "silent" || state === "gone")) this.#seen.delete(name);
    }
  }

  #forget(now: number): void {
    const left = [...this.#seen].filter(([, { state }]) => state === "silent" || state === "gone");
    for (const [place, [name, { state, sinceMs }]] of left.entries()) {
      const isOld = now - sinceMs > (state === "gone" ? GONE_MS : SILENT_MS);
      if (isOld || place < left.length - MAX_LEFT) this.#seen.delete(name);
    }
  }

  #statusOf({ host, state, since }: Seen): HostStatus {
    // Missing is a moment's doubt.
    const presence = state === "missing" ? "there" : state;
    return {
      id: host.name,
      name: this.#labelOf(host),
      isSelf: false,
      presence,
      since,
      health: HEALTHS[presence],
      summary: summaryOf(presence, host.members),
      members: host.members,
      hub: null,
      primary: null,
      workers: [],
    };
  }

  /** Its hostname; with the beginning of what no other host has, if that is not enough. */
  #labelOf({ name, hostname }: HostStats): string {
    const isShared =
      this.#ownName.startsWith(`${hostname}.`) ||
      [...this.#seen.values()].some(({ host }) => host.name !== name && host.hostname === hostname);
    if (!isShared && hostname !== "") return hostname;
    const unique = name.slice(name.lastIndexOf(".") + 1);
    return `${hostname} ${unique.slice(0, UNIQUE_LENGTH)}`.trim();
  }

  #say(health: Health, text: string): void {
    this.#tell({ kind: "host", health, text });
  }
}

function summaryOf(presence: HostPresence, members: number): string {
  const workers = members === 1 ? "1 worker" : `${members} workers`;
  switch (presence) {
    case "unseen":
      return `cannot be seen from here; had ${workers}`;
    case "silent":
      return `silent; had ${workers}`;
    case "gone":
      return "has said goodbye";
    default:
      return workers;
  }
}
