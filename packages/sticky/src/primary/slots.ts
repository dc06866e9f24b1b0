/**
 * Positions in the cluster, 0 and up: with `hash`, they have the clients' addresses, whichever worker is there.
 * Owns: nothing. Runs in: primary.
 */

interface WithSlot {
  slot: number;
}

/** Positions have memory of their own for as long as the primary lives. */
const MAX_SLOTS = 1024;

export function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_SLOTS;
}

/** The lowest position that nobody has: that of a worker that has crashed, or a new one. */
export function freeSlot(others: Iterable<number>): number {
  const taken = new Set(others);
  let slot = 0;
  while (taken.has(slot)) slot++;
  return slot;
}

/**
 * A reload has old and new workers side by side. When the old ones are sent away, the new ones move down into their
 * slots, so that there are as many as before.
 */
export function fillSlot(free: number, workers: readonly WithSlot[]): void {
  const last = workers.reduce<WithSlot | undefined>(
    (highest, worker) => (worker.slot > (highest?.slot ?? free) ? worker : highest),
    undefined,
  );
  if (last && last.slot >= workers.length) last.slot = free;
}
