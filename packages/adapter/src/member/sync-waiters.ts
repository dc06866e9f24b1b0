/**
 * Who waits until the hub acts on the interest that this worker reports: `socket.join()`, mostly.
 * Owns: the promises, and the sequence numbers of the frames that they wait for. Runs in: workers.
 */

/** The field on the wire has 32 bits, and 0 says that nobody waits. */
const LAST_SEQUENCE = 0xffffffff;
const HALF = 0x80000000;

interface Waiter {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export class SyncWaiters {
  /** Waits for interest that is not on the wire. */
  #next: Waiter | undefined;
  /** Wait for the hub's word on a frame, in the order of the frames. */
  readonly #waiting: { readonly waiter: Waiter; readonly sequence: number }[] = [];
  #sent: number;
  #synced: number;

  constructor(lastSequence = 0) {
    this.#sent = this.#synced = lastSequence;
  }

  /** Settles when the hub acts on the interest that will be on the wire next. */
  next(): Promise<void> {
    this.#next ??= newWaiter();
    return this.#next.promise;
  }

  /** Settles when the hub acts on all that is on the wire; undefined when it does, or nobody has waited. */
  get last(): Promise<void> | undefined {
    return this.#waiting.at(-1)?.waiter.promise;
  }

  /** The sequence number of the next frame of interest; 0 if the hub need not answer. */
  nextSequence(): number {
    if (!this.#next) return 0;
    this.#sent = (this.#sent % LAST_SEQUENCE) + 1;
    return this.#sent;
  }

  /** All interest is on the wire. */
  written(): void {
    const waiter = this.#next;
    if (!waiter) return;
    this.#next = undefined;
    if (this.#sent === this.#synced) waiter.resolve();
    else this.#waiting.push({ waiter, sequence: this.#sent });
  }

  /** The hub acts on all interest up to this frame. */
  synced(sequence: number): void {
    this.#synced = sequence;
    while (this.#waiting[0] && isUpTo(this.#waiting[0].sequence, sequence)) {
      this.#waiting.shift()?.waiter.resolve();
    }
  }

  /** There is no hub to wait for. */
  release(): void {
    this.#synced = this.#sent;
    for (const { waiter } of this.#waiting.splice(0)) waiter.resolve();
    this.#next?.resolve();
    this.#next = undefined;
  }
}

/** Sequences wrap around; those that are compared are never far apart. */
function isUpTo(sequence: number, last: number): boolean {
  return (last - sequence) >>> 0 < HALF;
}

function newWaiter(): Waiter {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
