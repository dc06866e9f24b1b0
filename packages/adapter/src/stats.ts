/** What the primary's handle tells: statistics and events. Types only. */
import type { MemberInfo } from "./errors.js";

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

/** Connection state recovery: the journal and the sessions. */
export interface RecoveryStats extends JournalStats {
  /** All sessions, with and without a socket. */
  readonly sessions: number;
  /** Sessions without a socket: their clients are away. */
  readonly suspended: number;
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

/** What `stats()` of the primary's handle returns. */
export interface PrimaryStats {
  /** The workers that have joined. */
  readonly members: MemberStats[];
  /** How many namespaces the workers have. */
  readonly namespaces: number;
  /** Entries in the table of rooms. */
  readonly rooms: number;
  /** Joins that the hub heard of after something had come for the room. */
  readonly lateJoins: LateJoinStats;
  /** Connection state recovery: the journal and the sessions. */
  readonly recovery: RecoveryStats;
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
