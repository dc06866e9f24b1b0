/** CPU time of the processes of a cluster over a measured window. Runs in: the bench. */
import type { Group, RemoteProcess } from "./lab.js";

/** Microseconds of user and system time, by process. */
export interface CpuUse {
  of(...members: RemoteProcess[]): number;
}

/** Reads every process before and after `work`, and nothing in between. */
export async function cpuDuring(group: Group, work: () => Promise<void>): Promise<CpuUse> {
  const read = () => Promise.all(group.members.map((member) => member.usage()));
  const before = await read();
  await work();
  const after = await read();
  const used = new Map(
    group.members.map((member, i) => [member, (after[i]?.cpu ?? 0) - (before[i]?.cpu ?? 0)]),
  );
  return {
    of: (...members) => members.reduce((total, member) => total + (used.get(member) ?? 0), 0),
  };
}
