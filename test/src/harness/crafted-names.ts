/**
 * Names of rooms that a hash without a secret puts next to each other: FNV-1a over code units with the finalizer of
 * MurmurHash3, less the lowest bit, which anybody can invert. Pure. Runs in: tests.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const FINISH_1 = 0x85ebca6b;
const FINISH_2 = 0xc2b2ae35;
/** So many keys in a row, and again so many a whole table further on. */
const IN_A_ROW = 16;
/** Enough beginnings for each value that the upper half of a hash can have. */
const BEGINNINGS = 300_000;

/** Names whose keys are the same few, modulo any power of two up to `places`. */
export function craftedNames(count: number, places: number): string[] {
  const beginnings = beginningsByUpperHalf();
  const names: string[] = [];
  for (let i = 0; names.length < count; i++) {
    const key = Math.floor(i / IN_A_ROW) * places + (i % IN_A_ROW);
    const name = nameOf(key, beginnings);
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** What the names are made against. */
export function keyWithoutSecret(name: string): number {
  let hash = hashOf(name);
  hash = Math.imul(hash ^ (hash >>> 16), FINISH_1);
  hash = Math.imul(hash ^ (hash >>> 13), FINISH_2);
  return (hash ^ (hash >>> 16)) >>> 1;
}

function hashOf(name: string): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), FNV_PRIME);
  return hash >>> 0;
}

/** Some beginning and one more character, which may be any in the lower half of what is missing. */
function nameOf(key: number, beginnings: ReadonlyMap<number, string>): string | undefined {
  const hash = Math.imul(unfinished(key * 2), inverse(FNV_PRIME)) >>> 0;
  const beginning = beginnings.get(hash >>> 16);
  if (beginning === undefined) return undefined;
  const code = (hashOf(beginning) ^ hash) & 0xffff;
  const isHalfAPair = code >= 0xd800 && code < 0xe000;
  return isHalfAPair ? undefined : beginning + String.fromCharCode(code);
}

function beginningsByUpperHalf(): Map<number, string> {
  const found = new Map<number, string>();
  for (let i = 0; i < BEGINNINGS; i++) {
    const beginning = i.toString(36);
    found.set(hashOf(beginning) >>> 16, beginning);
  }
  return found;
}

function unfinished(finished: number): number {
  let hash = finished ^ (finished >>> 16);
  hash = Math.imul(hash, inverse(FINISH_2));
  hash ^= (hash >>> 13) ^ (hash >>> 26);
  hash = Math.imul(hash, inverse(FINISH_1));
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Of an odd number, modulo 2 ** 32. */
function inverse(odd: number): number {
  let found = 1;
  for (let i = 0; i < 5; i++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}
