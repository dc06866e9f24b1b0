/** What the primary's handle tells: statistics and events. Types only. Runs in: primary. */
import type { MemberInfo } from "./member-info.js";

/** `pipe`: inherited stdio pipes; `ipc`: the cluster's IPC channel; `unix`: a Unix socket; `local`: within the hub's process. */
export type LinkKind = "pipe" | "ipc" | "unix" | "local";

/** What the hub knows of one worker. */
export interface MemberStats extends MemberInfo {
  /** The channel to it: `"pipe"`, `"ipc"` or `"unix"`; `"local"` for a server in the primary itself. */
  readonly link: LinkKind;
  /** Frames and bytes that the hub has received from it. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that the hub has sent to it. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Packets of broadcasts that it was given for its sockets. */
  readonly delivered: number;
  /**
   * Rooms that it has told of, in all namespaces. Each of its sockets is in one of its own, named by its id. 0 with
   * `interest: false`.
   */
  readonly rooms: number;
  /** Bytes that are waiting for it now. */
  readonly backlogBytes: number;
  /** Volatile packets that were dropped because too much was waiting for it. */
  readonly dropped: number;
  /** Requests that wait for its answer. */
  readonly unanswered: number;
}

/** The packets that are kept for clients to come back for. */
export interface JournalStats {
  /** Packets that the journal holds. */
  readonly packets: number;
  /** Memory that they use. */
  readonly bytes: number;
  /** Age of the oldest one, in milliseconds. */
  readonly ageMs: number;
  /**
   * Packets that were dropped before their time because there was no room. If it rises, raise `journalBytes`.
   */
  readonly cut: number;
}

/** Why a client's session was not restored; it gets a new one. */
export type DeclineReason =
  /** There is no such session: it has ended, was never there, or its client has been away for too long. */
  | "unknown"
  /** Packets that it has missed are not in the journal any more. */
  | "cut"
  /** A newer connection of the same client has got it. */
  | "overtaken"
  /** It does not fit into one message. */
  | "too-large";

/** All of them. */
export const DECLINE_REASONS: readonly DeclineReason[] = ["unknown", "cut", "overtaken", "too-large"];

/** What became of clients that came back, so far. */
export interface RestoreStats {
  /** Sessions that were asked for. Some wait, and some clients go before they are answered. */
  readonly asked: number;
  /** Sessions that were restored. */
  readonly restored: number;
  /** Sessions that were asked for and not restored, by reason. */
  readonly declined: Readonly<Record<DeclineReason, number>>;
  /** Packets that were sent again to clients that had missed them. */
  readonly resent: number;
}

/** Connection state recovery: the journal and the sessions. */
export interface RecoveryStats extends JournalStats, RestoreStats {
  /** All sessions, with and without a socket. */
  readonly sessions: number;
  /** Sessions without a socket: their clients are away. */
  readonly suspended: number;
}

/** What all workers together have done, those that are gone included. These never fall while the hub lives. */
export interface HubTotals {
  /** Members that have joined. */
  readonly joined: number;
  /** Members that are gone, whatever for. */
  readonly left: number;
  /** Members that were cut off, since they took nothing for too long. */
  readonly cutOff: number;
  /** Frames and bytes that the hub has received. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that the hub has sent. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Packets of broadcasts that members were given: each counts once for every member that has sockets for it. */
  readonly delivered: number;
  /** Volatile packets that were dropped because too much was waiting for their receiver. */
  readonly dropped: number;
}

/** Joins that the hub heard of after something had come for the room. */
export interface LateJoinStats {
  /** Packets and operations that were sent on to a worker because a socket of it had joined the room before. */
  readonly sentOn: number;
  /**
   * Reports of joins that came so late that packets for those rooms may be gone. If it rises, a worker blocks its event
   * loop for seconds after joins.
   */
  readonly tooLate: number;
}

/** Another host, as this one knows it. */
export interface HostStats {
  /** The name that it has drawn for itself: no other host ever has it. */
  readonly name: string;
  /** What its system calls it. Several hosts may be called the same. */
  readonly hostname: string;
  /** How many members it has told of: those of the namespace that has most of them. */
  readonly members: number;
  /** How many namespaces its workers have. */
  readonly namespaces: number;
}

/** The other hosts of the application, and the way to them. The counters never fall while the hub lives. */
export interface HostsStats {
  /** This host's own name, which begins with what its system calls it. */
  readonly name: string;
  /** `joined`: one of several hosts; `waiting`: not at the moment, but soon perhaps; `alone`: not for a while. */
  readonly state: "joined" | "waiting" | "alone";
  /** The other hosts. */
  readonly others: readonly HostStats[];
  /** How long the last answer has taken, in milliseconds; 0 before the first. */
  readonly roundTripMs: number;
  /**
   * How long what other hosts have sent waits until this one has read it, in milliseconds. It is looked at whenever the
   * lease is renewed, and grows while something is not read.
   */
  readonly inboxLagMs: number;
  /** Bytes that other hosts have sent and this one had not read then. More than `inboxBytes` are lost. */
  readonly inboxBytes: number;
  /** Bytes that wait to be sent to other hosts. */
  readonly backlogBytes: number;
  /** Batches that other hosts were sent. */
  readonly batches: number;
  /** Batches that went to all hosts because this one did not know the newest interest. */
  readonly widened: number;
  /** Packets and requests that other hosts did not get: they were away, or too much was waiting for them. */
  readonly dropped: number;
  /** Batches of other hosts that were lost because this one did not read them in time. */
  readonly missed: number;
}

/** What `stats()` of the primary's handle returns. */
export interface PrimaryStats {
  /** The workers that have joined. */
  readonly members: MemberStats[];
  /** All members together, those that are gone included. For counters that are watched over time. */
  readonly totals: HubTotals;
  /** How many namespaces the workers have. */
  readonly namespaces: number;
  /** Entries in the table of rooms. */
  readonly rooms: number;
  /** Joins that the hub heard of after something had come for the room. */
  readonly lateJoins: LateJoinStats;
  /** Connection state recovery: the journal and the sessions. */
  readonly recovery: RecoveryStats;
  /** The other hosts; `undefined` without `backplane`. */
  readonly hosts: HostsStats | undefined;
}

/** How a process was in the last second. */
export interface ProcessStats {
  /** Resident memory in bytes. */
  readonly rssBytes: number;
  /** What V8's heap holds, and may hold at most, in bytes. */
  readonly heapBytes: number;
  readonly heapLimitBytes: number;
  /** How late timers were: half of them, and the worst hundredth. Milliseconds. */
  readonly loopP50Ms: number;
  readonly loopP99Ms: number;
  /** Share of the time in which the event loop was busy, 0–1. */
  readonly utilization: number;
}

/** What `hubStats()` of an adapter finds out. */
export interface HubStats extends PrimaryStats {
  /**
   * The process that the hub is in. It is watched from the first question on; the answer to that has no delays yet, and
   * `utilization` of all the time that the process has lived.
   */
  readonly process: ProcessStats;
}

/** Events of the primary's handle. */
export interface PrimaryEvents {
  /** A worker's adapter has joined. */
  join: [member: MemberInfo];
  /** A worker's process is gone, its adapter was closed, or it was cut off (then `stalled` follows). */
  leave: [member: MemberInfo];
  /** A worker was cut off: it took nothing for `stallTimeout`, and more than `maxBacklogBytes` was waiting. */
  stalled: [member: MemberInfo, backlogBytes: number];
  /**
   * More was sent than `journalBytes` can keep for as long as clients may come back, so some clients will not
   * be recovered. Emitted once a minute at most; `stats().recovery` has the numbers.
   */
  journalFull: [recovery: RecoveryStats];
}
