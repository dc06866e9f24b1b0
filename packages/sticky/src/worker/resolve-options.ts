/**
 * Checks the options of `setupWorker()` and of its handle, once, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: workers.
 */

import type { Mover } from "../moves.js";
import { MAX_TIMER_MS, OptionReader } from "../option-reader.js";
import type { DrainOptions, WorkerOptions } from "../options.js";

export interface ResolvedWorkerOptions {
  readonly name: string;
  readonly mover: Mover | undefined;
}

export interface ResolvedDrainOptions {
  readonly timeoutMs: number;
}

export function resolveWorkerOptions(input: WorkerOptions = {}): ResolvedWorkerOptions {
  const options = new OptionReader("setupWorker", input);
  return options.end({
    name: options.string("name", "default", 1, 64),
    mover: options.value<Mover | undefined>("mover", undefined, isMover, "what createMover(io) returns"),
  });
}

export function resolveDrainOptions(input: DrainOptions = {}): ResolvedDrainOptions {
  const options = new OptionReader("drain", input);
  return options.end({ timeoutMs: options.integer("timeout", 10_000, 0, MAX_TIMER_MS) });
}

function isMover(value: unknown): value is Mover | undefined {
  const { sessions, land } = (value ?? {}) as Partial<Mover>;
  return value === undefined || (typeof sessions === "function" && typeof land === "function");
}
