/**
 * Reads values, as `value-format.ts` says.
 * Owns: what has been read, to be referred to. Runs in: primary and workers.
 *
 * Bytes that no writer makes are refused, all with the same error. A count is believed only as far as there are
 * bytes for it, and depth costs no stack.
 */
import { brokenMessage, type FieldReader } from "./field-reader.js";
import { MAX_DEPTH, MAX_SHORT_TEXT, Tag } from "./value-format.js";
import {
  arrayBufferOf,
  bigintOf,
  define,
  errorOf,
  regexpOf,
  setFieldsOfError,
  viewOf,
} from "./value-instances.js";
import { type FieldNames, readNames, readText } from "./value-names.js";

type Fields = Record<string, unknown>;

/** A container whose items are being read. Used again for the next one at its depth. */
class Open {
  /** Where items go, unless into `object`. */
  items = NO_ITEMS;
  object = NO_FIELDS;
  /** Of `object`; undefined for items. */
  names: FieldNames | undefined;
  size = 0;
  /** The next item. */
  at = 0;
  /** Puts the items where they belong. */
  finish: (() => void) | undefined;
}

/** More bytes than these are not copied where they are most of the message. */
const LARGE_BYTES = 64 * 1024;
const NO_TEXTS: readonly string[] = [];
const NO_ITEMS: unknown[] = [];
const NO_FIELDS: Fields = {};

export class ValueReader {
  readonly #fields: FieldReader;
  readonly #texts: readonly string[];
  readonly #bytesInAll: number;
  readonly #objects: object[] = [];
  readonly #names: FieldNames[] = [];
  readonly #open: Open[] = [];
  #depth = 0;

  /**
   * @param fields read up to the values. Large buffers in them are not copied: the memory must not change
   * @param texts what was sent besides
   */
  constructor(fields: FieldReader, texts = NO_TEXTS) {
    this.#fields = fields;
    this.#texts = texts;
    this.#bytesInAll = fields.left;
  }

  /**
   * Reads one more value.
   * @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE`, and nothing else, whatever the bytes are
   */
  read(): unknown {
    const value = this.#begin();
    while (this.#depth > 0) this.#fill(this.#open[this.#depth - 1] as Open);
    return value;
  }

  /** Reads items of a container, up to the next container that has items. */
  #fill(top: Open): void {
    const depth = this.#depth;
    if (top.names) this.#fillObject(top, top.names);
    else this.#fillItems(top);
    if (this.#depth !== depth) return;
    this.#depth--;
    top.finish?.();
  }

  #fillItems(top: Open): void {
    const { items, size } = top;
    const depth = this.#depth;
    let { at } = top;
    for (; at < size && this.#depth === depth; at++) items.push(this.#begin());
    top.at = at;
  }

  #fillObject(top: Open, { names, areOrdinary }: FieldNames): void {
    const { object, size } = top;
    const depth = this.#depth;
    let { at } = top;
    for (; at < size && this.#depth === depth; at++) {
      const name = names[at] as string;
      if (areOrdinary) object[name] = this.#begin();
      else define(object, name, this.#begin());
    }
    top.at = at;
  }

  /** Reads a value; of a container what goes before its items, and opens it. */
  #begin(): unknown {
    const fields = this.#fields;
    const tag = fields.u8();
    if (tag < Tag.shortText) return tag;
    if (tag === Tag.sharedText) return this.#sharedText();
    if (tag <= Tag.shortText + MAX_SHORT_TEXT) return fields.latin1(tag - Tag.shortText);
    if (isContainer(tag)) return this.#container(tag, true);
    switch (tag) {
      case Tag.null:
        return null;
      case Tag.undefined:
        return undefined;
      case Tag.false:
        return false;
      case Tag.true:
        return true;
      case Tag.integer:
        return fields.i32();
      case Tag.number:
        return fields.f64();
      case Tag.bigint:
        return fields.i64();
      case Tag.longBigint:
        return bigintOf(fields.u8() === 1, fields.bytes(fields.count()));
      case Tag.latin1:
        return fields.latin1(fields.count());
      case Tag.utf16:
        return fields.utf16(fields.count());
      case Tag.same:
        return this.#same();
      case Tag.unnumbered:
        return this.#container(fields.u8(), false);
      default:
        return this.#instance(tag);
    }
  }

  #sharedText(): string {
    const text = this.#texts[this.#fields.count()];
    if (text === undefined) throw brokenMessage("a text is not there");
    return text;
  }

  #same(): object {
    const object = this.#objects[this.#fields.count()];
    if (!object) throw brokenMessage("an object is not there");
    return object;
  }

  #container(tag: number, isNumbered: boolean): object {
    if (isObject(tag)) {
      const object: Fields = {};
      if (isNumbered) this.#objects.push(object);
      this.#enterObject(tag, object);
      return object;
    }
    if (!isContainer(tag)) throw brokenMessage("a list or an object is not there");
    const list: unknown[] = [];
    if (isNumbered) this.#objects.push(list);
    this.#enter(tag === Tag.list ? this.#fields.count() : tag - Tag.shortList, list);
    return list;
  }

  #enterObject(tag: number, object: Fields, finish?: () => void): void {
    const names = tag === Tag.object ? this.#newNames() : this.#known(tag - Tag.knownObject);
    this.#enter(names.names.length, NO_ITEMS, finish, object, names);
  }

  #newNames(): FieldNames {
    const names = readNames(this.#fields);
    this.#names.push(names);
    return names;
  }

  #known(back: number): FieldNames {
    const names = this.#names[this.#names.length - 1 - back];
    if (!names) throw brokenMessage("names of fields are not there");
    return names;
  }

  #enter(size: number, items: unknown[], finish?: () => void, object = NO_FIELDS, names?: FieldNames): void {
    if (size === 0) return finish?.();
    if (size > this.#fields.left) throw brokenMessage("it has more items than bytes");
    if (this.#depth === MAX_DEPTH) throw brokenMessage("it is nested too deep");
    this.#open[this.#depth] ??= new Open();
    const open = this.#open[this.#depth++] as Open;
    open.items = items;
    open.object = object;
    open.names = names;
    open.size = size;
    open.at = 0;
    open.finish = finish;
  }

  #instance(tag: number): object {
    const fields = this.#fields;
    switch (tag) {
      case Tag.map:
        return this.#map(fields.count());
      case Tag.set:
        return this.#set(fields.count());
      case Tag.date:
        return this.#number(new Date(fields.f64()));
      case Tag.regexp:
        return this.#number(regexpOf(readText(fields), readText(fields)));
      case Tag.error:
        return this.#error();
      case Tag.arrayBuffer:
        return this.#number(arrayBufferOf(fields.bytes(fields.count())));
      case Tag.buffer:
        return this.#number(this.#bufferOf(fields.bytes(fields.count())));
      case Tag.view:
        return this.#number(viewOf(fields.u8(), fields.bytes(fields.count())));
      default:
        throw brokenMessage(`no value begins with ${tag}`);
    }
  }

  #number<O extends object>(object: O): O {
    this.#objects.push(object);
    return object;
  }

  #map(size: number): object {
    const map = this.#number(new Map<unknown, unknown>());
    const entries: unknown[] = [];
    this.#enter(2 * size, entries, () => {
      for (let i = 0; i < entries.length; i += 2) map.set(entries[i], entries[i + 1]);
    });
    return map;
  }

  #set(size: number): object {
    const set = this.#number(new Set<unknown>());
    const items: unknown[] = [];
    this.#enter(size, items, () => {
      for (const item of items) set.add(item);
    });
    return set;
  }

  #error(): object {
    const error = this.#number(errorOf(this.#fields.u8()));
    const tag = this.#fields.u8();
    if (!isObject(tag)) throw brokenMessage("an error has no fields");
    const fields: Fields = Object.create(null);
    this.#enterObject(tag, fields, () => setFieldsOfError(error, fields));
    return error;
  }

  #bufferOf(bytes: Buffer): Buffer {
    const isMost = bytes.length >= LARGE_BYTES && 2 * bytes.length >= this.#bytesInAll;
    return isMost ? bytes : Buffer.from(bytes);
  }
}

function isObject(tag: number): boolean {
  return tag === Tag.object || (tag >= Tag.knownObject && tag < Tag.shortList);
}

function isContainer(tag: number): boolean {
  return tag >= Tag.knownObject || tag === Tag.list || tag === Tag.object;
}
