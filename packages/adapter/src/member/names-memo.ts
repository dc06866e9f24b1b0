/**
 * Remembers room names, which are often the same as the last time: a stream of broadcasts to one room needs
 * no new strings and sets for each of them.
 * Owns: the bytes of the names that were read last. Runs in: workers.
 */
import type { FieldReader } from "../wire/field-reader.js";

export class NamesMemo {
  #bytes: Uint8Array = new Uint8Array(0);
  #names: ReadonlySet<string> = new Set();

  /** What {@link FieldReader.names} would read; shared between calls, so it must not be changed. */
  read(fields: FieldReader): ReadonlySet<string> {
    if (this.#bytes.length > 0 && fields.skipIfSame(this.#bytes)) return this.#names;
    const start = fields.position;
    this.#names = fields.names();
    this.#bytes = new Uint8Array(fields.since(start));
    return this.#names;
  }
}
