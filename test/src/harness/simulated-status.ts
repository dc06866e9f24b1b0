/**
 * A cluster that is not there, for looking at the dashboard: any number of hosts and workers, and things that go wrong.
 * What it says is always the same for the same moment. Runs in: tests, screenshots.
 */
import type {
  ActionName,
  BackplaneStatus,
  Health,
  HostPresence,
  HostStatus,
  LiveStatus,
  LiveWorker,
  ProcessStatus,
  ReloadStatus,
  SeriesName,
  TimelineEvent,
} from "@holdfast/cluster/live-status";
import { RequestTally } from "../../../packages/cluster/dist/request-stats.js";
import { type Judgement, judgeWorker } from "../../../packages/cluster/dist/watch/judgement.js";
import { judgeCluster } from "../../../packages/cluster/dist/watch/verdict.js";

export interface Simulation {
  readonly hosts?: number;
  readonly workersPerHost?: number;
  readonly clientsPerWorker?: number;
  readonly incident?: "blocked-worker" | "crash-loop" | "redis-away" | "silent-host" | "reload";
  readonly actions?: readonly ActionName[];
  readonly name?: string;
  /** How many steps of the history there are so far. */
  readonly points?: number;
}

const POINTS = 180;
const STEP_MS = 5_000;
const START = Date.UTC(2026, 10, 26, 18, 12, 40);

/** Numbers between 0 and 1, the same ones for the same seed. */
function random(seed: number): number {
  const x = Math.sin(seed * 127.1 + 311.7) * 43_758.545_3;
  return x - Math.floor(x);
}

/** Goes slowly up and down around 1. */
function swell(at: number, seed: number): number {
  return (
    1 +
    0.1 * Math.sin(at / 41 + seed) +
    0.05 * Math.sin(at / 11 + seed * 2) +
    0.03 * (random(at + seed * 999) - 0.5)
  );
}

/** @param tick seconds since the simulation began */
export function simulateStatus(simulation: Simulation = {}, tick = 0): LiveStatus {
  const { hosts = 1, incident, name = "chat" } = simulation;
  const { actions = ["reload", "scale", "restart"] } = simulation;
  const at = START + 3 * 86_400_000 + tick * 1_000;
  const all = Array.from({ length: hosts }, (_, host) => simulateHost(host, simulation, tick));
  const workers = all[0]?.workers ?? [];
  const sum = (of: (worker: LiveWorker) => number) =>
    workers.reduce((total, worker) => total + of(worker), 0);
  const ready = workers.filter(({ state }) => state === "ready").length;
  const backplane = hosts > 1 ? simulateBackplane(simulation, at) : null;
  const {
    health,
    summary,
    advice,
    slot = null,
  } = judgeCluster({
    state: "running",
    workers,
    backplane,
    others: all.slice(1),
  });
  return {
    format: 1,
    at,
    name,
    startedAt: START,
    versions: { holdfast: "0.1.0", node: "24.11.0" },
    health,
    summary,
    advice,
    slot,
    since: health === "good" ? null : at - 14_000,
    hosts: all,
    backplane,
    reload:
      incident === "reload"
        ? simulateReload(
            workers.length,
            sum(({ clients }) => clients),
            at,
            tick,
          )
        : null,
    totals: {
      workers: workers.length,
      workersReady: ready,
      clients: sum(({ clients }) => clients),
      connections: sum(({ connections }) => connections),
      deliveriesPerSecond: sum(({ outPerSecond }) => outPerSecond),
      loopP99Ms: Math.max(...workers.map(({ loopP99Ms }) => loopP99Ms ?? 0)),
      refusals: [{ reason: "client-closed", count: 41 }],
      refused: 41,
    },
    history: simulateHistory(
      sum(({ clients }) => clients),
      simulation,
      at,
      hosts > 1,
    ),
    events: simulateEvents(simulation, at),
    actions,
  };
}

/** Of another host, it is known how many workers it has. */
function simulateHost(index: number, simulation: Simulation, tick: number): HostStatus {
  const { workersPerHost = 4, incident, hosts = 1 } = simulation;
  const isSelf = index === 0;
  const workers = Array.from({ length: isSelf ? workersPerHost : 0 }, (_, slot) =>
    simulateWorker(slot, simulation, tick),
  );
  const out = workers.reduce((total, { inPerSecond, outPerSecond }) => total + inPerSecond + outPerSecond, 0);
  const presence = isSelf ? "here" : presenceOf(index, incident);
  const isIll = isSelf && (incident === "blocked-worker" || incident === "crash-loop");
  return {
    id: `host-${index}`,
    name: hosts === 1 ? "laptop" : `web-${index + 1}`,
    isSelf,
    presence,
    since: START,
    health: isIll || presence === "silent" ? "bad" : presence === "unseen" ? "unknown" : "good",
    summary: {
      here: `${workers.filter(({ state }) => state === "ready").length} of ${workersPerHost} workers`,
      there: `${workersPerHost} workers`,
      unseen: `cannot be seen from here; had ${workersPerHost} workers`,
      silent: `silent; had ${workersPerHost} workers`,
      gone: "has said goodbye",
    }[presence],
    members: workersPerHost,
    hub: isSelf
      ? {
          place: "primary",
          members: workersPerHost,
          namespaces: 1,
          rooms: 342,
          framesPerSecond: out,
          bytesPerSecond: out * 180,
          recovery: {
            sessions: 520,
            suspended: 4,
            packets: 18_302,
            bytes: 4_100_000,
            ageMs: 120_000,
            cut: 0,
          },
        }
      : null,
    primary: isSelf ? processOf(900, 0.5, tick) : null,
    workers,
  };
}

function presenceOf(index: number, incident: Simulation["incident"]): HostPresence {
  if (incident === "redis-away") return "unseen";
  return incident === "silent-host" && index === 1 ? "silent" : "there";
}

function processOf(pid: number, seed: number, tick: number): ProcessStatus {
  return {
    pid,
    rssBytes: 74_000_000 + 18_000_000 * random(seed),
    heapBytes: 24_000_000 + 9_000_000 * swell(tick, seed),
    heapLimitBytes: 4_345_298_944,
    loopP50Ms: 0.6 + 0.4 * random(seed),
    loopP99Ms: 2 + 6 * random(seed + 7) * swell(tick, seed),
    utilization: 0.1 + 0.15 * random(seed + 3),
  };
}

function simulateWorker(slot: number, simulation: Simulation, tick: number): LiveWorker {
  const { clientsPerWorker = 130, incident } = simulation;
  const seed = slot;
  const isBlocked = incident === "blocked-worker" && slot === 2;
  const isCrashing = incident === "crash-loop" && slot === 1;
  const clients = isCrashing
    ? 0
    : Math.round(clientsPerWorker * (0.55 + 0.9 * random(seed)) * swell(tick, seed));
  const polling = Math.round(clients * (0.04 + 0.22 * random(seed + 50)));
  const { pid, ...sample } = processOf(1_000 + slot, seed, tick);
  return {
    pid,
    ...sample,
    ...(isBlocked ? { loopP50Ms: 14_000, loopP99Ms: 14_000, utilization: 1 } : {}),
    ...(isCrashing
      ? { rssBytes: null, heapBytes: null, loopP50Ms: null, loopP99Ms: null, utilization: null }
      : {}),
    slot,
    workerId: isCrashing ? null : slot + 1,
    ...judge(slot, pid, { isBlocked, isCrashing }),
    since: isCrashing ? null : START + 60_000 * slot,
    connections: clients + 3,
    clients,
    transports: { polling, websocket: clients - polling, webtransport: 0 },
    inPerSecond: isBlocked || isCrashing ? 0 : clients * 0.08,
    outPerSecond: isBlocked || isCrashing ? 0 : clients * 1.4 * swell(tick, seed + 1),
    rooms: clients + 40,
    backlogBytes: isBlocked ? 3_400_000 : 0,
    unanswered: isBlocked ? 2 : 0,
    dropped: isBlocked ? 40 : 0,
    relayed: 1_204 + slot,
    moved: 310 + slot,
    restarts: isCrashing ? 6 : 0,
    topEndings: [
      { reason: "transport close", count: 3_410 + slot },
      { reason: "ping timeout", count: 96 },
      { reason: "transport error", count: 12 },
    ],
    topRefusals: [
      { reason: "unknown session", count: 31 + slot },
      { reason: "forbidden", count: 4 },
    ],
  };
}

const LAST_WORDS =
  "Error: connect ECONNREFUSED 10.0.3.12:5432\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1637:16)";

/** What is said of a worker is what is said of a real one. */
function judge(
  slot: number,
  pid: number,
  { isBlocked, isCrashing }: { readonly isBlocked: boolean; readonly isCrashing: boolean },
): Judgement {
  const lastExit = {
    slot,
    workerId: slot + 1,
    pid,
    reason: "crash",
    code: 1,
    signal: null,
    lastWords: LAST_WORDS,
    uptimeMs: 2_000,
  } as const;
  return judgeWorker({
    slot: {
      slot,
      state: isCrashing ? "waiting" : "ready",
      workerId: slot + 1,
      pid,
      uptimeMs: 60_000,
      connections: 0,
      memoryBytes: 0,
      load: 0,
      sample: undefined,
      requests: new RequestTally().stats(),
      silentMs: isBlocked ? 14_000 : 0,
      restarts: isCrashing ? 6 : 0,
      crashes: isCrashing ? 6 : 0,
      lastExit: isCrashing ? lastExit : undefined,
    },
    isStalled: isBlocked,
    hasJoined: true,
    backlogBytes: 0,
    lateMs: 0,
  });
}

function simulateBackplane({ incident, hosts = 1 }: Simulation, at: number): BackplaneStatus {
  const isAway = incident === "redis-away";
  return {
    kind: "Redis",
    health: isAway ? "bad" : "good",
    summary: isAway ? "no answer; this host goes on by itself" : `${hosts} hosts, round trip 0.8 ms`,
    since: at - 42_000,
    roundTripMs: isAway ? null : 0.8,
    inboxLagMs: isAway ? null : 0.3,
    backlogBytes: 0,
  };
}

function simulateReload(workers: number, clients: number, at: number, tick: number): ReloadStatus {
  const share = Math.min(1, 0.45 + tick / 20);
  return {
    startedAt: at - 9_000 - tick * 1_000,
    summary: "Reloading: sessions move to the new workers.",
    workersDone: Math.floor(workers * share),
    workersTotal: workers,
    moved: Math.round(clients * share),
    total: clients,
  };
}

function simulateHistory(
  clients: number,
  { incident, points = POINTS }: Simulation,
  at: number,
  hasBackplane: boolean,
): LiveStatus["history"] {
  const line = (of: (index: number) => number | null) =>
    Array.from({ length: POINTS }, (_, index) => (index < POINTS - points ? null : of(index)));
  const isLate = (index: number) => index > POINTS - 4;
  const series: Record<SeriesName, readonly (number | null)[]> = {
    clients: line((i) => Math.round(clients * (0.8 + 0.2 * (i / POINTS)) * swell(i, 1))),
    deliveries: line(
      (i) =>
        clients *
        1.4 *
        swell(i, 2) *
        (0.85 + 0.3 * random(i)) *
        (incident === "redis-away" && isLate(i) ? 0.5 : 1),
    ),
    loopP50: line((i) => 0.8 * swell(i, 3)),
    loopP99: line((i) =>
      incident === "blocked-worker" && isLate(i) ? 4_000 * (i - POINTS + 4) : 6 + 5 * random(i + 40),
    ),
    opened: line((i) => clients * 0.01 * swell(i, 4)),
    refused: line((i) => (random(i + 3) > 0.96 ? 0.2 : 0)),
    suspended: line((i) => Math.round(4 + 3 * random(i + 9) + (i > 100 && i < 110 ? 60 - 6 * (i - 100) : 0))),
    backplaneRoundTrip: line((i) =>
      !hasBackplane || (incident === "redis-away" && isLate(i)) ? null : 1 + 0.6 * random(i + 5),
    ),
    backplaneLag: line((i) =>
      !hasBackplane || (incident === "redis-away" && isLate(i)) ? null : 0.2 + 0.3 * random(i + 6),
    ),
  };
  return { stepMs: STEP_MS, endsAt: at - (at % STEP_MS), series };
}

function simulateEvents({ incident, hosts = 1 }: Simulation, at: number): readonly TimelineEvent[] {
  const events: Omit<TimelineEvent, "id">[] = [];
  const tell = (
    agoMs: number,
    kind: TimelineEvent["kind"],
    health: Health,
    text: string,
    { detail = null, times = 1 }: { detail?: string | null; times?: number } = {},
  ) => void events.push({ at: at - agoMs, kind, health, text, detail, times });
  if (incident === "blocked-worker") {
    tell(14_000, "stall", "bad", "Worker 2 takes nothing: its event loop stands still.");
    tell(12_000, "stall", "warning", "14 connections that waited for worker 2 went to others.");
  }
  if (incident === "crash-loop") {
    tell(7_000, "worker", "bad", "Worker 1 has crashed with exit code 1 after 2 s.", {
      times: 6,
      detail: LAST_WORDS,
    });
  }
  if (incident === "redis-away") {
    tell(42_000, "backplane", "bad", "Redis does not answer. This host goes on by itself.");
  }
  if (incident === "silent-host")
    tell(
      14_000,
      "host",
      "bad",
      "Host web-2 has fallen silent: it has crashed, stands still, or does not reach Redis.",
    );
  if (incident === "reload") tell(9_000, "reload", "good", "A reload has begun: code as it is on disk now.");
  tell(95_000, "recovery", "good", "61 clients came back and were recovered.");
  tell(126_000, "worker", "good", "Worker 3 is ready, in place of the one that ended.");
  tell(127_000, "worker", "bad", "Worker 3 was killed by SIGKILL after 3 h.");
  if (hosts > 1) tell(3_600_000, "backplane", "good", "Redis answers again after 3 s. Nothing was lost.");
  tell(5 * 3_600_000, "reload", "good", `4 workers were replaced in 12 s, 512 of 520 sessions moved.`);
  tell(3 * 86_400_000, "cluster", "good", "The cluster has started.");
  return events.map((event, index) => ({ id: events.length - index, ...event }));
}
