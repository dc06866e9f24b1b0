/**
 * `@holdfast/cluster/live-status`: what the dashboard and `holdfast top` show, the JSON of `/api/status`. Types only. Runs in: primary; the page reads it.
 *
 * Everything in it is measured. What a part of the cluster cannot tell is `null`, never a guess. Counters are since the
 * primary has started; rates are of the last second or two.
 */

/** How somebody is. `unknown` is for what has not told of itself yet. */
export type Health = "good" | "warning" | "bad" | "unknown";

/** The cluster at one moment. */
export interface LiveStatus {
  /** Version of this document; another number is another shape. */
  readonly format: 1;
  /** When it was taken. Milliseconds since 1970. */
  readonly at: number;
  /** What the cluster is called. */
  readonly name: string;
  /** When the primary has started. Milliseconds since 1970. Another value is another primary. */
  readonly startedAt: number;
  /** Versions of what runs. */
  readonly versions: { readonly holdfast: string; readonly node: string };
  /** How the cluster is, and why, in a sentence. */
  readonly health: Health;
  readonly summary: string;
  /** What can be done about it; `null` if there is nothing to do. */
  readonly advice: string | null;
  /** The worker that the sentence names; `null` if it names none. */
  readonly slot: number | null;
  /** Since when that is wrong. Milliseconds since 1970; `null` if nothing is. */
  readonly since: number | null;
  /** The hosts of the application, this one first; of the others, what they tell this one. */
  readonly hosts: readonly HostStatus[];
  /** What joins the hosts; `null` if there is one host only. */
  readonly backplane: BackplaneStatus | null;
  /** The reload that is going on; `null` if none is. */
  readonly reload: ReloadStatus | null;
  /** This host's workers together. */
  readonly totals: Totals;
  /** The last 15 minutes. */
  readonly history: History;
  /** What happened lately, the newest first. */
  readonly events: readonly TimelineEvent[];
  /** What can be ordered here; empty if orders are not taken. */
  readonly actions: readonly ActionName[];
}

/** One machine or container. */
export interface HostStatus {
  readonly id: string;
  /** What people call it: the host's name. */
  readonly name: string;
  /** Whether it is the one that has told this. */
  readonly isSelf: boolean;
  /** Whether it is there, and since when. Milliseconds since 1970. */
  readonly presence: HostPresence;
  readonly since: number;
  readonly health: Health;
  readonly summary: string;
  /** Members of its hub, as it has told last. Of another host's, no more is known. */
  readonly members: number;
  /** `null` for another host. */
  readonly hub: HubStatus | null;
  /** The primary's process; `null` for another host. */
  readonly primary: ProcessStatus | null;
  /** Empty for another host. */
  readonly workers: readonly LiveWorker[];
}

/**
 * `here`: it is the one that has told this. `there`: it is one of the hosts. `unseen`: nothing is heard of any host now,
 * because Redis is away. `silent`: nothing is heard of it any more. `gone`: it has said goodbye.
 */
export type HostPresence = "here" | "there" | "unseen" | "silent" | "gone";

/** The hub of a host. */
export interface HubStatus {
  /** Where it lives. */
  readonly place: "primary" | "process";
  /** Workers that have joined. */
  readonly members: number;
  readonly namespaces: number;
  /** Entries in the table of rooms. */
  readonly rooms: number;
  /** Frames in and out per second. */
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly recovery: {
    readonly sessions: number;
    readonly suspended: number;
    readonly packets: number;
    readonly bytes: number;
    readonly ageMs: number;
    readonly cut: number;
  };
}

/** What a process says of itself. */
export interface ProcessStatus {
  readonly pid: number;
  /** Resident memory in bytes. */
  readonly rssBytes: number | null;
  readonly heapBytes: number | null;
  readonly heapLimitBytes: number | null;
  /** How late its event loop was in the last seconds: half of the time, and in the worst hundredth. */
  readonly loopP50Ms: number | null;
  readonly loopP99Ms: number | null;
  /** Share of the time in which its event loop was busy, 0–1. */
  readonly utilization: number | null;
}

/** What a place in the cluster is doing. */
export type LiveWorkerState = "starting" | "ready" | "stalled" | "waiting" | "given-up" | "ending";

/** A place in the cluster, and its worker. */
export interface LiveWorker extends ProcessStatus {
  /** Place on its host, counted from 0. */
  readonly slot: number;
  /** `cluster.worker.id`; `null` while there is no worker. */
  readonly workerId: number | null;
  readonly state: LiveWorkerState;
  readonly health: Health;
  /** What is wrong, in words, or that nothing is. */
  readonly summary: string;
  /** What can be done about it; `null` if there is nothing to do. */
  readonly advice: string | null;
  /** Since when there is this worker. Milliseconds since 1970. */
  readonly since: number | null;
  /** Open connections, sessions of Engine.IO, and how these travel. */
  readonly connections: number;
  readonly clients: number;
  readonly transports: {
    readonly polling: number;
    readonly websocket: number;
    readonly webtransport: number;
  };
  /** Messages per second: to the hub and from it. */
  readonly inPerSecond: number;
  readonly outPerSecond: number;
  /** Rooms that it has sockets in, with one for each socket itself. */
  readonly rooms: number;
  /** Bytes that wait for it in the hub. */
  readonly backlogBytes: number;
  /** Requests to it that wait for its answer. */
  readonly unanswered: number;
  /** Volatile packets that were dropped for it. */
  readonly dropped: number;
  /** So far: */
  readonly relayed: number;
  readonly moved: number;
  readonly restarts: number;
  /** Why its sessions have ended, the most frequent first, at most five. */
  readonly topEndings: readonly Count[];
  /** Why its engine has refused requests, the same way. */
  readonly topRefusals: readonly Count[];
}

/** How often something has happened. */
export interface Count {
  readonly reason: string;
  readonly count: number;
}

/** What joins the hosts. */
export interface BackplaneStatus {
  readonly kind: string;
  readonly health: Health;
  readonly summary: string;
  readonly since: number;
  readonly roundTripMs: number | null;
  /** How long what other hosts have sent waits until this one has read it. */
  readonly inboxLagMs: number | null;
  /** Bytes that wait to be sent to other hosts. */
  readonly backlogBytes: number;
}

/** A reload that is going on. */
export interface ReloadStatus {
  readonly startedAt: number;
  /** What it is doing, in words. */
  readonly summary: string;
  /** Workers replaced, of how many. */
  readonly workersDone: number;
  readonly workersTotal: number;
  /** Sessions that have moved, of how many. */
  readonly moved: number;
  readonly total: number;
}

/** The workers of one host together. */
export interface Totals {
  readonly workers: number;
  readonly workersReady: number;
  readonly clients: number;
  readonly connections: number;
  readonly deliveriesPerSecond: number;
  readonly loopP99Ms: number | null;
  /** Connections that got no worker so far, by reason, the most frequent first. */
  readonly refusals: readonly Count[];
  readonly refused: number;
}

/** What the small charts show. */
export interface History {
  /** Time from one value to the next. Milliseconds. */
  readonly stepMs: number;
  /** When the last values were taken. Milliseconds since 1970. */
  readonly endsAt: number;
  /** Oldest first, all of the same length; `null` where nothing was measured. */
  readonly series: Readonly<Record<SeriesName, readonly (number | null)[]>>;
}

/** Names of the small charts' lines. */
export type SeriesName =
  | "clients"
  | "deliveries"
  | "loopP50"
  | "loopP99"
  | "opened"
  | "refused"
  | "suspended"
  | "backplaneRoundTrip"
  | "backplaneLag";

/** Something that happened. */
export interface TimelineEvent {
  /** Rises by one with each event of this primary. */
  readonly id: number;
  readonly at: number;
  readonly kind: EventKind;
  readonly health: Health;
  /** What happened, in a sentence. */
  readonly text: string;
  /** More of it, such as the last words of a worker. */
  readonly detail: string | null;
  /** How often it has happened in a row. */
  readonly times: number;
}

/** What a thing that happened is about. */
export type EventKind =
  | "worker"
  | "stall"
  | "reload"
  | "recovery"
  | "backplane"
  | "host"
  | "order"
  | "warning"
  | "cluster";

/** What can be ordered. */
export type ActionName = "reload" | "scale" | "restart";
