/**
 * Objects that a message has, with the numbers by which it refers to them when they come again.
 * Owns: the objects. Runs in: primary and workers.
 */

/** Up to here, to look through a list costs less than a set. */
const FEW = 16;

export class ObjectNumbers {
  readonly #objects: object[] = [];
  /** The objects, once they are many; their numbers, once one of them has come again. */
  #seen: Set<object> | undefined;
  #numbers: Map<object, number> | undefined;

  /** How many objects there are, which is the number of the next one. */
  get length(): number {
    return this.#objects.length;
  }

  /** The number of an object that has come before. One that has not gets the next number. */
  numberOf(object: object): number | undefined {
    const objects = this.#objects;
    const next = objects.length;
    if (next < FEW) {
      for (let i = 0; i < next; i++) if (objects[i] === object) return i;
    } else if (this.#numbers) {
      const known = this.#numbers.get(object);
      if (known !== undefined) return known;
      this.#numbers.set(object, next);
    } else {
      this.#seen ??= new Set(objects);
      // One operation on a set instead of two on a map, as most objects come once.
      if (this.#seen.add(object).size === next) {
        this.#seen = undefined;
        this.#numbers = new Map(objects.map((each, i) => [each, i]));
        return this.#numbers.get(object);
      }
    }
    objects.push(object);
    return undefined;
  }

  /** Forgets all but the first `length` objects. */
  truncate(length: number): void {
    const forgotten = this.#objects.splice(length);
    // Few objects are not looked up there.
    if (length < FEW) this.#seen = this.#numbers = undefined;
    for (const object of forgotten) {
      this.#seen?.delete(object);
      this.#numbers?.delete(object);
    }
  }
}
