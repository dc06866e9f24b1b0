/**
 * Lists of the names of objects' fields, as values have them: applications send objects with the same names
 * again and again, so a list that has been met lately is not read anew.
 * Owns: the lists met lately, some hundred short ones. Runs in: primary and workers.
 */
import { brokenMessage, type FieldReader } from "./field-reader.js";
import { MAX_SHORT_TEXT, Tag } from "./value-format.js";

export interface FieldNames {
  readonly names: readonly string[];
  /** Whether to assign each makes a field of it, whatever has been done to `Object.prototype`. */
  readonly areOrdinary: boolean;
}

interface Met {
  readonly bytes: Uint8Array;
  readonly names: FieldNames;
}

const MAX_BYTES = 256;
/** A power of two. */
const PLACES = 256;

const met: (Met | undefined)[] = new Array(PLACES).fill(undefined);

/** Reads u32 length, count and names. */
export function readNames(fields: FieldReader): FieldNames {
  const length = fields.u32();
  const end = fields.position + length;
  if (length > MAX_BYTES) return readAnew(fields, end);
  const place = fields.hash(length) & (PLACES - 1);
  const known = met[place];
  if (known?.bytes.length === length && fields.skipIfSame(known.bytes)) return known.names;
  const start = fields.position;
  const names = readAnew(fields, end);
  met[place] = { bytes: new Uint8Array(fields.since(start)), names };
  return names;
}

function readAnew(fields: FieldReader, end: number): FieldNames {
  const names: string[] = [];
  for (let left = fields.count(); left > 0; left--) names.push(readText(fields));
  if (fields.position !== end) throw brokenMessage("names of fields are cut");
  return { names, areOrdinary: names.every((name) => !(name in Object.prototype)) };
}

/** Reads a text with its tag. */
export function readText(fields: FieldReader): string {
  const tag = fields.u8();
  if (tag === Tag.latin1) return fields.latin1(fields.count());
  if (tag === Tag.utf16) return fields.utf16(fields.count());
  if (tag < Tag.shortText || tag > Tag.shortText + MAX_SHORT_TEXT) throw brokenMessage("a text is missing");
  return fields.latin1(tag - Tag.shortText);
}
