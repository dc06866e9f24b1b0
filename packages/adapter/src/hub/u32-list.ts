/** A list of unsigned 32-bit numbers that takes four bytes for each. Runs in: where the hub is. */

const FIRST_CAPACITY = 64;

export class U32List {
  #values = new Uint32Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Memory that it takes. */
  get bytes(): number {
    return this.#values.byteLength;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) this.#resize(Math.max(FIRST_CAPACITY, 2 * this.#length));
    this.#values[this.#length++] = value;
  }

  at(index: number): number {
    return this.#values[index] as number;
  }

  /** Gives back the memory that was meant for more. */
  trim(): void {
    this.#resize(this.#length);
  }

  /** Of numbers that never fall: the index of the last one that is not above `value`; -1 if all are. */
  lastUpTo(value: number): number {
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #resize(capacity: number): void {
    const values = new Uint32Array(capacity);
    values.set(this.#values.subarray(0, this.#length));
    this.#values = values;
  }
}
