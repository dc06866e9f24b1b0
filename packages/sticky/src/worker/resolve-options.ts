/**
 * Checks the options of `setupWorker()` and of its handle, once, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: workers.
 */
import { MAX_TIMER_MS, OptionReader } from "../option-reader.js";
import type { DrainOptions, WorkerOptions } from "../options.js";

export interface ResolvedWorkerOptions {
  readonly name: string;
}

export interface ResolvedDrainOptions {
  readonly timeoutMs: number;
}

export function resolveWorkerOptions(input: WorkerOptions = {}): ResolvedWorkerOptions {
  const options = new OptionReader("setupWorker", input);
  return options.end({ name: options.string("name", "default", 1, 64) });
}

export function resolveDrainOptions(input: DrainOptions = {}): ResolvedDrainOptions {
  const options = new OptionReader("drain", input);
  return options.end({ timeoutMs: options.integer("timeout", 10_000, 0, MAX_TIMER_MS) });
}
