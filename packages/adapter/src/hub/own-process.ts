/**
 * How the hub's process is: its memory, and how late its event loop was in the last second.
 * Owns: a timer, and the monitor of the event loop, until closed. Runs in: where the hub is.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { ProcessStats } from "../stats.js";

const EVERY_MS = 1_000;
/** A timer is set so often; its delay counts from there. */
const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;

type LoopStats = Pick<ProcessStats, "loopP50Ms" | "loopP99Ms" | "utilization">;

export class OwnProcess {
  readonly #delay: IntervalHistogram;
  readonly #timer: NodeJS.Timeout;
  #before = performance.eventLoopUtilization();
  /** Several may ask within a second: each is to see the whole of it. */
  #loop: LoopStats;
  #rssBytes = 0;

  constructor() {
    this.#loop = { loopP50Ms: 0, loopP99Ms: 0, utilization: this.#before.utilization };
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#delay.enable();
    this.#timer = setInterval(() => this.#sample(), EVERY_MS).unref();
  }

  get stats(): ProcessStats {
    const { used_heap_size: heapBytes, heap_size_limit: heapLimitBytes } = getHeapStatistics();
    return { rssBytes: this.#readRss(), heapBytes, heapLimitBytes, ...this.#loop };
  }

  close(): void {
    clearInterval(this.#timer);
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

  #sample(): void {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    this.#loop = { loopP50Ms: this.#delayMs(50), loopP99Ms: this.#delayMs(99), utilization };
    this.#delay.reset();
  }

  #delayMs(percentile: number): number {
    const ms = this.#delay.percentile(percentile) / NS_PER_MS - RESOLUTION_MS;
    return Number.isFinite(ms) ? Math.max(0, ms) : 0;
  }
}
