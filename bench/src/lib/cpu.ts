/** CPU time of the processes of a cluster over a measured window. Runs in: the bench. */
import type { RemoteProcess } from "@holdfast/harness";
import { usageOf } from "./usage.js";

/** Microseconds of user and system time, by process. */
export interface CpuUse {
  of(...processes: RemoteProcess[]): number;
}

/** Reads every process before and after `work`, and nothing in between. */
export async function cpuDuring(
  { processes }: { readonly processes: readonly RemoteProcess[] },
  work: () => Promise<void>,
): Promise<CpuUse> {
  const read = () => Promise.all(processes.map(usageOf));
  const before = await read();
  await work();
  const after = await read();
  const used = new Map(
    processes.map((process, i) => [process, (after[i]?.cpu ?? 0) - (before[i]?.cpu ?? 0)]),
  );
  return {
    of: (...some) => some.reduce((total, process) => total + (used.get(process) ?? 0), 0),
  };
}
