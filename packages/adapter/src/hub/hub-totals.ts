/**
 * What all members together have done, those that are gone included: counters that never fall.
 * Owns: the counts of members that are gone. Runs in: where the hub is.
 */
import type { HubTotals } from "../stats.js";
import type { HubMember } from "./hub-member.js";

export class Totals {
  joined = 0;
  cutOff = 0;
  #left = 0;
  #gone: Traffic = { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, delivered: 0, dropped: 0 };

  /** A member is gone; its counts go on in these. */
  onLeave(member: HubMember): void {
    this.#left++;
    this.#gone = plus(this.#gone, member);
  }

  /** With the members that are there. */
  stats(members: Iterable<HubMember>): HubTotals {
    let sum = this.#gone;
    for (const member of members) sum = plus(sum, member);
    return { joined: this.joined, left: this.#left, cutOff: this.cutOff, ...sum };
  }
}

type Traffic = Omit<HubTotals, "joined" | "left" | "cutOff">;

function plus(sum: Traffic, member: HubMember): Traffic {
  return {
    framesIn: sum.framesIn + member.framesIn,
    bytesIn: sum.bytesIn + member.bytesIn,
    framesOut: sum.framesOut + member.outbox.frames,
    bytesOut: sum.bytesOut + member.outbox.bytes,
    delivered: sum.delivered + member.delivered,
    dropped: sum.dropped + member.dropped,
  };
}
