/**
 * Every figure that Prometheus gets: its name, what it counts, and where it is read.
 * Owns: the list; pure. Runs in: primary, and workers without one of the application.
 *
 * Names have base units, as Prometheus asks. Labels are bounded: slots of workers, words of a fixed list; never rooms,
 * ids, addresses. `docs/metrics.md` has this list, which a test compares.
 * @see https://prometheus.io/docs/practices/naming/
 *
 * Longer than other files: it is a list.
 */
import type { HostsStats, PrimaryStats as HubStats } from "@holdfast/adapter";
import type { DurationStats, PrimaryStats as RouterStats, SlotStats } from "@holdfast/sticky";
import type { ProcessSample } from "../process-health.js";
import type { ClusterStatus } from "../status.js";

/** What was read of a cluster at once; what there is none of is missing. */
export interface Readings {
  /** With its process, if that may be another one. */
  readonly hub?: (HubStats & { readonly process?: ProcessSample }) | undefined;
  readonly router?: RouterStats | undefined;
  readonly cluster?: ClusterStatus | undefined;
  /** The primary's process. */
  readonly primary?: ProcessSample | undefined;
}

/** A value, and what it is of. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Durations by their length. */
export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  /** In the metric's unit, rising. */
  readonly bounds: readonly number[];
  /** For each bound, and for what is beyond all of them; not added up. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface Description {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Which part of the cluster knows it. */
  readonly source: keyof Readings;
}

/** One figure. `read` gives nothing if the part of the cluster that knows it is not there. */
export type Metric = Description &
  (
    | { readonly type: "counter" | "gauge"; read(readings: Readings): Sample[] }
    | { readonly type: "histogram"; read(readings: Readings): HistogramSample[] }
  );

type Read<From> = (from: From) => Sample[] | number | undefined;

const ofHub = (
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: Read<NonNullable<Readings["hub"]>>,
  labels: string[] = [],
) => simple(type, name, help, labels, "hub", ({ hub }) => hub && read(hub));

const ofRouter = (
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: Read<RouterStats>,
  labels: string[] = [],
) => simple(type, name, help, labels, "router", ({ router }) => router && read(router));

const ofCluster = (
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: Read<ClusterStatus>,
  labels: string[] = [],
) => simple(type, name, help, labels, "cluster", ({ cluster }) => cluster && read(cluster));

/** A figure of the other hosts, where there is a backplane. */
const ofHosts = (
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: (hosts: HostsStats) => number,
) => ofHub(type, name, help, ({ hosts }) => hosts && read(hosts));

/** A figure of each place that workers have had. */
const ofSlot = (type: "counter" | "gauge", name: string, help: string, read: (slot: SlotStats) => number) =>
  ofRouter(
    type,
    name,
    help,
    ({ slots }) => slots.map((slot) => sample(read(slot), { slot: String(slot.slot) })),
    ["slot"],
  );

/** A figure of each worker's process, as it said last. */
const ofWorker = (name: string, help: string, read: (sample: ProcessSample) => number) =>
  ofCluster(
    "gauge",
    `holdfast_worker_${name}`,
    help,
    ({ slots }) =>
      slots.flatMap((slot) => (slot.sample ? [sample(read(slot.sample), { slot: String(slot.slot) })] : [])),
    ["slot"],
  );

/** A figure of every process: the workers', the primary's, and that of a hub without one. */
const ofProcess = (
  name: string,
  help: string,
  read: (sample: ProcessSample) => number,
): readonly Metric[] => [
  ofWorker(name, help, read),
  simple("gauge", `holdfast_primary_${name}`, help, [], "primary", ({ primary }) => primary && read(primary)),
  ofHub("gauge", `holdfast_hub_${name}`, help, (hub) => hub.process && read(hub.process)),
];

function simple(
  type: "counter" | "gauge",
  name: string,
  help: string,
  labels: readonly string[],
  source: keyof Readings,
  read: (readings: Readings) => Sample[] | number | undefined,
): Metric {
  return {
    type,
    name,
    help,
    labels,
    source,
    read: (readings) => {
      const value = read(readings);
      return typeof value === "number" ? [sample(value)] : (value ?? []);
    },
  };
}

function sample(value: number, labels: Readonly<Record<string, string>> = {}): Sample {
  return { labels, value };
}

/** A value for each word. */
function durations(
  { boundsMs, counts, sumMs }: Pick<DurationStats, "boundsMs" | "counts" | "sumMs">,
  labels: Record<string, string> = {},
): HistogramSample {
  return { labels, bounds: boundsMs.map((ms) => ms / MS_PER_S), counts, sum: sumMs / MS_PER_S };
}

function byWord(
  counts: Readonly<Record<string, number>>,
  label: string,
  more: Record<string, string> = {},
): Sample[] {
  return Object.entries(counts).map(([word, value]) =>
    sample(value, { ...more, [label]: word.replaceAll(" ", "_") }),
  );
}

const MS_PER_S = 1_000;

export const METRICS: readonly Metric[] = [
  // Connections: the router.
  ofRouter(
    "counter",
    "holdfast_connections_accepted_total",
    "Connections that have come.",
    (r) => r.accepted,
  ),
  ofRouter(
    "counter",
    "holdfast_connections_refused_total",
    "Connections that got no worker, by reason.",
    (r) => byWord(r.refused, "reason"),
    ["reason"],
  ),
  ofRouter(
    "gauge",
    "holdfast_connections_pending",
    "Connections whose head is being read.",
    (r) => r.pending,
  ),
  ofRouter("gauge", "holdfast_connections_waiting", "Connections that wait for a worker.", (r) => r.waiting),
  ofSlot(
    "gauge",
    "holdfast_connections",
    "Connections that are open, or on their way there.",
    (s) => s.connections,
  ),
  ofSlot(
    "counter",
    "holdfast_connections_handed_over_total",
    "Connections that workers have taken.",
    (s) => s.handedOver,
  ),
  ofSlot("counter", "holdfast_connections_closed_total", "Connections that were closed.", (s) => s.closed),
  ofSlot(
    "counter",
    "holdfast_connections_moved_total",
    "Connections moved to the owner of their session.",
    (s) => s.moved,
  ),
  ofRouter(
    "counter",
    "holdfast_session_moves_total",
    "Sessions that were to move to other workers, by what became of them.",
    ({ moves: { moved, lost, closed } }) => byWord({ moved, lost, closed }, "result"),
    ["result"],
  ),
  ofRouter(
    "counter",
    "holdfast_polling_sessions_moved_total",
    "Sessions that have moved to other workers between two polls; holdfast_session_moves_total has them as well.",
    (r) => r.moves.polling,
  ),
  ofRouter(
    "gauge",
    "holdfast_session_moves_underway",
    "Sessions that are on their way to another worker.",
    (r) => r.moves.underway,
  ),
  ofRouter(
    "counter",
    "holdfast_session_moves_waited_total",
    "Sessions of workers that go that could not move at once, and waited until they could, ended or were closed.",
    (r) => r.moves.waited,
  ),
  {
    type: "histogram",
    name: "holdfast_session_move_seconds",
    help: "How long sessions that moved to another worker were on their way: so long their clients waited.",
    labels: [],
    source: "router",
    read: ({ router }) => (router ? [durations(router.moveDuration)] : []),
  },
  {
    type: "histogram",
    name: "holdfast_connection_handover_seconds",
    help: "From when enough of a connection was read until a worker had it.",
    labels: [],
    source: "router",
    read: ({ router }) => (router ? [durations(router.handover)] : []),
  },
  ofSlot(
    "counter",
    "holdfast_requests_relayed_total",
    "Requests passed on to the owner of their session.",
    (s) => s.relayed,
  ),
  ofSlot(
    "counter",
    "holdfast_requests_relayed_to_hosts_total",
    "Of these, requests passed on to workers of other hosts.",
    (s) => s.relayedToHosts,
  ),
  ofSlot(
    "counter",
    "holdfast_requests_received_relayed_total",
    "Requests of own sessions that other workers have passed on.",
    (s) => s.forwardedIn,
  ),
  // Sessions of Engine.IO.
  ofRouter(
    "gauge",
    "holdfast_sessions",
    "Sessions that are open, by the transport that they use.",
    ({ slots }) =>
      slots.flatMap(({ slot, sessions }) => byWord(sessions.open, "transport", { slot: String(slot) })),
    ["slot", "transport"],
  ),
  ofSlot("counter", "holdfast_sessions_opened_total", "Sessions that were opened.", (s) => s.sessions.opened),
  ofSlot(
    "counter",
    "holdfast_sessions_upgraded_total",
    "Sessions that have left long-polling.",
    (s) => s.sessions.upgraded,
  ),
  ofRouter(
    "counter",
    "holdfast_sessions_ended_total",
    "Sessions that have ended, by reason.",
    ({ slots }) =>
      slots.flatMap(({ slot, sessions }) => byWord(sessions.ended, "reason", { slot: String(slot) })),
    ["slot", "reason"],
  ),
  ofRouter(
    "counter",
    "holdfast_requests_refused_total",
    "Requests that workers have refused because they belong to no session there and open none, by reason.",
    ({ slots }) =>
      slots.flatMap(({ slot, sessions }) => byWord(sessions.refused, "reason", { slot: String(slot) })),
    ["slot", "reason"],
  ),
  // Messages: the hub.
  simple("gauge", "holdfast_hub_up", "Whether the hub answers, 1 or 0.", [], "hub", ({ hub }) =>
    Number(hub !== undefined),
  ),
  ofHub("gauge", "holdfast_hub_members", "Workers that have joined the hub.", (h) => h.members.length),
  ofHub("gauge", "holdfast_hub_namespaces", "Namespaces that workers have.", (h) => h.namespaces),
  ofHub("gauge", "holdfast_hub_rooms", "Entries in the table of rooms.", (h) => h.rooms),
  ofHub("counter", "holdfast_hub_joins_total", "Members that have joined.", (h) => h.totals.joined),
  ofHub("counter", "holdfast_hub_leaves_total", "Members that are gone.", (h) => h.totals.left),
  ofHub(
    "counter",
    "holdfast_hub_stalls_total",
    "Members that were cut off, since they took nothing.",
    (h) => h.totals.cutOff,
  ),
  ofHub(
    "counter",
    "holdfast_hub_received_frames_total",
    "Frames that the hub has received.",
    (h) => h.totals.framesIn,
  ),
  ofHub(
    "counter",
    "holdfast_hub_received_bytes_total",
    "Bytes that the hub has received.",
    (h) => h.totals.bytesIn,
  ),
  ofHub(
    "counter",
    "holdfast_hub_sent_frames_total",
    "Frames that the hub has sent.",
    (h) => h.totals.framesOut,
  ),
  ofHub("counter", "holdfast_hub_sent_bytes_total", "Bytes that the hub has sent.", (h) => h.totals.bytesOut),
  ofHub(
    "counter",
    "holdfast_hub_delivered_packets_total",
    "Packets of broadcasts given to members, once for each that has sockets for it.",
    (h) => h.totals.delivered,
  ),
  ofHub(
    "counter",
    "holdfast_hub_dropped_packets_total",
    "Volatile packets dropped, since too much was waiting for their receiver.",
    (h) => h.totals.dropped,
  ),
  ofHub("gauge", "holdfast_hub_backlog_bytes", "Bytes that wait for all members.", (h) =>
    h.members.reduce((sum, member) => sum + member.backlogBytes, 0),
  ),
  ofHub(
    "gauge",
    "holdfast_hub_requests_in_flight",
    "Requests between workers that wait for an answer.",
    (h) => h.members.reduce((sum, member) => sum + member.unanswered, 0),
  ),
  ofHub(
    "counter",
    "holdfast_hub_late_frames_total",
    "Frames sent on for joins that the hub heard of late.",
    (h) => h.lateJoins.sentOn,
  ),
  ofHub(
    "counter",
    "holdfast_hub_late_joins_total",
    "Joins heard of too late: packets may be missing.",
    (h) => h.lateJoins.tooLate,
  ),
  // Recovery.
  ofHub(
    "gauge",
    "holdfast_recovery_sessions",
    "Sessions that are known, with and without a socket.",
    (h) => h.recovery.sessions,
  ),
  ofHub(
    "gauge",
    "holdfast_recovery_suspended_sessions",
    "Sessions whose clients are away.",
    (h) => h.recovery.suspended,
  ),
  ofHub(
    "counter",
    "holdfast_recovery_asked_total",
    "Sessions that clients have asked for when they came back.",
    (h) => h.recovery.asked,
  ),
  ofHub(
    "counter",
    "holdfast_recovery_restored_total",
    "Sessions that were restored.",
    (h) => h.recovery.restored,
  ),
  ofHub(
    "counter",
    "holdfast_recovery_declined_total",
    "Sessions that were asked for and not restored, by reason.",
    (h) => byWord(h.recovery.declined, "reason"),
    ["reason"],
  ),
  ofHub(
    "counter",
    "holdfast_recovery_resent_packets_total",
    "Packets sent again to clients that came back.",
    (h) => h.recovery.resent,
  ),
  ofHub(
    "gauge",
    "holdfast_recovery_journal_packets",
    "Packets that the journal holds.",
    (h) => h.recovery.packets,
  ),
  ofHub("gauge", "holdfast_recovery_journal_bytes", "Memory that the journal uses.", (h) => h.recovery.bytes),
  ofHub(
    "gauge",
    "holdfast_recovery_journal_age_seconds",
    "Age of the oldest packet in the journal.",
    (h) => h.recovery.ageMs / MS_PER_S,
  ),
  ofHub(
    "counter",
    "holdfast_recovery_journal_cut_packets_total",
    "Packets dropped before their time, for lack of room.",
    (h) => h.recovery.cut,
  ),
  // Other hosts.
  ofHosts(
    "gauge",
    "holdfast_hosts",
    "Hosts of the application that can be reached, this one too.",
    (h) => h.others.length + 1,
  ),
  ofHosts("gauge", "holdfast_backplane_up", "Whether the backplane answers, 1 or 0.", (h) =>
    Number(h.state === "joined"),
  ),
  ofHosts(
    "gauge",
    "holdfast_backplane_round_trip_seconds",
    "How long the last answer of the backplane has taken.",
    (h) => h.roundTripMs / MS_PER_S,
  ),
  ofHosts(
    "gauge",
    "holdfast_backplane_inbox_lag_seconds",
    "How long what other hosts have sent waits until this one has read it.",
    (h) => h.inboxLagMs / MS_PER_S,
  ),
  ofHosts(
    "gauge",
    "holdfast_backplane_inbox_bytes",
    "Bytes that other hosts have sent and this one has not read.",
    (h) => h.inboxBytes,
  ),
  ofHosts(
    "gauge",
    "holdfast_backplane_backlog_bytes",
    "Bytes that wait to be sent to other hosts.",
    (h) => h.backlogBytes,
  ),
  ofHosts("counter", "holdfast_backplane_batches_total", "Batches sent to other hosts.", (h) => h.batches),
  ofHosts(
    "counter",
    "holdfast_backplane_widened_batches_total",
    "Batches that went to all hosts because the newest interest was not known.",
    (h) => h.widened,
  ),
  ofHosts(
    "counter",
    "holdfast_backplane_dropped_total",
    "Packets and requests that other hosts did not get.",
    (h) => h.dropped,
  ),
  ofHosts(
    "counter",
    "holdfast_backplane_missed_batches_total",
    "Batches of other hosts that were lost because this one did not read them in time.",
    (h) => h.missed,
  ),
  // Workers: the supervisor.
  ofCluster(
    "gauge",
    "holdfast_workers",
    "Places for workers, by what they are doing.",
    ({ slots }) => {
      const states = { starting: 0, ready: 0, waiting: 0, "given-up": 0, ending: 0 };
      for (const { state } of slots) states[state]++;
      return byWord(states, "state");
    },
    ["state"],
  ),
  ofCluster(
    "counter",
    "holdfast_worker_restarts_total",
    "Workers started anew, because the one before had ended unasked.",
    ({ slots }) => slots.map(({ slot, restarts }) => sample(restarts, { slot: String(slot) })),
    ["slot"],
  ),
  ofCluster(
    "gauge",
    "holdfast_worker_uptime_seconds",
    "How long the worker has been ready.",
    ({ slots }) => slots.map(({ slot, uptimeMs }) => sample(uptimeMs / MS_PER_S, { slot: String(slot) })),
    ["slot"],
  ),
  ofCluster(
    "counter",
    "holdfast_worker_requests_total",
    "Requests to other workers that have ended, by how.",
    ({ slots }) =>
      slots.flatMap(({ slot, requests }) => byWord(requests.results, "result", { slot: String(slot) })),
    ["slot", "result"],
  ),
  ofCluster(
    "counter",
    "holdfast_worker_requests_failed_total",
    "Requests to other workers that have failed, by the code of their error.",
    ({ slots }) =>
      slots.flatMap(({ slot, requests }) => byWord(requests.failures, "code", { slot: String(slot) })),
    ["slot", "code"],
  ),
  {
    type: "histogram",
    name: "holdfast_worker_request_duration_seconds",
    help: "How long requests to other workers took, however they ended.",
    labels: ["slot"],
    source: "cluster",
    read: ({ cluster }) =>
      cluster?.slots.map(({ slot, requests }) => durations(requests, { slot: String(slot) })) ?? [],
  },
  ofCluster("counter", "holdfast_reloads_total", "Reloads that are done.", (c) => c.reloads),
  ofCluster(
    "gauge",
    "holdfast_reload_moved_sessions",
    "Sessions moved by the reload that is going on.",
    (c) => c.reload?.moved ?? 0,
  ),
  ofCluster(
    "gauge",
    "holdfast_reload_sessions",
    "Sessions that the reload that is going on has to move.",
    (c) => c.reload?.total ?? 0,
  ),
  // All processes: the workers as they have said last, and the primary.
  ...ofProcess("resident_memory_bytes", "Resident memory of the process.", (s) => s.rssBytes),
  ...ofProcess("heap_bytes", "Heap that the process uses.", (s) => s.heapBytes),
  ...ofProcess("heap_limit_bytes", "Heap that the process may use at most.", (s) => s.heapLimitBytes),
  ...ofProcess(
    "event_loop_delay_p50_seconds",
    "How late half of the process's timers were in the last second.",
    (s) => s.loopP50Ms / MS_PER_S,
  ),
  ...ofProcess(
    "event_loop_delay_p99_seconds",
    "How late the worst hundredth of the process's timers was in the last second.",
    (s) => s.loopP99Ms / MS_PER_S,
  ),
  ...ofProcess(
    "event_loop_utilization_ratio",
    "Share of time in which the event loop was busy.",
    (s) => s.utilization,
  ),
];
