/**
 * Memory for what comes from links and waits in them, used again and again by all links of the process: for
 * every few dozen buffers of this size that are thrown away, V8 marks the whole heap.
 * Owns: the buffers that nobody uses, 8 MiB at most. Runs in: primary and workers.
 */

export const BATCH_BYTES = 128 * 1024;
const MAX_FREE = 64;

const free: Buffer[] = [];

export function takeBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
}

/** Nobody will read what is in it. Other sizes are left to the collector. */
export function giveBack(buffer: Buffer): void {
  if (buffer.length === BATCH_BYTES && free.length < MAX_FREE) free.push(buffer);
}
