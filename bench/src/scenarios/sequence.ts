/**
 * Numbered packets: how emitters write the number, and how receivers find and check it.
 * The number is the first argument of every event, ten digits, so its place in the encoded packet is fixed.
 * Runs in: workers and clients.
 */

export const EVENT = "m";
const DIGITS = 10;
/** `2["m","` and `51-["m","`: an event of the main namespace without and with one attachment. */
const TEXT_EVENT = { type: 0x32, offset: 7 } as const;
const BINARY_EVENT = { type: 0x35, offset: 9 } as const;

export function numbered(sequence: number): string {
  return String(sequence).padStart(DIGITS, "0");
}

/** The number of an encoded event that starts at `start`; -1 for anything else (attachments too). */
export function sequenceOf(data: string | Uint8Array, start = 0): number {
  const at = (i: number) => (typeof data === "string" ? data.charCodeAt(i) : (data[i] ?? 0));
  const type = at(start);
  const offset =
    type === TEXT_EVENT.type ? TEXT_EVENT.offset : type === BINARY_EVENT.type ? BINARY_EVENT.offset : -1;
  if (offset < 0) return -1;
  let sequence = 0;
  for (let i = start + offset; i < start + offset + DIGITS; i++) {
    const digit = at(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    sequence = sequence * 10 + digit;
  }
  return sequence;
}

/** Checks that numbers arrive one by one, in order, each once: `first`, `first + step`, … */
export class SequenceCheck {
  count = 0;
  last: number;
  /** Numbers that were not the next one: something was lost, doubled or reordered before them. */
  wrong = 0;
  readonly #step: number;

  constructor(first = 1, step = 1) {
    this.last = first - step;
    this.#step = step;
  }

  add(sequence: number): void {
    if (sequence !== this.last + this.#step) this.wrong++;
    this.last = sequence;
    this.count++;
  }
}
