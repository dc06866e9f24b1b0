/**
 * What can be sent of a value that cannot be sent as a whole: a bad field costs itself and no other.
 * Runs in: workers.
 */
import { HoldfastError, messageOf } from "../errors.js";
import { packValue } from "../wire/values.js";

/** Clients choose names of fields: as many, as long and as odd as they like. */
const MAX_NAME_CHARS = 100;
const MAX_TOLD = 10;
const UNPRINTABLE = /[^ -~]/g;

export interface Sendable {
  /** The value, or an object with those of its fields that can be sent. */
  readonly value: unknown;
  /** Why the others cannot, by name; `""` stands for the value itself. */
  readonly refused: ReadonlyMap<string, HoldfastError>;
}

/**
 * Never throws.
 * @param read gives the value
 * @param maxBytes how much it may take
 */
export function sendableOf(read: () => unknown, maxBytes: number | undefined): Sendable {
  const refused = new Map<string, HoldfastError>();
  const attempt = <T>(name: string, run: () => T): T | undefined => {
    try {
      return run();
    } catch (error) {
      refused.set(name, asRefusal(error));
      return undefined;
    }
  };
  const whole = attempt("", () => checked(read(), maxBytes));
  const cause = refused.get("");
  if (!cause) return { value: whole, refused };
  refused.clear();
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, readField] of attempt("", () => fieldsOf(read())) ?? []) {
    attempt(name, () => {
      fields[name] = checked(readField(), maxBytes);
    });
  }
  // All its fields can be sent, and it cannot.
  if (refused.size === 0) refused.set("", cause);
  return { value: fields, refused };
}

/** What has been told of a socket: each thing once, and not too many. */
export class ToldOnce {
  readonly #told = new Set<string>();

  /** Whether to tell it now. */
  isNew(what: string): boolean {
    if (this.#told.size === MAX_TOLD || this.#told.has(what)) return false;
    this.#told.add(what);
    return true;
  }
}

/** What `of`'s field is called in messages. */
export function nameField(of: string, field: string): string {
  if (field === "") return of;
  const name = field.length > MAX_NAME_CHARS ? `${field.slice(0, MAX_NAME_CHARS)}...` : field;
  return `${of}.${name.replace(UNPRINTABLE, escaped)}`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function fieldsOf(value: unknown): [name: string, read: () => unknown][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.keys(value).map((name) => [name, () => (value as Record<string, unknown>)[name]]);
}

function checked(value: unknown, maxBytes: number | undefined): unknown {
  packValue(value, maxBytes);
  return value;
}

function asRefusal(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError("HOLDFAST_ERR_UNSERIALIZABLE", messageOf(error), { cause: error });
}
