/**
 * The time of an emit, carried as the first characters of an event's second argument.
 * Runs in: workers and load generators of one machine, which share the monotonic clock.
 */
import { EVENT, numbered } from "./sequence.js";

export const STAMP_CHARS = 16;
const OFFSET = `2["${EVENT}","${numbered(0)}","`.length;

export function monotonicMicros(): number {
  return Math.floor(Number(process.hrtime.bigint()) / 1000);
}

/** The time of now, as text of a fixed length. */
export function stamp(): string {
  return String(monotonicMicros()).padStart(STAMP_CHARS, "0");
}

/** The time that the encoded event starting at `start` carries. */
export function stampOf(data: Uint8Array, start: number): number {
  let value = 0;
  for (let i = start + OFFSET; i < start + OFFSET + STAMP_CHARS; i++)
    value = value * 10 + (data[i] ?? 0) - 0x30;
  return value;
}
