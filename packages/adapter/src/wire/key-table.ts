/**
 * Room keys and a number for each: a hash table in typed arrays.
 * A `Map` costs three times the time and five times the memory, and the hub keeps every room of the cluster.
 * Owns: its arrays. Runs in: primary and workers.
 *
 * Open addressing with linear probing. A key whose value is 0 is absent: those behind it in its run move up, so that a
 * table whose keys come and go needs not be laid out anew for what has gone.
 */

const MIN_CAPACITY = 16;
/** Probes stay short up to this share of taken places. */
const MAX_LOAD = 0.6;
const FREE = -1;

export class KeyTable {
  #keys = new Int32Array(MIN_CAPACITY).fill(FREE);
  #values = new Int32Array(MIN_CAPACITY);
  /** Capacity is a power of two; this masks an index. */
  #wrap = MIN_CAPACITY - 1;
  #size = 0;
  /** The largest size since the table was looked at for being too large, and the keys that have gone since. */
  #most = 0;
  #gone = 0;

  get size(): number {
    return this.#size;
  }

  /** @param key 31 bits @returns 0 for a key that is absent */
  get(key: number): number {
    return this.#values[this.#find(key)] as number;
  }

  /** @returns the sum, 32 bits and signed, which is the key's value from now on */
  add(key: number, change: number): number {
    const at = this.#find(key);
    const value = (this.#values[at] as number) + change;
    this.#put(key, at, value);
    return value;
  }

  /** @returns what the key's value was before */
  exchange(key: number, value: number): number {
    const at = this.#find(key);
    const before = this.#values[at] as number;
    this.#put(key, at, value);
    return before;
  }

  /** @returns whether the value is another one now */
  setBits(key: number, bits: number): boolean {
    const at = this.#find(key);
    return this.#put(key, at, (this.#values[at] as number) | bits);
  }

  /** @returns whether the value is another one now */
  unsetBits(key: number, bits: number): boolean {
    const at = this.#find(key);
    return this.#put(key, at, (this.#values[at] as number) & ~bits);
  }

  #put(key: number, at: number, value: number): boolean {
    const before = this.#values[at] as number;
    if (before === value) return false;
    if (value === 0) {
      this.#remove(at);
      return true;
    }
    this.#values[at] = value;
    if (before !== 0) return true;
    this.#keys[at] = key;
    if (++this.#size > this.#most) this.#most = this.#size;
    if (this.#size > MAX_LOAD * this.#keys.length) this.#layOut(this.#keys.length * 2);
    return true;
  }

  /** The keys that are present, in any order. */
  keys(): number[] {
    const present: number[] = [];
    for (const key of this.#keys) if (key !== FREE) present.push(key);
    return present;
  }

  /**
   * Clears bits of every value; some tens of milliseconds for a million keys.
   * @param onCleared called for each key that had some
   */
  clearBits(bits: number, onCleared?: (key: number) => void): void {
    const values = this.#values;
    const before = this.#size;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if ((value & bits) === 0) continue;
      values[i] = value & ~bits;
      if (values[i] === 0) this.#size--;
      onCleared?.(this.#keys[i] as number);
    }
    if (this.#size < before) this.#layOut(capacityFor(this.#size));
  }

  /** Where the key is, or where it would be put. Keys are hashes, so their low bits are as good as any. */
  #find(key: number): number {
    const keys = this.#keys;
    const wrap = this.#wrap;
    let at = key & wrap;
    for (let found = keys[at]; found !== key && found !== FREE; found = keys[at]) at = (at + 1) & wrap;
    return at;
  }

  #remove(at: number): void {
    const [keys, values, wrap] = [this.#keys, this.#values, this.#wrap];
    let hole = at;
    for (let i = (at + 1) & wrap; keys[i] !== FREE; i = (i + 1) & wrap) {
      const key = keys[i] as number;
      // Who would be looked for behind the hole stays where it is.
      if (((i - key) & wrap) < ((i - hole) & wrap)) continue;
      keys[hole] = key;
      values[hole] = values[i] as number;
      hole = i;
    }
    keys[hole] = FREE;
    values[hole] = 0;
    this.#size--;
    if (++this.#gone * 2 > keys.length) this.#shrink();
  }

  /** Half as many keys as there are places have gone: places that none of that time's keys needed go as well. */
  #shrink(): void {
    const capacity = capacityFor(this.#most);
    this.#gone = 0;
    this.#most = this.#size;
    if (capacity < this.#keys.length) this.#layOut(capacity);
  }

  #layOut(capacity: number): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Int32Array(capacity).fill(FREE);
    this.#values = new Int32Array(capacity);
    this.#wrap = capacity - 1;
    for (let i = 0; i < keys.length; i++) {
      const value = values[i] as number;
      if (value === 0) continue;
      const at = this.#find(keys[i] as number);
      this.#keys[at] = keys[i] as number;
      this.#values[at] = value;
    }
  }
}

/** Room for so many keys, and for as many again before it grows. */
function capacityFor(size: number): number {
  let capacity = MIN_CAPACITY;
  while (size * 2 > MAX_LOAD * capacity) capacity *= 2;
  return capacity;
}
