/**
 * Room keys and a number for each: a hash table in typed arrays.
 * A `Map` costs three times the time and five times the memory, and the hub keeps every room of the cluster.
 * Owns: its arrays. Runs in: primary and workers.
 *
 * Open addressing with linear probing. A key whose value is 0 counts as absent; its place is reused when the
 * key comes back, and freed when the table is laid out anew.
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
  /** Places with a key, its value 0 or not. */
  #taken = 0;
  /** Keys whose value is not 0. */
  #size = 0;

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
    this.#values[at] = value;
    if (before === 0) this.#size++;
    else if (value === 0) this.#size--;
    if (this.#keys[at] !== FREE) return true;
    this.#keys[at] = key;
    this.#taken++;
    if (this.#taken > MAX_LOAD * this.#keys.length) this.#layOutAnew();
    return true;
  }

  /** The keys whose value is not 0, in any order. */
  keys(): number[] {
    const present: number[] = [];
    for (let i = 0; i < this.#keys.length; i++)
      if (this.#values[i] !== 0) present.push(this.#keys[i] as number);
    return present;
  }

  /**
   * Clears bits of every value; ten milliseconds for a million keys.
   * @param onCleared called for each key that had some
   */
  clearBits(bits: number, onCleared?: (key: number) => void): void {
    const values = this.#values;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if ((value & bits) === 0) continue;
      values[i] = value & ~bits;
      if (values[i] === 0) this.#size--;
      onCleared?.(this.#keys[i] as number);
    }
  }

  /** Where the key is, or where it would be put. Keys are hashes, so their low bits are as good as any. */
  #find(key: number): number {
    const keys = this.#keys;
    const wrap = this.#wrap;
    let at = key & wrap;
    for (let found = keys[at]; found !== key && found !== FREE; found = keys[at]) at = (at + 1) & wrap;
    return at;
  }

  #layOutAnew(): void {
    let capacity = MIN_CAPACITY;
    while (this.#size * 2 > MAX_LOAD * capacity) capacity *= 2;
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Int32Array(capacity).fill(FREE);
    this.#values = new Int32Array(capacity);
    this.#wrap = capacity - 1;
    this.#taken = this.#size;
    for (let i = 0; i < keys.length; i++) {
      const value = values[i] as number;
      if (value === 0) continue;
      const at = this.#find(keys[i] as number);
      this.#keys[at] = keys[i] as number;
      this.#values[at] = value;
    }
  }
}
