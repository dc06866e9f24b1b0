/**
 * Rooms as the hub knows them: 31-bit keys instead of names.
 * Two rooms may share a key; the hub then relays to one worker too many, never to one too few, and the worker
 * compares names. 31 bits because V8 keeps such integers unboxed. Runs in: primary and workers.
 */
import { charCode } from "./char-code.js";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const BATCH_CHARS = 16 * 1024;
const CHAR_BYTES = 2;

/** What {@link roomKeys} reads names from. */
const chars = Buffer.allocUnsafeSlow(BATCH_CHARS * CHAR_BYTES);

/** The key of one room of one namespace. */
export function roomKey(namespaceId: number, room: string): number {
  const { length } = room;
  let hash = FNV_OFFSET ^ namespaceId;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ charCode(room, i), FNV_PRIME);
  return finish(hash);
}

/**
 * The keys of many rooms of one namespace, in order. Names that were concatenated are not flat in memory:
 * copying all of them costs half as much as going through each.
 */
export function roomKeys(namespaceId: number, rooms: readonly string[]): Int32Array {
  const keys = new Int32Array(rooms.length);
  for (let from = 0; from < rooms.length; ) {
    const to = endOfBatch(rooms, from);
    if (to > from) hashBatch(namespaceId, rooms, from, to, keys);
    else keys[from] = roomKey(namespaceId, rooms[from] as string);
    from = Math.max(to, from + 1);
  }
  return keys;
}

/** The end of the rooms, from this one on, whose names fit into a batch together. */
function endOfBatch(rooms: readonly string[], from: number): number {
  let to = from;
  for (let length = 0; to < rooms.length; to++) {
    length += (rooms[to] as string).length;
    if (length > BATCH_CHARS) break;
  }
  return to;
}

function hashBatch(
  namespaceId: number,
  rooms: readonly string[],
  from: number,
  to: number,
  keys: Int32Array,
): void {
  chars.write(rooms.slice(from, to).join(""), "utf16le");
  let at = 0;
  for (let i = from; i < to; i++) {
    const end = at + (rooms[i] as string).length * CHAR_BYTES;
    let hash = FNV_OFFSET ^ namespaceId;
    for (; at < end; at += CHAR_BYTES) {
      const char = (chars[at] as number) | ((chars[at + 1] as number) << 8);
      hash = Math.imul(hash ^ char, FNV_PRIME);
    }
    keys[i] = finish(hash);
  }
}

/** Spreads every input bit over the result, as MurmurHash3's finalizer does: FNV's top bits are weak. */
function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 1;
}
