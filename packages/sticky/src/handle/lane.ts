/**
 * How connections get to another process.
 * Owns: the handles on their way until the receiver has taken them. Runs in: primary (one to each worker) and
 * workers (one to the primary).
 *
 * Node.js sends one handle at a time over an IPC channel and lets everything else wait behind it, in a queue
 * that it runs through again for each acknowledgement. So connections wait here instead, where they also can
 * be given to another worker. The sender keeps its copy of a handle until the receiver has acknowledged it:
 * a worker that dies before that has read nothing of the connection.
 */
import createDebug from "debug";
import type { Handover } from "./handover.js";
import { type IpcChannel, isHandleInFlight, onHandleSettled, sendHandle } from "./node-internals.js";

const debug = createDebug("holdfast:sticky:lane");

export class Lane {
  readonly #channel: IpcChannel;
  readonly #toMessage: (handover: Handover) => object;
  readonly #onReturned: (handover: Handover) => void;
  readonly #stopListening: () => void;
  readonly #waiting: Handover[] = [];
  #inFlight: Handover | undefined;
  #inFlightSince = 0;
  // open → closed
  #state: "open" | "closed" = "open";

  /** @param onReturned gets a connection that the receiver could not take */
  constructor(
    channel: IpcChannel,
    toMessage: (handover: Handover) => object,
    onReturned: (handover: Handover) => void,
  ) {
    this.#channel = channel;
    this.#toMessage = toMessage;
    this.#onReturned = onReturned;
    this.#stopListening = onHandleSettled(channel, (taken) => this.#onSettled(taken));
  }

  /** Connections that the worker has not taken yet. */
  get length(): number {
    return this.#waiting.length + (this.#inFlight ? 1 : 0);
  }

  /** How long the worker has been leaving a connection untaken, in milliseconds; 0 if there is none. */
  stalledMs(now: number): number {
    return this.#inFlight ? now - this.#inFlightSince : 0;
  }

  push(handover: Handover): void {
    if (this.#inFlight || this.#waiting.length > 0 || isHandleInFlight(this.#channel)) {
      this.#waiting.push(handover);
    } else {
      this.#dispatch(handover);
    }
  }

  /** Takes back the connections of that name that are not on their way yet. */
  recall(name: string): Handover[] {
    const recalled = this.#waiting.filter((handover) => handover.name === name);
    const kept = this.#waiting.filter((handover) => handover.name !== name);
    this.#waiting.splice(0, this.#waiting.length, ...kept);
    return recalled;
  }

  /** Ends the lane and returns the connections that the worker has not taken, in order. */
  close(): Handover[] {
    if (this.#state === "closed") return [];
    this.#state = "closed";
    this.#stopListening();
    const connections = this.#inFlight ? [this.#inFlight, ...this.#waiting] : [...this.#waiting];
    this.#inFlight = undefined;
    this.#waiting.length = 0;
    return connections;
  }

  #dispatch(handover: Handover): void {
    this.#inFlight = handover;
    this.#inFlightSince = Date.now();
    sendHandle(this.#channel, this.#toMessage(handover), handover.handle, (error) => {
      if (!error || this.#inFlight !== handover) return;
      debug("sending a connection failed: %s", error.message);
      this.#settle(false);
    });
  }

  #onSettled(taken: boolean): void {
    // Without a connection of ours in flight this was somebody else's handle, for which ours had to wait.
    if (this.#inFlight) this.#settle(taken);
    else this.#next();
  }

  #settle(taken: boolean): void {
    const handover = this.#inFlight;
    this.#inFlight = undefined;
    this.#next();
    if (!handover) return;
    if (taken) handover.handle.close();
    else this.#onReturned(handover);
  }

  #next(): void {
    if (this.#state === "closed" || isHandleInFlight(this.#channel)) return;
    const handover = this.#waiting.shift();
    if (handover) this.#dispatch(handover);
  }
}
