/** Small checks and readings that benches share. Runs in: the bench. */
import type { RemoteProcess, RemoteProgram } from "@holdfast/harness";
import { usageOf } from "../lib/usage.js";

/** `["what: actual instead of expected"]` where they differ. */
export function differs(what: string, actual: number, expected: number): string[] {
  return actual === expected ? [] : [`${what}: ${actual} instead of ${expected}`];
}

/** The ports that a cluster listens on: its router's or the shared one, or one of each worker. */
export function portsOf(program: RemoteProgram): number[] {
  return [...new Set(program.processes.map(({ port }) => port).filter((port) => port !== 0))];
}

/** Waits until all workers together have `clients` clients; what is missing or too much is the answer. */
export async function settled(program: RemoteProgram, clients: number): Promise<string[]> {
  const perWorker = await Promise.all(
    program.workers.map((worker) => worker.call<number>("settled", clients)),
  );
  const total = perWorker.reduce((all, count) => all + count, 0);
  return differs("clients of the workers", total, clients * program.workers.length);
}

/** Heap and buffers of a process after everything that can be collected has been, bytes. */
export async function jsBytes(process: RemoteProcess): Promise<number> {
  // Twice: what the first finalizes, the second frees.
  await process.call("gc");
  await process.call("gc");
  const { heap, external } = await usageOf(process);
  return heap + external;
}
