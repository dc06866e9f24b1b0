/** What events carry besides their number. Runs in: the bench, workers and the raw star. */
import { EVENT, numbered } from "./sequence.js";

export interface Payload {
  readonly kind: "text" | "json" | "buffer";
  /** Of all arguments together, about. */
  readonly bytes: number;
}

const DIGITS = numbered(0).length;

/** The second argument of every event. */
export function bodyOf({ kind, bytes }: Payload): unknown {
  if (kind === "buffer") return Buffer.alloc(bytes, 0x61);
  if (kind === "text") return "x".repeat(bytes - DIGITS);
  const records: object[] = [];
  while (JSON.stringify(records).length < bytes - DIGITS) {
    const id = records.length;
    records.push({
      id,
      name: `player ${id}`,
      x: id * 1.5,
      y: -id / 4,
      alive: id % 3 !== 0,
      tags: ["a", "b"],
    });
  }
  return records;
}

/** Length of the encoded packet in characters: the same for every number. */
export function encodedLength({ kind, bytes }: Payload): number {
  const body = kind === "buffer" ? { _placeholder: true, num: 0 } : bodyOf({ kind, bytes });
  const prefix = kind === "buffer" ? "51-" : "2";
  return prefix.length + JSON.stringify([EVENT, numbered(0), body]).length;
}
