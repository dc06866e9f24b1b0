/**
 * What other hosts want, by bucket: always a superset of the truth.
 * Owns: a mask of hosts for each bucket, and what commands on their way may add to it. Runs in: where the hub is.
 */
import { BUCKETS } from "./backplane.js";

/** Masks stay within 30 bits, so that V8 keeps them unboxed. */
const BANK_SLOTS = 30;

export class HostInterest {
  readonly #banks: Uint32Array[] = [];
  /** Buckets that a host is taken to want, with the number of reasons. */
  readonly #held = new Map<number, Map<number, number>>();

  /** @param bits a bit for each bucket, the highest of a byte first */
  load(slot: number, bits: Buffer): void {
    for (let i = 0; i < bits.length; i++) {
      for (let byte = bits[i] as number; byte !== 0; ) {
        const place = Math.clz32(byte) - 24;
        byte &= ~(0x80 >>> place);
        this.add(slot, i * 8 + place);
      }
    }
  }

  add(slot: number, bucket: number): void {
    const bank = this.#bank(slot);
    if (bucket < BUCKETS) bank[bucket] = (bank[bucket] as number) | (1 << (slot % BANK_SLOTS));
  }

  remove(slot: number, bucket: number): void {
    const bank = this.#bank(slot);
    if (bucket < BUCKETS) bank[bucket] = (bank[bucket] as number) & ~(1 << (slot % BANK_SLOTS));
  }

  /** The host is gone. */
  clear(slot: number): void {
    const bank = this.#bank(slot);
    const mask = ~(1 << (slot % BANK_SLOTS));
    for (let bucket = 0; bucket < BUCKETS; bucket++) bank[bucket] = (bank[bucket] as number) & mask;
    this.#held.delete(slot);
  }

  /** Acts as if the host wanted these buckets until they are released as often as they were held. */
  hold(slot: number, buckets: readonly number[]): void {
    const held = this.#held.get(slot) ?? new Map<number, number>();
    this.#held.set(slot, held);
    for (const bucket of buckets) held.set(bucket, (held.get(bucket) ?? 0) + 1);
  }

  release(slot: number, buckets: readonly number[]): void {
    const held = this.#held.get(slot);
    for (const bucket of buckets) {
      const count = held?.get(bucket) ?? 0;
      if (count > 1) held?.set(bucket, count - 1);
      else held?.delete(bucket);
    }
    if (held?.size === 0) this.#held.delete(slot);
  }

  has(slot: number, bucket: number): boolean {
    const bank = this.#banks[Math.floor(slot / BANK_SLOTS)];
    if (bank && ((bank[bucket] as number) & (1 << (slot % BANK_SLOTS))) !== 0) return true;
    return this.#held.size > 0 && this.#held.get(slot)?.has(bucket) === true;
  }

  #bank(slot: number): Uint32Array {
    const index = Math.floor(slot / BANK_SLOTS);
    while (this.#banks.length <= index) this.#banks.push(new Uint32Array(BUCKETS));
    return this.#banks[index] as Uint32Array;
  }
}
