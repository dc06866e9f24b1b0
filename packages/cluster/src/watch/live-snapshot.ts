/**
 * What the dashboard shows of one moment, from what supervisor, hub and router say of it.
 * Owns: nothing; pure but for the rates, which remember the moment before. Runs in: primary.
 */
import { hostname } from "node:os";
import type { PrimaryStats as HubStats } from "@holdfast/adapter";
import type { PrimaryStats as RouterStats } from "@holdfast/sticky";
import type {
  Count,
  Health,
  HostStatus,
  HubStatus,
  LiveWorker,
  ProcessStatus,
  ReloadStatus,
  Totals,
} from "../live-status.js";
import type { ProcessSample } from "../process-health.js";
import type { ReloadProgress } from "../reload.js";
import type { ClusterStatus, SlotStatus } from "../status.js";
import { judgeWorker, STANDS_STILL_MS } from "./judgement.js";
import type { Rates } from "./rates.js";

const TOP = 5;

const UNKNOWN_PROCESS = {
  rssBytes: null,
  heapBytes: null,
  heapLimitBytes: null,
  loopP50Ms: null,
  loopP99Ms: null,
  utilization: null,
} as const;

/** What was seen at once. */
export interface Seen {
  readonly status: ClusterStatus;
  readonly hub: HubStats;
  readonly router: RouterStats;
}

/** What a moment does not tell of a worker. */
export interface WorkerPast {
  readonly rates: Rates;
  /** The router gives it nothing, because it takes nothing. */
  readonly isStalled: boolean;
  /** How late its event loop has been for a while. Milliseconds. */
  readonly lateMs: number;
}

/** @param primary how this process is */
export function hostOf(
  workers: readonly LiveWorker[],
  hub: HubStatus,
  { health, startedAt }: { readonly health: Health; readonly startedAt: number },
  primary: ProcessSample,
): HostStatus {
  const ready = workers.filter(({ state }) => state === "ready").length;
  return {
    id: "self",
    name: hostname(),
    isSelf: true,
    presence: "here",
    since: startedAt,
    health,
    summary: `${ready} of ${workers.length} workers`,
    members: hub.members,
    hub,
    primary: { pid: process.pid, ...primary },
    workers,
  };
}

export function hubOf({ hub }: Seen, rates: Rates): HubStatus {
  const { members, namespaces, rooms, recovery } = hub;
  const rate = (what: "frames" | "bytes") =>
    members.reduce((sum, member) => {
      const moved = member[`${what}In`] + member[`${what}Out`];
      return sum + rates.perSecond(`hub ${what} ${member.id}`, moved);
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

export function workerOf(
  slot: SlotStatus,
  { hub, router }: Seen,
  at: number,
  { rates, isStalled, lateMs }: WorkerPast,
): LiveWorker {
  const { workerId } = slot;
  const members = hub.members.filter((member) => member.workerId === workerId);
  const routed = router.slots.find((each) => each.slot === slot.slot);
  const sum = (of: (member: HubStats["members"][number]) => number) =>
    members.reduce((total, member) => total + of(member), 0);
  const backlogBytes = sum((member) => member.backlogBytes);
  const judgement = judgeWorker({
    slot,
    isStalled,
    hasJoined: members.length > 0,
    backlogBytes,
    lateMs,
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
    inPerSecond: rates.perSecond(
      `in ${workerId}`,
      sum(({ framesIn }) => framesIn),
    ),
    outPerSecond: rates.perSecond(
      `out ${workerId}`,
      sum(({ framesOut }) => framesOut),
    ),
    rooms: sum(({ rooms }) => rooms),
    backlogBytes,
    unanswered: sum(({ unanswered }) => unanswered),
    dropped: sum(({ dropped }) => dropped),
    relayed: routed?.relayed ?? 0,
    moved: routed?.moved ?? 0,
    restarts: slot.restarts,
    topEndings: top(routed?.sessions.ended ?? {}),
    topRefusals: top(routed?.sessions.refused ?? {}),
  };
}

export function totalsOf(workers: readonly LiveWorker[], { hub, router }: Seen, rates: Rates): Totals {
  const sum = (of: (worker: LiveWorker) => number) =>
    workers.reduce((total, worker) => total + of(worker), 0);
  const late = workers.flatMap(({ loopP99Ms }) => (loopP99Ms === null ? [] : [loopP99Ms]));
  const refusals = top(router.refused);
  return {
    workers: workers.length,
    workersReady: workers.filter(({ state }) => state === "ready").length,
    clients: sum(({ clients }) => clients),
    connections: sum(({ connections }) => connections),
    deliveriesPerSecond: rates.perSecond("delivered", hub.totals.delivered),
    loopP99Ms: late.length === 0 ? null : Math.max(...late),
    refusals,
    refused: Object.values(router.refused).reduce((total, count) => total + count, 0),
  };
}

export function reloadOf(reload: ReloadProgress, startedAt: number): ReloadStatus {
  const { workersDone, workers, moved, total, step, slot } = reload;
  const steps = {
    starting: `the successor of worker ${slot} starts.`,
    moving: `the sessions of worker ${slot} move to its successor.`,
    draining: `worker ${slot} finishes what it has begun.`,
    done: `worker ${slot} is replaced.`,
  };
  return {
    startedAt,
    summary: `Reloading: ${steps[step]}`,
    workersDone,
    workersTotal: workers,
    moved,
    total,
  };
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

/** The most frequent first. */
function top(counts: Readonly<Record<string, number>>): Count[] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([reason, count]) => ({ reason, count }));
}
