/** What a process uses, as it says itself when it is asked. Runs in: the bench and the processes under test. */
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

/** How long the event loop has stood still at most, milliseconds. */
export interface Standstill {
  /** By the clock: the process may have waited for a processor meanwhile. */
  readonly wall: number;
  /** What the process itself has computed between two looks. */
  readonly cpu: number;
}

const LOOK_MS = 2;

/** Looks at the event loop again and again, and remembers the longest gap. */
class LoopWatch {
  #timer: NodeJS.Timeout | undefined;
  #wall = 0;
  #cpu = 0;

  start(): void {
    let [at, used] = [performance.now(), process.cpuUsage()];
    this.#timer = setInterval(() => {
      const now = performance.now();
      const { user, system } = process.cpuUsage(used);
      this.#wall = Math.max(this.#wall, now - at - LOOK_MS);
      this.#cpu = Math.max(this.#cpu, (user + system) / 1000);
      [at, used] = [now, process.cpuUsage()];
    }, LOOK_MS);
  }

  stop(): Standstill {
    clearInterval(this.#timer);
    return { wall: this.#wall, cpu: this.#cpu };
  }
}

let watch: LoopWatch | undefined;

/** What every process of a bench is asked for. */
export const USAGE_COMMANDS: Commands = {
  usage,
  gc: () => globalThis.gc?.(),
  watchLoop: () => {
    watch = new LoopWatch();
    watch.start();
  },
  /** Since `watchLoop`. */
  longestStandstill: () => watch?.stop(),
};

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpu: user + system, rss, heap: heapUsed, external };
}

export function usageOf(remote: RemoteProcess): Promise<Usage> {
  return remote.call<Usage>("usage");
}
