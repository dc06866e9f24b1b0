/**
 * The hosts that this hub finds make keys of rooms with another seed than it has drawn: it takes theirs, and all of its
 * members stay. Runs in: where the hub is.
 *
 * A member hears of the seed behind what is already on its way to it, and reports its rooms anew. Until then:
 * - it gets everything of its namespaces: nobody knows its rooms by the new keys;
 * - what it sends has keys that say nothing, and goes to whoever has the namespace. Workers compare names in any case.
 */
import type { HubMember } from "./hub-member.js";
import type { LateJoins } from "./late-joins.js";
import type { HubNamespace, Namespaces } from "./namespaces.js";
import type { HubRecovery } from "./recovery.js";

export interface SeedChangeParts {
  readonly namespaces: Namespaces;
  readonly recovery: HubRecovery;
  readonly lateJoins: LateJoins;
  readonly members: Iterable<HubMember>;
  /** The namespace's keys are about to change, and have changed. */
  readonly hosts: {
    forgetOwnNamespace(namespace: HubNamespace): void;
    onOwnNamespace(namespace: HubNamespace): void;
  };
}

export function changeSeed(
  seed: string,
  { namespaces, recovery, lateJoins, members, hosts }: SeedChangeParts,
): void {
  for (const namespace of namespaces.all()) {
    hosts.forgetOwnNamespace(namespace);
    for (const member of namespace.members) forgetRooms(member, namespace);
  }
  namespaces.roomSeed = seed;
  for (const namespace of namespaces.all()) {
    hosts.onOwnNamespace(namespace);
    recovery.onKeys(namespace.id, namespace.keys);
  }
  lateJoins.voidKeys();
  for (const member of members) member.tellSeed(seed);
}

function forgetRooms(member: HubMember, { id, interest, wildcards }: HubNamespace): void {
  member.dropClaims(id, interest);
  interest.removeAll(member.slot);
  // One that never reports has nothing to make up for.
  if (wildcards.has(member)) return;
  wildcards.add(member);
  member.unreported.add(id);
}
