/**
 * What a process has once, although it may have loaded this package twice: as an ES module and as CommonJS, or
 * from two folders. Two supervisors in one process would each fork workers.
 * Owns: one table in the global object. Runs in: primary and workers.
 */
import { VERSION } from "./version.js";

/** Copies of another version have other insides: they share nothing. */
const KEY = Symbol.for(`@holdfast/cluster ${VERSION}`);

/** The value of that name, made by the first copy that asks. */
export function processWide<T>(name: string, make: () => T): T {
  const scope = globalThis as { [KEY]?: Map<string, unknown> };
  scope[KEY] ??= new Map();
  const values = scope[KEY];
  if (!values.has(name)) values.set(name, make());
  // Only code of this version, and of this name, has put it there.
  return values.get(name) as T;
}
