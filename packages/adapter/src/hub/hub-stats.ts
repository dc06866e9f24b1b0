/**
 * What a hub tells of itself: to its owner, and to members that ask.
 * Owns: nothing. Runs in: where the hub is.
 */
import type { MemberInfo } from "../member-info.js";
import type { PrimaryStats } from "../stats.js";
import type { Hub } from "./hub.js";

/** The worker id of the emitters' member. It is never on a link: nobody asks emitters anything. */
export const EMITTER_WORKER_ID = -1;

export function isServer({ workerId }: MemberInfo): boolean {
  return workerId !== EMITTER_WORKER_ID;
}

/** What the hub knows now. */
export function statsOf(hub: Hub): PrimaryStats {
  const members = [...hub.members].filter(isServer).map((member) => ({
    ...member.info,
    link: member.link.kind,
    framesIn: member.framesIn,
    bytesIn: member.bytesIn,
    framesOut: member.outbox.frames,
    bytesOut: member.outbox.bytes,
    delivered: member.delivered,
    rooms: hub.roomsOf(member),
    backlogBytes: member.outbox.backlogBytes,
    dropped: member.dropped,
    unanswered: member.unanswered,
  }));
  const { namespaceCount, interestSize, lateJoins, recoveryStats, totals, hostsStats } = hub;
  return {
    members,
    totals,
    namespaces: namespaceCount,
    rooms: interestSize,
    lateJoins,
    recovery: recoveryStats,
    hosts: hostsStats,
  };
}
