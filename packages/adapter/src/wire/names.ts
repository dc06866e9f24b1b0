/**
 * Names of rooms as they travel. Socket.IO's types say that rooms are strings, and compare them as a `Set` does,
 * whatever they are: `7` and `"7"` are two rooms, half an emoji is one, and so is `undefined`. A name that has
 * come from another process is the same room as at its sender. Runs in: primary and workers.
 *
 * A name is a u32 and its bytes: the two highest bits of the u32 are its {@link NameKind}, the others the length.
 */

export const NameKind = {
  /** UTF-8. */
  text: 0,
  /** UTF-16, little-endian: text with half a surrogate pair in it, which UTF-8 cannot say. */
  utf16: 1,
  /** A number, as JavaScript writes it. */
  number: 2,
  /** `undefined`, `null`, `true`, `false`, or the digits of a bigint. */
  literal: 3,
} as const;

const KIND_SHIFT = 30;
const LENGTH_MASK = 2 ** KIND_SHIFT - 1;

/** The u32 in front of a name. */
export function nameHead(kind: number, bytes: number): number {
  return ((kind << KIND_SHIFT) | bytes) >>> 0;
}

export function nameKind(head: number): number {
  return head >>> KIND_SHIFT;
}

export function nameBytes(head: number): number {
  return head & LENGTH_MASK;
}

/** What a name stands for that is no string, by the text that was sent for it. */
export function nameValue(kind: number, text: string): unknown {
  if (kind === NameKind.number) return Number(text);
  return LITERALS.has(text) ? LITERALS.get(text) : BigInt(text);
}

const LITERALS = new Map<string, unknown>([
  ["undefined", undefined],
  ["null", null],
  ["true", true],
  ["false", false],
]);

/**
 * Whether other processes can have the room, too. Objects, functions and symbols are rooms by their identity,
 * which ends with the process: nobody else can be in them, and nobody is told of them.
 */
export function canTravel(room: unknown): boolean {
  const type = typeof room;
  return (
    type === "string" || room === null || (type !== "object" && type !== "function" && type !== "symbol")
  );
}

/** Whether a selection by these rooms finds nobody in other processes. Without rooms it is for everybody. */
export function staysHere(rooms: ReadonlySet<unknown>): boolean {
  if (rooms.size === 0) return false;
  for (const room of rooms) if (canTravel(room)) return false;
  return true;
}
