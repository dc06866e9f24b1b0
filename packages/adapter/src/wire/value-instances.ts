/**
 * Objects of the language's own classes, taken apart and put together again. What an object is, the engine is
 * asked, never the object. Runs in: primary and workers.
 */
import { types } from "node:util";
import { messageOf } from "../errors.js";
import { brokenMessage } from "./field-reader.js";
import { ERROR_CLASSES, HIDDEN_FIELDS, VIEW_CLASSES } from "./value-format.js";

type Fields = Record<string, unknown>;
type ViewConstructor = new (buffer: ArrayBuffer) => object;

const nameOfView = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get as (this: object) => string | undefined;

export function isPlain(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

/** Place in {@link VIEW_CLASSES}. */
export function classOfView(view: object): number {
  const name = nameOfView.call(view) ?? "DataView";
  const place = (VIEW_CLASSES as readonly string[]).indexOf(name);
  if (place === -1) throw new TypeError(`a ${name} has no encoded form`);
  return place;
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function viewOf(place: number, bytes: Buffer): object {
  const name = VIEW_CLASSES[place];
  // Float16Array came with Node.js 24.
  const View = name && (globalThis as unknown as Record<string, ViewConstructor | undefined>)[name];
  if (!View) throw brokenMessage("a typed array has no class");
  return orBroken(() => new View(arrayBufferOf(bytes)));
}

export function arrayBufferOf(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

/** Key, value, key, value … */
export function entriesOf(map: ReadonlyMap<unknown, unknown>): unknown[] {
  const entries: unknown[] = [];
  for (const [key, value] of Map.prototype.entries.call(map)) entries.push(key, value);
  return entries;
}

/** What is in `Object(primitive)`. */
export function unboxed(object: object): unknown {
  if (types.isNumberObject(object)) return Number.prototype.valueOf.call(object);
  if (types.isStringObject(object)) return String.prototype.valueOf.call(object);
  if (types.isBooleanObject(object)) return Boolean.prototype.valueOf.call(object);
  if (types.isBigIntObject(object)) return BigInt.prototype.valueOf.call(object);
  return Symbol.prototype.valueOf.call(object);
}

/** Whether an object of a class of the application says itself what is sent of it. */
export function hasToJson(object: object): object is { toJSON(): unknown } {
  return typeof (object as { toJSON?: unknown }).toJSON === "function";
}

export function isError(object: object): object is Error {
  // To the engine, a DOMException is none.
  return types.isNativeError(object) || object instanceof Error;
}

/** Place in {@link ERROR_CLASSES}. */
export function classOfError(error: Error): number {
  const place = ERROR_CLASSES.findLastIndex((each) => error instanceof each);
  return Math.max(0, place);
}

/** Its name, unless its class says it, message, stack and cause, and what the application has set. */
export function fieldsOfError(error: Error, place: number): Fields {
  const fields: Fields = Object.create(null);
  const { name, message, stack } = error;
  if (name !== ERROR_CLASSES[place]?.prototype.name) fields.name = name;
  fields.message = message;
  fields.stack = stack;
  for (const field of Object.getOwnPropertyNames(error)) {
    if (field in fields || field === "name") continue;
    const isWanted = HIDDEN_FIELDS.has(field) || Object.prototype.propertyIsEnumerable.call(error, field);
    if (isWanted) fields[field] = (error as unknown as Fields)[field];
  }
  return fields;
}

/** An error without fields. @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function errorOf(place: number): Error {
  const ErrorClass = ERROR_CLASSES[place] as ErrorConstructor | undefined;
  if (!ErrorClass) throw brokenMessage("an error has no class");
  return Object.is(ErrorClass, AggregateError) ? new AggregateError([]) : new ErrorClass();
}

export function setFieldsOfError(error: Error, fields: Fields): void {
  for (const name of Object.keys(fields)) define(error, name, fields[name], !HIDDEN_FIELDS.has(name));
}

/** Bytes of the magnitude, the highest first. */
export function magnitudeOf(value: bigint): Buffer {
  const digits = (value < 0n ? -value : value).toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function bigintOf(isNegative: boolean, magnitude: Buffer): bigint {
  const value = orBroken(() => BigInt(`0x${magnitude.toString("hex")}`));
  return isNegative ? -value : value;
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function regexpOf(source: string, flags: string): RegExp {
  return orBroken(() => new RegExp(source, flags));
}

/** Makes a field, where an assignment would do something else. */
export function define(object: object, name: string, value: unknown, enumerable = true): void {
  Object.defineProperty(object, name, { configurable: true, writable: true, enumerable, value });
}

function orBroken<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw brokenMessage(messageOf(error));
  }
}
