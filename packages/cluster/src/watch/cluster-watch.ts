/**
 * Looks at a cluster once a second, and remembers what the dashboard shows.
 * Owns: a timer, the history, the timeline, what was seen last; until closed. Runs in: primary.
 */
import type { EventEmitter } from "node:events";
import type { Primary as Hub } from "@holdfast/adapter";
import type { StickyPrimary as Router } from "@holdfast/sticky";
import type {
  ActionName,
  BackplaneStatus,
  LiveStatus,
  LiveWorker,
  ReloadStatus,
  Totals,
} from "../live-status.js";
import type { ClusterEvents, ClusterStatus, SlotStatus } from "../status.js";
import { VERSION } from "../version.js";
import { BackplaneWatch } from "./backplane-watch.js";
import { tellEvents } from "./cluster-events.js";
import { HistoryRing } from "./history.js";
import { STANDS_STILL_MS } from "./judgement.js";
import { hostOf, hubOf, reloadOf, type Seen, totalsOf, workerOf } from "./live-snapshot.js";
import { OtherHosts } from "./other-hosts.js";
import { Rates } from "./rates.js";
import { type Happening, Timeline } from "./timeline.js";
import { judgeCluster, type Verdict } from "./verdict.js";

const EVERY_MS = 1_000;
/** An event loop that is late so many times in a row is slow. */
const LATE_FOR = 5;

/** What is watched. */
export interface WatchedCluster {
  readonly events: EventEmitter<ClusterEvents>;
  readonly hub: Hub;
  readonly router: Router;
  status(): ClusterStatus;
}

export class ClusterWatch {
  readonly #cluster: WatchedCluster;
  readonly #actions: readonly ActionName[];
  readonly #startedAt: number;
  readonly #rates = new Rates();
  /** Of the longer steps of the history. */
  readonly #stepRates = new Rates();
  readonly #history = new HistoryRing();
  readonly #timeline = new Timeline();
  readonly #backplane = new BackplaneWatch((happening) => this.#timeline.add(happening));
  readonly #others = new OtherHosts((happening) => this.#timeline.add(happening));
  readonly #stalled = new Set<number>();
  /** Workers whose event loop stands still. */
  readonly #still = new Set<number>();
  /** The last delays of each worker's event loop. */
  readonly #late = new Map<number, readonly number[]>();
  readonly #timer: NodeJS.Timeout;
  readonly #stopTelling: () => void;
  /** What is wrong, and since when. */
  #trouble: { readonly about: string; readonly since: number } | undefined;
  #reloadStartedAt = 0;
  /** By the clock of `performance`: that of the system may be set back. */
  #historyAt = Number.NEGATIVE_INFINITY;
  /** Since the last step of the history. */
  #worstP50Ms: number | null = null;
  #worstP99Ms: number | null = null;
  #last: Omit<LiveStatus, "history" | "events">;

  constructor(cluster: WatchedCluster, actions: readonly ActionName[]) {
    this.#cluster = cluster;
    this.#actions = actions;
    this.#startedAt = Date.now() - cluster.status().uptimeMs;
    this.#stopTelling = tellEvents(this.#timeline, {
      events: cluster.events,
      hub: cluster.hub,
      slotOf: (workerId) => cluster.status().slots.find((slot) => slot.workerId === workerId)?.slot,
      onStalled: (workerId, isStalled) => {
        if (isStalled) this.#stalled.add(workerId);
        else this.#stalled.delete(workerId);
      },
    });
    this.#last = this.#look();
    this.#timer = setInterval(() => {
      this.#last = this.#look();
    }, EVERY_MS).unref();
  }

  /** What there is to see now; rates are of the last second. */
  status(): LiveStatus {
    return { ...this.#last, history: this.#history.history(), events: this.#timeline.events() };
  }

  /** Notes that something was ordered. */
  note(happening: Happening): void {
    this.#timeline.add(happening);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#stopTelling();
    this.#backplane.close();
    this.#others.close();
  }

  #look(): Omit<LiveStatus, "history" | "events"> {
    const { hub, router } = this.#cluster;
    const seen: Seen = { status: this.#cluster.status(), hub: hub.stats(), router: router.stats() };
    this.#rates.next();
    this.#forgetGone(seen);
    const at = Date.now();
    const workers = seen.status.slots.map((slot) => this.#worker(slot, seen, at));
    this.#tellStill(seen.status);
    const backplane = this.#backplane.look(seen.hub.hosts, at);
    const others = this.#others.look(seen.hub.hosts, at);
    const { state } = seen.status;
    const verdict = judgeCluster({ state, workers, backplane, others });
    const { health, summary, advice, slot = null } = verdict;
    const self = {
      health: judgeCluster({ state, workers, backplane: null, others: [] }).health,
      startedAt: this.#startedAt,
    };
    const totals = totalsOf(workers, seen, this.#rates);
    this.#remember(workers, totals, seen, backplane, at);
    return {
      format: 1,
      at,
      name: seen.status.name,
      startedAt: this.#startedAt,
      versions: { holdfast: VERSION, node: process.versions.node },
      health,
      summary,
      advice,
      slot,
      since: this.#sinceWhen(verdict, at),
      hosts: [hostOf(workers, hubOf(seen, this.#rates), self, seen.status.sample), ...others],
      backplane,
      reload: this.#reload(seen.status, at),
      totals,
      actions: this.#actions,
    };
  }

  /** One trouble goes on, however its sentence changes. */
  #sinceWhen({ about, health }: Verdict, at: number): number | null {
    if (health === "good") this.#trouble = undefined;
    else if (this.#trouble?.about !== about) this.#trouble = { about, since: at };
    return this.#trouble?.since ?? null;
  }

  /** An event loop has begun to stand still, or goes on. */
  #tellStill({ slots }: ClusterStatus): void {
    for (const { slot, workerId, pid, state, silentMs } of slots) {
      if (workerId === undefined || state !== "ready") continue;
      const isStill = silentMs > STANDS_STILL_MS;
      if (isStill === this.#still.has(workerId)) continue;
      if (isStill) this.#still.add(workerId);
      else this.#still.delete(workerId);
      const text = isStill
        ? `Worker ${slot} stands still: process ${pid} is busy with one thing, or was stopped.`
        : `Worker ${slot} goes on.`;
      this.note({ kind: "stall", health: isStill ? "bad" : "good", text });
    }
  }

  #forgetGone({ status }: Seen): void {
    const isGone = (workerId: number) => !status.slots.some((slot) => slot.workerId === workerId);
    for (const workerId of this.#stalled) if (isGone(workerId)) this.#stalled.delete(workerId);
    for (const workerId of this.#still) if (isGone(workerId)) this.#still.delete(workerId);
    for (const workerId of this.#late.keys()) if (isGone(workerId)) this.#late.delete(workerId);
  }

  #worker(slot: SlotStatus, seen: Seen, at: number): LiveWorker {
    const { workerId } = slot;
    const isStalled = workerId !== undefined && this.#stalled.has(workerId);
    return workerOf(slot, seen, at, { rates: this.#rates, isStalled, lateMs: this.#lateMs(slot) });
  }

  /** The least of its last delays: so late it has been all the time. */
  #lateMs({ workerId, sample }: SlotStatus): number {
    if (workerId === undefined || !sample) return 0;
    const last = [...(this.#late.get(workerId) ?? []), sample.loopP99Ms].slice(-LATE_FOR);
    this.#late.set(workerId, last);
    return last.length < LATE_FOR ? 0 : Math.min(...last);
  }

  /** Rates of the history are of the whole step, delays the worst in it, all else is of the moment at its end. */
  #remember(
    workers: readonly LiveWorker[],
    totals: Totals,
    { hub, router }: Seen,
    backplane: BackplaneStatus | null,
    at: number,
  ): void {
    const p50 = workers.flatMap(({ loopP50Ms }) => (loopP50Ms === null ? [] : [loopP50Ms]));
    this.#worstP50Ms = worst([...p50, this.#worstP50Ms]);
    this.#worstP99Ms = worst([totals.loopP99Ms, this.#worstP99Ms]);
    const now = performance.now();
    if (now - this.#historyAt < this.#history.stepMs - EVERY_MS / 2) return;
    this.#historyAt = now;
    this.#stepRates.next();
    const perSecond = (name: string, value: number) => this.#stepRates.perSecond(name, value);
    const point = {
      clients: totals.clients,
      deliveries: perSecond("delivered", hub.totals.delivered),
      loopP50: this.#worstP50Ms,
      loopP99: this.#worstP99Ms,
      opened: perSecond(
        "opened",
        router.slots.reduce((sum, { sessions }) => sum + sessions.opened, 0),
      ),
      refused: perSecond("refused", totals.refused),
      suspended: hub.recovery.suspended,
      backplaneRoundTrip: backplane?.roundTripMs ?? null,
      backplaneLag: backplane?.inboxLagMs ?? null,
    };
    this.#history.add(point, at);
    this.#worstP50Ms = null;
    this.#worstP99Ms = null;
  }

  #reload({ reload }: ClusterStatus, at: number): ReloadStatus | null {
    if (!reload) {
      this.#reloadStartedAt = 0;
      return null;
    }
    this.#reloadStartedAt ||= at;
    return reloadOf(reload, this.#reloadStartedAt);
  }
}

/** The greatest of those that were measured. */
function worst(values: readonly (number | null)[]): number | null {
  const measured = values.filter((value) => value !== null);
  return measured.length === 0 ? null : Math.max(...measured);
}
