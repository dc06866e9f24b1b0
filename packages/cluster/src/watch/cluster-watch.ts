/**
 * Looks at a cluster once a second, and remembers what the dashboard shows.
 * Owns: a timer, the history, the timeline, what was seen last; until closed. Runs in: primary.
 */
import type { EventEmitter } from "node:events";
import { hostname } from "node:os";
import type { Primary as Hub, PrimaryStats as HubStats } from "@holdfast/adapter";
import type { StickyPrimary as Router, PrimaryStats as RouterStats, SlotStats } from "@holdfast/sticky";
import type {
  ActionName,
  BackplaneStatus,
  Count,
  Health,
  HostStatus,
  HubStatus,
  LiveStatus,
  LiveWorker,
  ProcessStatus,
  ReloadStatus,
  Totals,
} from "../live-status.js";
import { ProcessHealth } from "../process-health.js";
import type { ClusterEvents, ClusterStatus, SlotStatus } from "../status.js";
import { VERSION } from "../version.js";
import { BackplaneWatch } from "./backplane-watch.js";
import { tellEvents } from "./cluster-events.js";
import { HistoryRing } from "./history.js";
import { judgeCluster, judgeWorker, STANDS_STILL_MS } from "./judgement.js";
import { Rates } from "./rates.js";
import { type Happening, Timeline } from "./timeline.js";

const EVERY_MS = 1_000;
const TOP = 5;
/** An event loop that is late so many times in a row is slow. */
const LATE_FOR = 5;

/** What is watched. */
export interface WatchedCluster {
  readonly events: EventEmitter<ClusterEvents>;
  readonly hub: Hub;
  readonly router: Router;
  status(): ClusterStatus;
}

/** What was seen at once. */
interface Seen {
  readonly status: ClusterStatus;
  readonly hub: HubStats;
  readonly router: RouterStats;
}

const UNKNOWN_PROCESS = {
  rssBytes: null,
  heapBytes: null,
  heapLimitBytes: null,
  loopP50Ms: null,
  loopP99Ms: null,
  utilization: null,
} as const;

export class ClusterWatch {
  readonly #cluster: WatchedCluster;
  readonly #actions: readonly ActionName[];
  readonly #startedAt: number;
  readonly #health = new ProcessHealth();
  readonly #rates = new Rates();
  /** Of the longer steps of the history. */
  readonly #stepRates = new Rates();
  readonly #history = new HistoryRing();
  readonly #timeline = new Timeline();
  readonly #backplane = new BackplaneWatch((happening) => this.#timeline.add(happening));
  readonly #stalled = new Set<number>();
  /** The last delays of each worker's event loop. */
  readonly #late = new Map<number, readonly number[]>();
  readonly #timer: NodeJS.Timeout;
  readonly #stopTelling: () => void;
  #reloadStartedAt = 0;
  #historyAt = 0;
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
    this.#health.close();
  }

  #look(): Omit<LiveStatus, "history" | "events"> {
    const { hub, router } = this.#cluster;
    const seen: Seen = { status: this.#cluster.status(), hub: hub.stats(), router: router.stats() };
    this.#rates.next();
    this.#forgetGone(seen);
    const at = Date.now();
    const workers = seen.status.slots.map((slot) => this.#worker(slot, seen, at));
    const backplane = this.#backplane.look(seen.hub.hosts, at);
    const { health, summary } = judgeCluster(seen.status.state, workers, backplane);
    const totals = this.#totals(workers, seen);
    this.#remember(workers, totals, seen, backplane, at);
    return {
      format: 1,
      at,
      name: seen.status.name,
      startedAt: this.#startedAt,
      versions: { holdfast: VERSION, node: process.versions.node },
      health,
      summary,
      hosts: [this.#host(workers, seen, health)],
      backplane,
      reload: this.#reload(seen.status, at),
      totals,
      actions: this.#actions,
    };
  }

  #forgetGone({ status }: Seen): void {
    const isGone = (workerId: number) => !status.slots.some((slot) => slot.workerId === workerId);
    for (const workerId of this.#stalled) if (isGone(workerId)) this.#stalled.delete(workerId);
    for (const workerId of this.#late.keys()) if (isGone(workerId)) this.#late.delete(workerId);
  }

  #host(workers: readonly LiveWorker[], seen: Seen, health: Health): HostStatus {
    const ready = workers.filter(({ state }) => state === "ready").length;
    return {
      id: "self",
      name: hostname(),
      isSelf: true,
      health,
      summary: `${ready} of ${workers.length} workers`,
      hub: this.#hub(seen),
      primary: { pid: process.pid, ...this.#health.sample() },
      workers,
    };
  }

  #hub({ hub }: Seen): HubStatus {
    const { members, namespaces, rooms, recovery } = hub;
    const rate = (what: "frames" | "bytes") =>
      members.reduce((sum, member) => {
        const moved = member[`${what}In`] + member[`${what}Out`];
        return sum + this.#rates.perSecond(`hub ${what} ${member.id}`, moved);
      }, 0);
    const { sessions, suspended, packets, bytes, ageMs, cut } = recovery;
    return {
      place: "primary",
      members: members.length,
      namespaces,
      rooms,
      framesPerSecond: rate("frames"),
      bytesPerSecond: rate("bytes"),
      recovery: { sessions, suspended, packets, bytes, ageMs, cut },
    };
  }

  #worker(slot: SlotStatus, { hub, router }: Seen, at: number): LiveWorker {
    const { workerId } = slot;
    const members = hub.members.filter((member) => member.workerId === workerId);
    const routed = router.slots.find((each) => workerId !== undefined && each.workerId === workerId);
    const sum = (of: (member: HubStats["members"][number]) => number) =>
      members.reduce((total, member) => total + of(member), 0);
    const backlogBytes = sum((member) => member.backlogBytes);
    const judgement = judgeWorker({
      slot,
      isStalled: workerId !== undefined && this.#stalled.has(workerId),
      hasJoined: members.length > 0,
      backlogBytes,
      lateMs: this.#lateMs(slot),
    });
    const open = routed?.sessions.open ?? { polling: 0, websocket: 0, webtransport: 0 };
    return {
      ...processOf(slot),
      slot: slot.slot,
      workerId: workerId ?? null,
      ...judgement,
      since: slot.state === "ready" ? at - slot.uptimeMs : null,
      connections: slot.connections,
      clients: open.polling + open.websocket + open.webtransport,
      transports: open,
      inPerSecond: this.#rates.perSecond(
        `in ${workerId}`,
        sum(({ framesIn }) => framesIn),
      ),
      outPerSecond: this.#rates.perSecond(
        `out ${workerId}`,
        sum(({ framesOut }) => framesOut),
      ),
      backlogBytes,
      unanswered: sum(({ unanswered }) => unanswered),
      dropped: sum(({ dropped }) => dropped),
      relayed: routed?.relayed ?? 0,
      moved: routed?.moved ?? 0,
      restarts: slot.restarts,
      topEndings: topEndings(routed),
    };
  }

  /** The least of its last delays: so late it has been all the time. */
  #lateMs({ workerId, sample }: SlotStatus): number {
    if (workerId === undefined || !sample) return 0;
    const last = [...(this.#late.get(workerId) ?? []), sample.loopP99Ms].slice(-LATE_FOR);
    this.#late.set(workerId, last);
    return last.length < LATE_FOR ? 0 : Math.min(...last);
  }

  #totals(workers: readonly LiveWorker[], { router }: Seen): Totals {
    const sum = (of: (worker: LiveWorker) => number) =>
      workers.reduce((total, worker) => total + of(worker), 0);
    const late = workers.flatMap(({ loopP99Ms }) => (loopP99Ms === null ? [] : [loopP99Ms]));
    const refusals = top(router.refused);
    return {
      workers: workers.length,
      workersReady: workers.filter(({ state }) => state === "ready").length,
      clients: sum(({ clients }) => clients),
      connections: sum(({ connections }) => connections),
      deliveriesPerSecond: sum(({ outPerSecond }) => outPerSecond),
      loopP99Ms: late.length === 0 ? null : Math.max(...late),
      refusals,
      refused: Object.values(router.refused).reduce((total, count) => total + count, 0),
    };
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
    if (at - this.#historyAt < this.#history.stepMs - EVERY_MS / 2) return;
    this.#historyAt = at;
    this.#stepRates.next();
    const perSecond = (name: string, value: number) => this.#stepRates.perSecond(name, value);
    const point = {
      clients: totals.clients,
      deliveries: hub.members.reduce((sum, { id, framesOut }) => sum + perSecond(`out ${id}`, framesOut), 0),
      loopP50: this.#worstP50Ms,
      loopP99: this.#worstP99Ms,
      opened: perSecond(
        "opened",
        router.slots.reduce((sum, { sessions }) => sum + sessions.opened, 0),
      ),
      refused: perSecond("refused", totals.refused),
      suspended: hub.recovery.suspended,
      backplaneRoundTrip: backplane?.roundTripMs ?? null,
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
    const { workersDone, workers, moved, total, step, slot } = reload;
    const steps = {
      starting: `the successor of worker ${slot} starts.`,
      moving: `the sessions of worker ${slot} move to its successor.`,
      draining: `worker ${slot} finishes what it has begun.`,
      done: `worker ${slot} is replaced.`,
    };
    return {
      startedAt: this.#reloadStartedAt,
      summary: `Reloading: ${steps[step]}`,
      workersDone,
      workersTotal: workers,
      moved,
      total,
    };
  }
}

/** A worker that stands still has said nothing lately: its event loop is as late as it is silent. */
function processOf({ pid, sample, silentMs }: SlotStatus): ProcessStatus {
  if (!sample) return { pid: pid ?? 0, ...UNKNOWN_PROCESS };
  const { loopP50Ms, loopP99Ms, ...rest } = sample;
  const stillMs = silentMs > STANDS_STILL_MS ? silentMs : 0;
  return {
    pid: pid ?? 0,
    ...rest,
    loopP50Ms: Math.max(loopP50Ms, stillMs),
    loopP99Ms: Math.max(loopP99Ms, stillMs),
  };
}

/** The greatest of those that were measured. */
function worst(values: readonly (number | null)[]): number | null {
  const measured = values.filter((value) => value !== null);
  return measured.length === 0 ? null : Math.max(...measured);
}

function topEndings(routed: SlotStats | undefined): Count[] {
  return routed ? top(routed.sessions.ended) : [];
}

/** The most frequent first. */
function top(counts: Readonly<Record<string, number>>): Count[] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([reason, count]) => ({ reason, count }));
}
