/**
 * Acknowledgements that a broadcast has asked this worker's clients for, until nobody waits for them any more: then
 * sockets forget about them.
 * Owns: one timer for each broadcast. Runs in: workers.
 */
import type { Namespace } from "socket.io";
import { MAX_TIMER_MS } from "../option-reader.js";
import { forgetAcks } from "./private-fields.js";

/**
 * waiting: answers may come. over: all have come, or nobody waits for more.
 *
 * waiting → over
 */
export interface AckDeadline {
  readonly state: "waiting" | "over";
  /** All answers have come. */
  end(): void;
}

export class AckDeadlines {
  readonly #nsp: Namespace;
  /** What ends each of those that are waiting. */
  readonly #open = new Map<AckDeadline, () => void>();

  constructor(nsp: Namespace) {
    this.#nsp = nsp;
  }

  /**
   * @param packetId what the clients acknowledge
   * @param ms how long to wait; undefined means 1, as it does to timers and so to Socket.IO
   * @param onExpired is called if the time is over, or the namespace is closed, before `end()` was called
   */
  add(packetId: number, ms: number | undefined, onExpired = () => {}): AckDeadline {
    const expire = () => {
      deadline.end();
      forgetAcks(this.#nsp, packetId);
      onExpired();
    };
    const timer = setTimeout(expire, ms);
    const deadline = {
      state: "waiting" as AckDeadline["state"],
      end: () => {
        deadline.state = "over";
        clearTimeout(timer);
        this.#open.delete(deadline);
      },
    };
    this.#open.set(deadline, expire);
    return deadline;
  }

  close(): void {
    for (const expire of [...this.#open.values()]) expire();
  }
}

/** When Socket.IO's own timer is over, which is asked for that time: Node.js takes what a timer cannot have for 1 ms. */
export function timerOf(ms: number): number {
  return ms >= 1 && ms <= MAX_TIMER_MS ? ms : 1;
}

/** What other workers are given where Socket.IO has no timer of its own: what is longer than a timer's is for good. */
export function timeoutOf(ms: number): number {
  return Math.min(ms, MAX_TIMER_MS);
}
