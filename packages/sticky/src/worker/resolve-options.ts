/**
 * Checks the options of `setupWorker()`, once, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: workers.
 */
import { OptionReader } from "../option-reader.js";
import type { WorkerOptions } from "../options.js";

export interface ResolvedWorkerOptions {
  readonly name: string;
}

export function resolveWorkerOptions(input: WorkerOptions = {}): ResolvedWorkerOptions {
  const options = new OptionReader("setupWorker", input);
  return options.end({ name: options.string("name", "default", 1, 64) });
}
