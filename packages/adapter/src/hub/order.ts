/**
 * Who numbers recoverable packets, so that all clients get them in one order: the hub itself, or what joins several
 * hubs. Runs in: where the hub is.
 */
import { newEpoch } from "../wire/offset.js";

/**
 * A packet has its number, which is above all earlier ones. Its bytes are valid during the call.
 * @param sender who sent it
 */
export type OnNumbered<Sender> = (
  sender: Sender,
  buffer: Buffer,
  start: number,
  end: number,
  sequence: number,
) => void;

export interface Order<Sender> {
  /** Names this order in offsets: a number of another order is no place in this one. */
  readonly epoch: string;
  /**
   * Numbers the packet in `[start, end)`, whose bytes may change when the call has returned. `OnNumbered` follows,
   * once for each packet and in the order of the calls: within the call or later, for one or for many at once.
   */
  number(sender: Sender, buffer: Buffer, start: number, end: number): void;
  /** Nothing is numbered any more. */
  close(): void;
}

export type MakeOrder<Sender> = (onNumbered: OnNumbered<Sender>) => Order<Sender>;

/** The order of a single hub: a counter, which is always ready. */
export class HubOrder<Sender> implements Order<Sender> {
  readonly epoch = newEpoch();
  readonly #onNumbered: OnNumbered<Sender>;
  #last = 0;

  constructor(onNumbered: OnNumbered<Sender>) {
    this.#onNumbered = onNumbered;
  }

  number(sender: Sender, buffer: Buffer, start: number, end: number): void {
    this.#onNumbered(sender, buffer, start, end, ++this.#last);
  }

  close(): void {}
}
