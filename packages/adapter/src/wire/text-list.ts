/**
 * Texts that the values of a message share: each goes once, and all as one list in JSON, since a call out of
 * JavaScript for each would be most of what it costs to read them. JSON is exact: it escapes half surrogate pairs.
 * Owns: the texts. Runs in: primary and workers.
 */
import { brokenMessage } from "./field-reader.js";

/** An escaped character. */
const MAX_CHAR_BYTES = 6;
/** The brackets of the list, or quotes and comma of a text. */
const PUNCTUATION_BYTES = 3;
/** A field with a new text for so many objects in a row has one for each. */
const MAX_MISSES = 8;

/** What the last object had in a field. */
export interface FieldText {
  text: string;
  number: number;
  misses: number;
}

export class TextList {
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();
  #size = 0;
  /** What the list takes at most. */
  #mostBytes = PUNCTUATION_BYTES;

  get length(): number {
    return this.#texts.length;
  }

  /** About how many bytes the list takes. */
  get size(): number {
    return this.#size;
  }

  /** Whether the list takes so many bytes, or less. */
  fitsIn(bytes: number): boolean {
    if (this.#mostBytes > bytes) this.#mostBytes = this.encode().length;
    return this.#mostBytes <= bytes;
  }

  /** The number of a text, which may have come before. */
  numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#add(text);
    this.#numbers.set(text, number);
    return number;
  }

  /**
   * The number of a text in a field. Often it is what the object before had there: to compare costs less than
   * to look it up. Or it always is another one, as ids are: then it is not looked up.
   * @param last of the object's fields
   */
  numberInField(text: string, last: FieldText[], field: number): number {
    const before = last[field];
    if (!before) {
      const number = this.numberOf(text);
      last[field] = { text, number, misses: 0 };
      return number;
    }
    if (before.text === text) return before.number;
    if (before.misses === MAX_MISSES) return this.#add(text);
    const { length } = this.#texts;
    before.text = text;
    before.number = this.numberOf(text);
    before.misses = before.number < length ? 0 : before.misses + 1;
    return before.number;
  }

  /** Forgets all but the first `length` texts. */
  truncate(length: number): void {
    for (const text of this.#texts.splice(length)) {
      this.#size -= text.length + PUNCTUATION_BYTES;
      if ((this.#numbers.get(text) ?? 0) >= length) this.#numbers.delete(text);
    }
  }

  encode(): Buffer {
    return Buffer.from(JSON.stringify(this.#texts));
  }

  #add(text: string): number {
    this.#size += text.length + PUNCTUATION_BYTES;
    this.#mostBytes += text.length * MAX_CHAR_BYTES + PUNCTUATION_BYTES;
    return this.#texts.push(text) - 1;
  }
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function readTexts(bytes: Buffer): readonly string[] {
  const texts = parse(bytes.toString());
  if (Array.isArray(texts) && texts.every((text) => typeof text === "string")) return texts;
  throw brokenMessage("what should be a list of texts is none");
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
