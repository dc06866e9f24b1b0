/**
 * A member and its hub in one process: the link between them.
 * Owns: nothing. Runs in: primary, and single processes.
 */
import type { Hub } from "../hub/hub.js";
import type { HubMember } from "../hub/hub-member.js";
import { LocalLink } from "../link/local.js";
import type { Member } from "../member/member.js";

/** The worker id of members that are no worker of `node:cluster`. */
export const NO_WORKER_ID = 0;

/** The way between a member and the hub. */
export interface LocalWay {
  readonly hubMember: HubMember;
  readonly toHub: LocalLink;
  readonly fromHub: LocalLink;
}

/**
 * @param member looks for its hub
 * @param workerId how the hub knows it
 * @returns undefined if it has not joined
 */
export function joinWithin(hub: Hub, member: Member, workerId: number): LocalWay | undefined {
  let fromHub: LocalLink | undefined;
  const hubMember = hub.admit({ workerId, pid: process.pid }, (events) => {
    fromHub = new LocalLink(events);
    return fromHub;
  });
  // Who is told of it may have closed the hub.
  if (!hub.has(hubMember)) return undefined;
  let toHub: LocalLink | undefined;
  member.join({ member: hubMember.id, ...hub.welcome }, (events) => {
    toHub = new LocalLink(events);
    if (fromHub) LocalLink.connect(fromHub, toHub);
    return toHub;
  });
  return fromHub && toHub && { hubMember, toHub, fromHub };
}
