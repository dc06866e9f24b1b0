/**
 * Rooms as the hub knows them: 31-bit keys instead of names.
 * Two rooms may share a key; the hub then relays to a worker too many, never to one too few, and the
 * worker compares names. 31 bits because V8 keeps such integers unboxed. Runs in: primary and workers.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** The key of one room of one namespace. */
export function roomKey(namespaceId: number, room: string): number {
  let hash = FNV_OFFSET ^ namespaceId;
  for (let i = 0; i < room.length; i++) hash = Math.imul(hash ^ room.charCodeAt(i), FNV_PRIME);
  return finish(hash);
}

/** Spreads every input bit over the result, as MurmurHash3's finalizer does: FNV's top bits are weak. */
function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 1;
}
