/**
 * Names of rooms that many sessions are in, each kept once: as they are read from the link, each would be a string of its
 * own.
 * Owns: the names that were read lately. Runs in: where the hub is.
 */

/** How many are known. When there are more, all are forgotten, and those that are still in use are learned again. */
const MAX_NAMES = 10_000;
/** Nobody gives a name that is longer to a room of many. */
const MAX_CHARS = 64;

export class SharedNames {
  readonly #names = new Map<string, string>();

  /** The same name, as one string for all. */
  readonly share = (name: string): string => {
    // What a room is named by is not a string everywhere.
    if (typeof name !== "string" || name.length > MAX_CHARS) return name;
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size === MAX_NAMES) this.#names.clear();
    this.#names.set(name, name);
    return name;
  };
}
