/**
 * Checks options once, at the edge, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: primary and workers.
 */

import { HoldfastError } from "./errors.js";
import type { ConnectionInfo, LoadBalancingMethod, PrimaryOptions, WorkerOptions } from "./options.js";
import { createTrust, type ForwardedHeader, type IsTrusted } from "./primary/client-address.js";

export interface ResolvedPrimaryOptions {
  readonly loadBalancingMethod: LoadBalancingMethod;
  readonly name: string;
  readonly headTimeoutMs: number;
  readonly maxHeadBytes: number;
  readonly maxPendingConnections: number;
  readonly workerTimeoutMs: number;
  readonly proxyProtocol: boolean;
  /** `undefined` if no proxy is trusted. */
  readonly isTrusted: IsTrusted | undefined;
  readonly forwardedHeader: ForwardedHeader;
  readonly ipv6PrefixLength: number;
  readonly selectWorker: ((info: ConnectionInfo) => number | undefined) | undefined;
}

export interface ResolvedWorkerOptions {
  readonly name: string;
}

/** The greatest delay of a Node.js timer. */
const MAX_TIMER_MS = 2_147_483_647;

const HEADERS: readonly ForwardedHeader[] = ["x-forwarded-for", "forwarded"];
const METHODS: readonly LoadBalancingMethod[] = ["least-connection", "round-robin", "random", "hash"];

export function resolvePrimaryOptions(input: PrimaryOptions = {}): ResolvedPrimaryOptions {
  const options = new OptionReader("setupPrimary()", input);
  const resolved: ResolvedPrimaryOptions = {
    loadBalancingMethod: options.oneOf("loadBalancingMethod", METHODS, "least-connection"),
    name: options.name("name"),
    headTimeoutMs: options.integer("headTimeout", { fallback: 10_000, min: 1, max: MAX_TIMER_MS }),
    maxHeadBytes: options.integer("maxHeadSize", { fallback: 16_384, min: 256, max: 65_536 }),
    maxPendingConnections: options.integer("maxPendingConnections", {
      fallback: 20_000,
      min: 1,
      max: 1_000_000,
    }),
    workerTimeoutMs: options.integer("workerTimeout", { fallback: 5_000, min: 0, max: MAX_TIMER_MS }),
    proxyProtocol: options.boolean("proxyProtocol", false),
    isTrusted: options.strings("trustedProxies", createTrust),
    forwardedHeader: options.oneOf("forwardedHeader", HEADERS, "x-forwarded-for"),
    ipv6PrefixLength: options.integer("ipv6PrefixLength", { fallback: 64, min: 1, max: 128 }),
    selectWorker: options.function("selectWorker") as PrimaryOptions["selectWorker"],
  };
  options.refuseTheRest();
  return Object.freeze(resolved);
}

export function resolveWorkerOptions(input: WorkerOptions = {}): ResolvedWorkerOptions {
  const options = new OptionReader("setupWorker()", input);
  const resolved: ResolvedWorkerOptions = { name: options.name("name") };
  options.refuseTheRest();
  return Object.freeze(resolved);
}

/** Reads one object of options; each option's name is written once. */
class OptionReader<T extends object> {
  readonly #where: string;
  readonly #input: T;
  readonly #known = new Set<string>();

  constructor(where: string, input: T) {
    this.#where = where;
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      throw new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", `The options of ${where} must be an object.`);
    }
    this.#input = input;
  }

  oneOf<V extends string>(key: keyof T & string, allowed: readonly V[], fallback: V): V {
    const value = this.#take(key) ?? fallback;
    if (!allowed.includes(value as V)) this.#refuse(key, `one of ${quoteAll(allowed)}`, value);
    return value as V;
  }

  integer(key: keyof T & string, range: { fallback: number; min: number; max: number }): number {
    const value = this.#take(key) ?? range.fallback;
    if (!Number.isInteger(value) || (value as number) < range.min || (value as number) > range.max) {
      this.#refuse(key, `an integer from ${range.min} to ${range.max}`, value);
    }
    return value as number;
  }

  name(key: keyof T & string): string {
    const value = this.#take(key) ?? "default";
    if (typeof value !== "string" || value.length < 1 || value.length > 64) {
      this.#refuse(key, "a string of 1 to 64 characters", value);
    }
    return value;
  }

  boolean(key: keyof T & string, fallback: boolean): boolean {
    const value = this.#take(key) ?? fallback;
    if (typeof value !== "boolean") this.#refuse(key, "true or false", value);
    return value;
  }

  function(key: keyof T & string): unknown {
    const value = this.#take(key);
    if (value !== undefined && typeof value !== "function") this.#refuse(key, "a function", value);
    return value;
  }

  /** `undefined` for an empty list, which is the default. */
  strings<R>(key: keyof T & string, resolve: (strings: readonly string[]) => R): R | undefined {
    const value = this.#take(key) ?? [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      this.#refuse(key, "an array of strings", value);
    }
    return value.length === 0 ? undefined : resolve(value);
  }

  refuseTheRest(): void {
    for (const key of Object.keys(this.#input)) {
      if (this.#known.has(key)) continue;
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        `${this.#where} has no option "${key}". It has ${quoteAll([...this.#known])}.`,
      );
    }
  }

  #take(key: keyof T & string): unknown {
    this.#known.add(key);
    return this.#input[key];
  }

  #refuse(key: string, wanted: string, value: unknown): never {
    const given = typeof value === "string" ? `"${value}"` : String(value);
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      `Option "${key}" of ${this.#where} must be ${wanted}, not ${given}.`,
    );
  }
}

function quoteAll(words: readonly string[]): string {
  return words.map((word) => `"${word}"`).join(", ");
}
