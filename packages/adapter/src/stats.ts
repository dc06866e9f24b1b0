/** What the primary's handle tells: statistics and events. Types only. */
import type { MemberInfo } from "./errors.js";
import type { LinkKind } from "./link/contract.js";

/** What the hub knows of one worker. */
export interface MemberStats extends MemberInfo {
  readonly link: LinkKind;
  /** Frames and bytes that the hub got from it. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that the hub sent to it. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Bytes that wait for it. */
  readonly backlogBytes: number;
  /** Volatile packets that were dropped because too much was waiting. */
  readonly dropped: number;
  /** Requests that wait for its answer. */
  readonly unanswered: number;
}

/** The packets that are kept for clients to come back for. */
export interface JournalStats {
  readonly packets: number;
  /** Memory that the packets take. */
  readonly bytes: number;
  /** Age of the oldest packet, milliseconds. */
  readonly ageMs: number;
  /** Packets that were dropped before their time because there were too many bytes. */
  readonly cut: number;
}

/** Connection state recovery: the journal and the sessions. */
export interface RecoveryStats extends JournalStats {
  /** Sessions with and without a socket. */
  readonly sessions: number;
  /** Those without. */
  readonly suspended: number;
}

export interface PrimaryStats {
  readonly members: MemberStats[];
  /** Namespaces that some worker has. */
  readonly namespaces: number;
  /** Entries in the table of rooms. */
  readonly rooms: number;
  readonly recovery: RecoveryStats;
}

export interface PrimaryEvents {
  /** A worker's adapter has joined. */
  join: [member: MemberInfo];
  /** A worker's process is gone, its adapter was closed, or it was cut off; before `stalled` in that case. */
  leave: [member: MemberInfo];
  /** A worker took its messages too slowly and was cut off; more than `maxBacklogBytes` was waiting. */
  stalled: [member: MemberInfo, backlogBytes: number];
  /**
   * More was sent than `journalBytes` keep for as long as clients may come back: some will not be recovered.
   * Once a minute at most; `stats().recovery` has the numbers.
   */
  journalFull: [recovery: RecoveryStats];
}
