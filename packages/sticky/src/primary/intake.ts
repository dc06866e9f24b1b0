/**
 * Connections whose head is being read.
 * Owns: their handles, the bytes read so far, one timer for all deadlines. Runs in: primary.
 * Knows nothing of HTTP or workers; callers pass in `read`, which says when there is enough.
 */
import { monotonicMs } from "../clock.js";
import { type Handle, startReading, stopReading } from "../handle/node-internals.js";

/** Why a connection did not get through. */
export type IntakeFailure = "client-closed" | "evicted" | "silent" | "timeout" | "too-long";

export interface IntakeHooks<Result> {
  /** Looks at all bytes so far; nothing before `from` is new. `undefined`: more is needed. */
  read(head: Buffer, from: number): Result | undefined;
  /** The head is there; reading has stopped, and the handle is the callee's. */
  done(handle: Handle, head: Buffer, result: Result): void;
  /** The head will not come; reading has stopped, and the handle is the callee's. */
  failed(handle: Handle, why: IntakeFailure): void;
}

export interface IntakeLimits {
  readonly headTimeoutMs: number;
  readonly maxHeadBytes: number;
}

interface Entry {
  readonly handle: Handle;
  readonly deadline: number;
  head: Buffer | undefined;
}

const NOTHING = Buffer.alloc(0);

export class Intake<Result> {
  readonly #limits: IntakeLimits;
  readonly #hooks: IntakeHooks<Result>;
  /** In order of arrival, which is the order of deadlines. */
  readonly #entries = new Set<Entry>();
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: IntakeLimits, hooks: IntakeHooks<Result>) {
    this.#limits = limits;
    this.#hooks = hooks;
  }

  /** Connections whose head is not complete. */
  get size(): number {
    return this.#entries.size;
  }

  /** @param buffered what was read of the connection before */
  add(handle: Handle, buffered?: Buffer): void {
    const entry: Entry = { handle, deadline: monotonicMs() + this.#limits.headTimeoutMs, head: undefined };
    this.#entries.add(entry);
    if (buffered) this.#onBytes(entry, buffered);
    if (!this.#entries.has(entry)) return;
    const isRead = startReading(handle, (bytes) => {
      if (bytes === undefined) this.#fail(entry, "client-closed");
      else this.#onBytes(entry, bytes);
    });
    if (isRead) this.#watch();
    else this.#fail(entry, "client-closed");
  }

  /** Gives up the connection that has been read from longest. */
  evictOldest(): void {
    const [oldest] = this.#entries;
    if (oldest) this.#fail(oldest, "evicted");
  }

  /** Gives up every connection; `failed` is not called. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const entry of this.#entries) {
      this.#release(entry);
      entry.handle.close();
    }
  }

  #onBytes(entry: Entry, bytes: Buffer): void {
    const { head } = entry;
    const from = head?.length ?? 0;
    const all = head ? Buffer.concat([head, bytes]) : bytes;
    const result = this.#hooks.read(all, from);
    if (result !== undefined) {
      this.#release(entry);
      this.#hooks.done(entry.handle, all, result);
    } else if (all.length >= this.#limits.maxHeadBytes) {
      this.#fail(entry, "too-long");
    } else {
      entry.head = all;
    }
  }

  #fail(entry: Entry, why: IntakeFailure): void {
    this.#release(entry);
    this.#hooks.failed(entry.handle, why);
  }

  #release(entry: Entry): void {
    this.#entries.delete(entry);
    stopReading(entry.handle);
  }

  /** One timer for the earliest deadline: arming one for each connection would cost more than its head. */
  #watch(): void {
    if (this.#timer !== undefined) return;
    const [oldest] = this.#entries;
    if (!oldest) return;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, oldest.deadline - monotonicMs()));
    this.#timer.unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = monotonicMs();
    for (const entry of this.#entries) {
      if (entry.deadline > now) break;
      this.#fail(entry, (entry.head ?? NOTHING).length === 0 ? "silent" : "timeout");
    }
    this.#watch();
  }
}
