/**
 * What this host wants of others: buckets in which one of its members has a room, or that stand for a namespace.
 * Owns: how many reasons there are for each bucket, and what the others have not been told yet. Runs in: where the hub is.
 */
import { BUCKETS } from "./backplane.js";

/** Room keys have 31 bits. */
const BUCKET_SHIFT = 31 - Math.log2(BUCKETS);

export function bucketOf(key: number): number {
  return key >>> BUCKET_SHIFT;
}

export class OwnInterest {
  readonly #reasons = new Uint32Array(BUCKETS);
  readonly #onNews: () => void;
  /** Buckets whose state others do not know. */
  #untold = new Set<number>();
  /** What others know. */
  readonly #told = new Uint8Array(BUCKETS);

  /** @param onNews there is something to tell */
  constructor(onNews: () => void) {
    this.#onNews = onNews;
  }

  get hasNews(): boolean {
    return this.#untold.size > 0;
  }

  add(key: number): void {
    const bucket = bucketOf(key);
    if ((this.#reasons[bucket] as number)++ === 0) this.#note(bucket);
  }

  remove(key: number): void {
    const bucket = bucketOf(key);
    if (--(this.#reasons[bucket] as number) === 0) this.#note(bucket);
  }

  /** Others know nothing of this host any more. */
  forgetTold(): void {
    this.#told.fill(0);
    this.#untold.clear();
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if ((this.#reasons[bucket] as number) > 0) this.#untold.add(bucket);
    }
  }

  /** What is to be told, `most` buckets of it. */
  take(most: number): { readonly wants: number[]; readonly drops: number[] } {
    const [wants, drops]: [number[], number[]] = [[], []];
    for (const bucket of this.#untold) {
      if (wants.length + drops.length === most) break;
      this.#untold.delete(bucket);
      const isWanted = (this.#reasons[bucket] as number) > 0;
      if (isWanted === (this.#told[bucket] === 1)) continue;
      this.#told[bucket] = isWanted ? 1 : 0;
      (isWanted ? wants : drops).push(bucket);
    }
    return { wants, drops };
  }

  #note(bucket: number): void {
    this.#untold.add(bucket);
    this.#onNews();
  }
}
