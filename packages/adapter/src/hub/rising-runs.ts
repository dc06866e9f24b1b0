/**
 * Merges runs of numbers, each from its largest to its smallest, into one sequence from the smallest to the
 * largest: n numbers of k runs in n log k. Owns: a heap of the runs. Runs in: where the hub is.
 */
export class RisingRuns {
  /** The smallest number of all is the last one of the first run; children of i are at 2i + 1 and 2i + 2. */
  readonly #heap: number[][] = [];

  get isEmpty(): boolean {
    return this.#heap.length === 0;
  }

  /** @param run is taken over */
  add(run: number[]): void {
    if (run.length === 0) return;
    const heap = this.#heap;
    let at = heap.push(run) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (smallest(heap[parent]) <= smallest(run)) break;
      heap[at] = heap[parent] as number[];
      at = parent;
    }
    heap[at] = run;
  }

  /** Takes the smallest number; 0 when there is none. */
  take(): number {
    const run = this.#heap[0];
    if (!run) return 0;
    const taken = run.pop() as number;
    if (run.length > 0) this.#sink(run);
    else {
      const last = this.#heap.pop() as number[];
      if (last !== run) this.#sink(last);
    }
    return taken;
  }

  /** Puts the run where it belongs, beginning at the top. */
  #sink(run: number[]): void {
    const heap = this.#heap;
    const value = smallest(run);
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && smallest(heap[child + 1]) < smallest(heap[child])) child++;
      if (smallest(heap[child]) >= value) break;
      heap[at] = heap[child] as number[];
      at = child;
    }
    heap[at] = run;
  }
}

function smallest(run: number[] | undefined): number {
  return (run as number[])[(run as number[]).length - 1] as number;
}
