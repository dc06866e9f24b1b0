/**
 * How values are written: the numbers, and the limits that both ends share. Runs in: primary and workers.
 *
 * A value is a tag and what the tag says. Counts are unsigned LEB128, at most 32 bits. Lists, objects and all
 * else that can be referred to are numbered in the order in which they begin; {@link Tag}.same names one of
 * them, so that what was one object is one again, and cycles end.
 *
 *     0x00–0x7f   the integer
 *     0x80–0xbf   a text of 0–63 characters, a byte each
 *     0xc0–0xdf   a tag of the table
 *     0xe0–0xef   an object with the names that were written last but 0–15
 *     0xf0–0xff   a list of 0–15 items
 */

/**
 * Most containers in one another. More than any real value has, and the same wherever a value goes, which a
 * process's stack is not.
 */
export const MAX_DEPTH = 10_000;

export const Tag = {
  /** 0x80 + number of characters. */
  shortText: 0x80,
  null: 0xc0,
  undefined: 0xc1,
  false: 0xc2,
  true: 0xc3,
  /** i32. */
  integer: 0xc4,
  /** f64. Every number that is no integer of 32 bits, and -0. */
  number: 0xc5,
  /** i64. */
  bigint: 0xc6,
  /** u8 1 for negative; count, and as many bytes of the magnitude, the highest first. */
  longBigint: 0xc7,
  /** Count, and as many characters, a byte each: U+0000 to U+00FF. */
  latin1: 0xc8,
  /** Count, and as many code units, two bytes each. Any text, half a surrogate pair too. */
  utf16: 0xc9,
  /** Count: the number of a text that is sent besides. */
  sharedText: 0xca,
  /** Count: the number of an object that has begun before. */
  same: 0xcb,
  /** Nothing else refers to the list or object that follows: it gets no number. */
  unnumbered: 0xcc,
  /** Count, items. */
  list: 0xcd,
  /** u32 bytes of what comes next: count, and the names, each a text; then the values. */
  object: 0xce,
  /** Count of entries, then key and value of each. */
  map: 0xcf,
  /** Count, items. */
  set: 0xd0,
  /** f64: milliseconds, NaN for an invalid date. */
  date: 0xd1,
  /** Two texts: source and flags. */
  regexp: 0xd2,
  /** u8: place in {@link ERROR_CLASSES}. Its fields follow, as an object without a number. */
  error: 0xd3,
  /** Count, bytes. */
  arrayBuffer: 0xd4,
  /** Count, bytes: a `Buffer`. */
  buffer: 0xd5,
  /** u8: place in {@link VIEW_CLASSES}; count, bytes. */
  view: 0xd6,
  /** 0xe0 + how many lists of names have been written since. */
  knownObject: 0xe0,
  /** 0xf0 + number of items. */
  shortList: 0xf0,
} as const;

export const MAX_SHORT_TEXT = 63;
export const MAX_SHORT_LIST = 15;
/** An object can refer to as many of the last lists of names. */
export const KNOWN_NAMES = 16;

export const ERROR_CLASSES = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
] as const;

/** Fields of an error that are not listed among its keys. */
export const HIDDEN_FIELDS: ReadonlySet<string> = new Set(["name", "message", "stack", "cause", "errors"]);

export const VIEW_CLASSES = [
  "DataView",
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
  "Float16Array",
] as const;
