/**
 * What a process can say of itself: its memory, and how late its event loop is.
 * Owns: the monitor of the event loop, until closed. Runs in: workers and the primary.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";

/** How a process was lately: since the sample before. */
export interface ProcessSample {
  /** Resident memory in bytes. */
  readonly rssBytes: number;
  /** What V8's heap holds, and may hold at most, in bytes. */
  readonly heapBytes: number;
  readonly heapLimitBytes: number;
  /** How late timers were: half of them, and the worst hundredth. Milliseconds. */
  readonly loopP50Ms: number;
  readonly loopP99Ms: number;
  /** Share of the time in which the event loop was busy, 0–1. */
  readonly utilization: number;
}

/** A timer is set so often; its delay counts from there. */
const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;

export class ProcessHealth {
  readonly #delay: IntervalHistogram;
  #before = performance.eventLoopUtilization();
  #rssBytes = 0;

  constructor() {
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#delay.enable();
  }

  sample(): ProcessSample {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    const loopP50Ms = this.#delayMs(50);
    const loopP99Ms = this.#delayMs(99);
    this.#delay.reset();
    const { used_heap_size: heapBytes, heap_size_limit: heapLimitBytes } = getHeapStatistics();
    return { rssBytes: this.#readRss(), heapBytes, heapLimitBytes, loopP50Ms, loopP99Ms, utilization };
  }

  close(): void {
    this.#delay.disable();
  }

  /** It is read from a file. Where the process has no file descriptor left, it is what it was last. */
  #readRss(): number {
    try {
      this.#rssBytes = process.memoryUsage.rss();
    } catch {
      // The next look may find more.
    }
    return this.#rssBytes;
  }

  #delayMs(percentile: number): number {
    const ms = this.#delay.percentile(percentile) / NS_PER_MS - RESOLUTION_MS;
    return Number.isFinite(ms) ? Math.max(0, ms) : 0;
  }
}
