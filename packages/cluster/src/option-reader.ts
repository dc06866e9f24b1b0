/**
 * Reads one object of options, field by field, so that each option's name is written once.
 * Owns: the names that were read. Runs in: primary and workers.
 *
 * The other two packages have one with the same signature: a hundred lines are no package of their own.
 */
import { HoldfastError, textOf } from "./errors.js";

/** The greatest delay of a Node.js timer: longer ones would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export class OptionReader<T extends object> {
  /** As texts name it. */
  readonly #caller: string;
  readonly #input: T;
  readonly #read = new Set<string>();

  /** @param caller name of the function that takes the options; with brackets, if it is an option of that */
  constructor(caller: string, input: T) {
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      throw invalid(`${named(caller)} takes an object of options, not ${show(input)}.`);
    }
    this.#caller = named(caller);
    this.#input = input;
  }

  integer(name: keyof T & string, fallback: number, min: number, max: number): number {
    const isRight = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
    return this.value(name, fallback, isRight, `an integer from ${min} to ${max}`);
  }

  boolean(name: keyof T & string, fallback: boolean): boolean {
    return this.value(name, fallback, (value) => typeof value === "boolean", "true or false");
  }

  /** A string whose length is within the limits, in characters. With `undefined` as the fallback, it is optional. */
  string<F extends string | undefined>(
    name: keyof T & string,
    fallback: F,
    minLength = 0,
    maxLength = Number.POSITIVE_INFINITY,
  ): string | F {
    const isRight = (value: unknown): value is string | F =>
      value === fallback ||
      (typeof value === "string" && value.length >= minLength && value.length <= maxLength);
    const limits = maxLength < Number.POSITIVE_INFINITY ? ` of ${minLength} to ${maxLength} characters` : "";
    return this.value(name, fallback, isRight, `a string${limits}`);
  }

  oneOf<V extends string>(name: keyof T & string, fallback: V, allowed: readonly V[]): V {
    const isRight = (value: unknown): value is V => allowed.some((candidate) => candidate === value);
    return this.value(name, fallback, isRight, `one of ${allowed.map((word) => `"${word}"`).join(", ")}`);
  }

  /** With `undefined` as the fallback, the function is optional. */
  fn<F extends ((...args: never[]) => unknown) | undefined>(name: keyof T & string, fallback: F): F {
    const isRight = (value: unknown): value is F => typeof value === "function" || value === fallback;
    return this.value(name, fallback, isRight, "a function");
  }

  /**
   * An option of any other kind.
   * @param wanted what completes "must be …" when the value is not right
   */
  value<V>(name: keyof T & string, fallback: V, isRight: (value: unknown) => value is V, wanted: string): V {
    this.#read.add(name);
    const value: unknown = this.#input[name] ?? fallback;
    if (isRight(value)) return value;
    throw invalid(`The option "${name}" of ${this.#caller} must be ${wanted}, not ${show(value)}.`);
  }

  /** Refuses options that were not read, and freezes the result. */
  end<R extends object>(resolved: R): Readonly<R> {
    for (const name of Object.keys(this.#input)) {
      if (this.#read.has(name)) continue;
      throw invalid(`${this.#caller} has no option "${name}"; it knows ${[...this.#read].join(", ")}.`);
    }
    return Object.freeze(resolved);
  }
}

export function isPlainObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function named(caller: string): string {
  return caller.endsWith(")") ? caller : `${caller}()`;
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", message);
}

function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : textOf(value);
}
