/** What a process uses, as it says itself when it is asked. Runs in: the bench and the processes under test. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Commands, RemoteProcess } from "@holdfast/harness";

/** What a process has used since it started. */
export interface Usage {
  /** User and system time of all its threads, microseconds. */
  readonly cpu: number;
  /** Resident set size, bytes. */
  readonly rss: number;
  /** V8 heap in use, bytes. */
  readonly heap: number;
  /** Memory of buffers and other external objects, bytes. */
  readonly external: number;
}

const loop = monitorEventLoopDelay({ resolution: 1 });

/** What every process of a bench is asked for. */
export const USAGE_COMMANDS: Commands = {
  usage,
  gc: () => globalThis.gc?.(),
  watchLoop: () => {
    loop.reset();
    loop.enable();
  },
  /** Milliseconds that the event loop stood still at most since `watchLoop`. */
  longestBlock: () => {
    loop.disable();
    return loop.max / 1e6;
  },
};

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpu: user + system, rss, heap: heapUsed, external };
}

export function usageOf(remote: RemoteProcess): Promise<Usage> {
  return remote.call<Usage>("usage");
}
