/**
 * Writes values, as `value-format.ts` says.
 * Owns: what has been written, to refer to. Runs in: primary and workers.
 *
 * It goes down into a value with a stack of its own: how deep it gets does not depend on who calls. Of a plain
 * object it takes the fields, and asks for none of them by name: clients choose the names.
 *
 * Longer than other files: what is done for each kind of value stands together, and is hot.
 */
import { types } from "node:util";
import { HoldfastError, messageOf } from "../errors.js";
import { ByteWriter } from "./byte-writer.js";
import type { FieldText, TextList } from "./text-list.js";
import { KNOWN_NAMES, MAX_DEPTH, MAX_SHORT_LIST, Tag } from "./value-format.js";
import {
  classOfError,
  classOfView,
  entriesOf,
  fieldsOfError,
  hasToJson,
  isError,
  isPlain,
  unboxed,
} from "./value-instances.js";
import { ObjectNumbers } from "./value-numbers.js";

type Fields = Readonly<Record<string, unknown>>;

/** What objects have in common that have fields of the same names. */
interface Names {
  readonly names: readonly string[];
  readonly last: FieldText[];
}

/** A container whose items are being written. Used again for the next one at its depth. */
class Open {
  list = NO_LIST;
  object = NO_FIELDS;
  /** Of `object`; undefined for a list. */
  names: Names | undefined;
  size = 0;
  isUnnumbered = false;
  /** The next item. */
  at = 0;
}

export interface SharedTexts {
  /** Where texts go, to be sent besides. */
  readonly texts: TextList;
  /**
   * Nothing else refers to the values that are written, plain objects, nor to lists and plain objects in fields
   * of these names in them, and in these: they are written without a look whether they have come before.
   */
  readonly unnumbered: ReadonlySet<string>;
}

const NO_LIST: readonly unknown[] = [];
const NO_FIELDS: Fields = {};

export class ValueWriter {
  readonly #maxBytes: number;
  readonly #shared: SharedTexts | undefined;
  readonly #out: ByteWriter;
  readonly #objects = new ObjectNumbers();
  readonly #names: Names[] = [];
  readonly #open: Open[] = [];
  #depth = 0;

  /** @param maxBytes what all values may take, with the shared texts */
  constructor(maxBytes: number, shared?: SharedTexts) {
    this.#maxBytes = maxBytes;
    this.#shared = shared;
    this.#out = new ByteWriter(maxBytes);
  }

  /** How many bytes have been written. */
  get length(): number {
    return this.#out.length;
  }

  /** Ends the writer. @returns what has been written */
  end(): Buffer {
    return this.#out.end();
  }

  /**
   * Writes one more value, all of it or nothing.
   * @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE`, `HOLDFAST_ERR_MESSAGE_TOO_LARGE`
   */
  write(value: unknown): void {
    const { length } = this.#out;
    const [objects, names, texts] = [this.#objects.length, this.#names.length, this.#shared?.texts.length];
    try {
      this.#begin(value, this.#shared !== undefined);
      while (this.#depth > 0) this.#fill(this.#open[this.#depth - 1] as Open);
      if (!this.#fits()) throw this.#out.tooLarge();
    } catch (cause) {
      this.#depth = 0;
      this.#out.truncate(length);
      this.#objects.truncate(objects);
      this.#names.length = names;
      this.#shared?.texts.truncate(texts ?? 0);
      for (const { last } of this.#names.slice(-KNOWN_NAMES)) last.length = 0;
      throw asRefusal(cause);
    }
  }

  #fits(): boolean {
    const left = this.#maxBytes - this.#out.length;
    return left >= 0 && (this.#shared?.texts.fitsIn(left) ?? true);
  }

  /** Writes items of a container, up to the next container that has items. */
  #fill(top: Open): void {
    const depth = this.#depth;
    if (top.names) this.#fillObject(top, top.names);
    else this.#fillList(top);
    if (this.#depth === depth) this.#depth--;
  }

  #fillList(top: Open): void {
    const { list, size } = top;
    const depth = this.#depth;
    let { at } = top;
    for (; at < size && this.#depth === depth; at++) this.#begin(list[at], false);
    top.at = at;
  }

  #fillObject(top: Open, { names, last }: Names): void {
    const { object, size, isUnnumbered } = top;
    const shared = this.#shared;
    const depth = this.#depth;
    let { at } = top;
    for (; at < size && this.#depth === depth; at++) {
      const name = names[at] as string;
      const value = object[name];
      if (!shared) this.#begin(value, false);
      else if (typeof value === "string") this.#sharedText(shared.texts.numberInField(value, last, at));
      else this.#begin(value, isUnnumbered && shared.unnumbered.has(name));
    }
    top.at = at;
  }

  /** Writes a value; of a container what goes before its items, and opens it. */
  #begin(value: unknown, isUnnumbered: boolean): void {
    const out = this.#out;
    out.room();
    switch (typeof value) {
      case "string":
        if (this.#shared) this.#sharedText(this.#shared.texts.numberOf(value));
        else out.text(value);
        return;
      case "number":
        return out.number(value);
      case "boolean":
        return out.u8(value ? Tag.true : Tag.false);
      case "object":
        if (value === null) return out.u8(Tag.null);
        return this.#object(value, isUnnumbered);
      case "bigint":
        return out.bigint(value);
      case "symbol":
        throw new TypeError("a symbol has no encoded form");
      default:
        // A function stays behind.
        return out.u8(Tag.undefined);
    }
  }

  #sharedText(number: number): void {
    const out = this.#out;
    out.room();
    out.u8(Tag.sharedText);
    out.count(number);
  }

  #object(object: object, isUnnumbered: boolean): void {
    const isList = Array.isArray(object);
    const isSimple = isList || isPlain(object);
    if (isUnnumbered && isSimple) {
      this.#out.u8(Tag.unnumbered);
    } else {
      const number = this.#objects.numberOf(object);
      if (number !== undefined) return this.#same(number);
    }
    if (isList) this.#list(object, isUnnumbered);
    else if (isSimple) this.#fields(object as Fields, isUnnumbered);
    else this.#instance(object);
  }

  #same(number: number): void {
    this.#out.u8(Tag.same);
    this.#out.count(number);
  }

  #list(list: readonly unknown[], isUnnumbered: boolean): void {
    const out = this.#out;
    const { length } = list;
    // A proxy may say anything.
    if (length >>> 0 !== length) throw new TypeError("a list has no proper length");
    if (length <= MAX_SHORT_LIST) {
      out.u8(Tag.shortList + length);
    } else {
      out.u8(Tag.list);
      out.count(length);
    }
    this.#enter(length, list, NO_FIELDS, undefined, isUnnumbered);
  }

  #fields(object: Fields, isUnnumbered = false): void {
    const names = Object.keys(object);
    const known = this.#known(names) ?? this.#newNames(names);
    this.#enter(names.length, NO_LIST, object, known, isUnnumbered);
  }

  #known(names: readonly string[]): Names | undefined {
    const all = this.#names;
    const newest = all.length - 1;
    for (let back = 0; back < KNOWN_NAMES && back <= newest; back++) {
      const known = all[newest - back] as Names;
      if (!areSame(known.names, names)) continue;
      this.#out.u8(Tag.knownObject + back);
      return known;
    }
    return undefined;
  }

  #newNames(names: readonly string[]): Names {
    const out = this.#out;
    out.u8(Tag.object);
    const at = out.length;
    out.i32(0);
    out.count(names.length);
    for (const name of names) out.text(name);
    out.put32(at, out.length - at - 4);
    const known: Names = { names, last: [] };
    this.#names.push(known);
    return known;
  }

  #instance(object: object): void {
    const out = this.#out;
    if (ArrayBuffer.isView(object)) {
      this.#view(object);
    } else if (types.isMap(object)) {
      this.#items(Tag.map, entriesOf(object), 2);
    } else if (types.isSet(object)) {
      this.#items(Tag.set, [...Set.prototype.values.call(object)], 1);
    } else if (types.isDate(object)) {
      out.u8(Tag.date);
      out.f64(Date.prototype.getTime.call(object));
    } else if (types.isRegExp(object)) {
      out.u8(Tag.regexp);
      out.text(String(object.source));
      out.text(String(object.flags));
    } else if (types.isAnyArrayBuffer(object)) {
      out.u8(Tag.arrayBuffer);
      out.raw(new Uint8Array(object));
    } else if (isError(object)) {
      const place = classOfError(object);
      out.u8(Tag.error);
      out.u8(place);
      this.#fields(fieldsOfError(object, place));
    } else if (types.isBoxedPrimitive(object)) {
      this.#objects.truncate(this.#objects.length - 1);
      this.#begin(unboxed(object), false);
    } else if (hasToJson(object)) {
      this.#objects.truncate(this.#objects.length - 1);
      this.#replacement(object.toJSON());
    } else {
      this.#fields(object as Fields);
    }
  }

  #view(view: ArrayBufferView): void {
    const { buffer, byteOffset, byteLength } = view;
    if (Buffer.isBuffer(view)) {
      this.#out.u8(Tag.buffer);
    } else {
      this.#out.u8(Tag.view);
      this.#out.u8(classOfView(view));
    }
    this.#out.raw(new Uint8Array(buffer, byteOffset, byteLength));
  }

  /** As in JSON, `toJSON()` of what `toJSON()` has returned is not called. */
  #replacement(value: unknown): void {
    const isFinal = typeof value !== "object" || value === null || isPlain(value) || !hasToJson(value);
    if (isFinal || types.isDate(value)) return this.#begin(value, false);
    const number = this.#objects.numberOf(value);
    if (number === undefined) this.#fields(value as unknown as Fields);
    else this.#same(number);
  }

  #items(tag: number, items: readonly unknown[], each: number): void {
    this.#out.u8(tag);
    this.#out.count(items.length / each);
    this.#enter(items.length, items, NO_FIELDS);
  }

  #enter(size: number, list: readonly unknown[], object: Fields, names?: Names, isUnnumbered = false): void {
    if (size === 0) return;
    // Each item takes a byte at least; a list with nothing in it may be as long as it likes.
    if (size > this.#maxBytes - this.#out.length) throw this.#out.tooLarge();
    if (this.#depth === MAX_DEPTH) throw new RangeError(`it is nested more than ${MAX_DEPTH} deep`);
    this.#open[this.#depth] ??= new Open();
    const open = this.#open[this.#depth++] as Open;
    open.list = list;
    open.object = object;
    open.names = names;
    open.size = size;
    open.isUnnumbered = isUnnumbered;
    open.at = 0;
  }
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  const { length } = some;
  if (length !== others.length) return false;
  for (let i = 0; i < length; i++) if (some[i] !== others[i]) return false;
  return true;
}

function asRefusal(cause: unknown): HoldfastError {
  // A getter of the application may have thrown one of ours, too.
  if (cause instanceof HoldfastError) return cause;
  return new HoldfastError(
    "HOLDFAST_ERR_UNSERIALIZABLE",
    `The value cannot be sent to another process: ${messageOf(cause)}. Send plain data instead.`,
    { cause },
  );
}
