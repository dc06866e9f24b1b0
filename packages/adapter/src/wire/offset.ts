/**
 * Offsets: places in the journal, as Socket.IO's clients keep them. Fixed-width ASCII, so that the hub can
 * write one over the placeholder in a packet that is encoded already. Runs in: primary and workers.
 *
 *     | epoch: 4 characters | sequence: 10 digits of base 36 |
 *
 * Each hub draws its epoch when it starts, so that an offset of an earlier hub is not mistaken for a place in
 * this one.
 */
import { randomBytes } from "node:crypto";

export const OFFSET_BYTES = 14;

const EPOCH_CHARS = 4;
const SEQUENCE_DIGITS = 10;
const RADIX = 36;
const PATTERN = /^[0-9A-Za-z_-]{4}[0-9a-z]{10}$/;

/** What a packet carries until the hub, or the worker itself, puts an offset in its place. */
export const PLACEHOLDER = `~${randomBytes(12)
  .toString("base64url")
  .slice(0, OFFSET_BYTES - 1)}`;

export class Offsets {
  readonly #epoch: string;

  constructor(epoch = randomBytes(3).toString("base64url")) {
    this.#epoch = epoch;
  }

  /** The offset of the packet with this sequence number. */
  text(sequence: number): string {
    return this.#epoch + sequence.toString(RADIX).padStart(SEQUENCE_DIGITS, "0");
  }

  /** The sequence number; undefined for what no packet of this hub ever carried in this form. */
  parse(text: string): number | undefined {
    if (!PATTERN.test(text) || !text.startsWith(this.#epoch)) return undefined;
    return Number.parseInt(text.slice(EPOCH_CHARS), RADIX);
  }
}

/** Whether two offsets come from one hub. */
export function sameHub(a: string, b: string): boolean {
  return a.slice(0, EPOCH_CHARS) === b.slice(0, EPOCH_CHARS);
}
