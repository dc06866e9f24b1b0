/**
 * Frames in an entry of a stream: today's frames one after the other, behind a table of their namespaces' names.
 * In the frames' headers is the name's place in the table, because ids are those of one hub.
 * Decoding is total: what is no entry is told, and read as far as it makes sense. Runs in: where the hub is.
 *
 *     | u32 names | (u32 length, utf16) × names | frame | frame | …
 */
import { BufferPool } from "../../wire/buffer-pool.js";
import { frameFields, frameLength, HEADER_BYTES, voidAllKeys } from "../../wire/frame.js";

const NAMESPACE_AT = 8;
const COUNT_BYTES = 4;
const LENGTH_BYTES = 4;
/** Most lists have a few frames. */
const FIRST_BYTES = 2 * 1024;
/** A batch is sent when it has grown to this, whatever else there is to do. */
export const FULL_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);

/** Room for a full batch and the frame that made it full, unless that is a large one. */
const POOLED_BYTES = FULL_BYTES + FULL_BYTES / 4;
/** For lists that grow: under load, each batch has one. 2 MiB at most. */
const pool = new BufferPool(POOLED_BYTES, 6);

/** The names that a batch's frames have; all entries of one batch begin with the same table. */
export class NameTable {
  readonly #places = new Map<string, number>();
  #bytes = COUNT_BYTES;

  /** Where the name is in the table. */
  place(name: string): number {
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(name, place);
    this.#bytes += LENGTH_BYTES + 2 * name.length;
    return place;
  }

  encode(): Buffer {
    const table = Buffer.allocUnsafe(this.#bytes);
    let at = table.writeUInt32LE(this.#places.size, 0);
    for (const name of this.#places.keys()) {
      const bytes = table.write(name, at + LENGTH_BYTES, "utf16le");
      at = table.writeUInt32LE(bytes, at) + bytes;
    }
    return table;
  }
}

/** Frames that go the same way. Owns: its memory, which is used again after {@link release}. */
export class FrameList {
  count = 0;
  #buffer: Buffer = NOTHING;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Copies a frame, with its namespace's place in the table. */
  add(place: number, frame: Buffer, start: number, end: number): void {
    const size = end - start;
    if (this.#bytes + size > this.#buffer.length) this.#grow(size);
    frame.copy(this.#buffer, this.#bytes, start, end);
    this.#buffer.writeUInt32LE(place, this.#bytes + NAMESPACE_AT);
    this.#bytes += size;
    this.count++;
  }

  /** The keys of all frames say nothing any more. */
  voidKeys(): void {
    voidAllKeys(this.#buffer, 0, this.#bytes);
  }

  /** The frames, without the table. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  /** Nobody reads any more what was taken. */
  release(): void {
    pool.giveBack(this.#buffer);
    this.#buffer = NOTHING;
    this.count = this.#bytes = 0;
  }

  #grow(size: number): void {
    const larger = memoryFor(this.#bytes + size);
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    pool.giveBack(this.#buffer);
    this.#buffer = larger;
  }
}

function memoryFor(bytes: number): Buffer {
  if (bytes <= FIRST_BYTES) return Buffer.allocUnsafe(FIRST_BYTES);
  return bytes <= POOLED_BYTES ? pool.take() : Buffer.allocUnsafe(bytes);
}

/**
 * Reads an entry.
 * @returns false if something in it is no frame, or has no name; what comes before that was given
 */
export function readEntry(
  entry: Buffer,
  onFrame: (namespace: string, buffer: Buffer, start: number, end: number) => void,
): boolean {
  const table = readNames(entry);
  if (!table) return false;
  let { at } = table;
  while (at < entry.length) {
    if (entry.length - at < HEADER_BYTES) return false;
    const size = frameLength(entry, at);
    const name = table.names[entry.readUInt32LE(at + NAMESPACE_AT)];
    if (size > entry.length - at || frameFields(entry, at) > at + size || name === undefined) return false;
    onFrame(name, entry, at, at + size);
    at += size;
  }
  return true;
}

function readNames(entry: Buffer): { names: string[]; at: number } | undefined {
  if (entry.length < COUNT_BYTES) return undefined;
  const names: string[] = [];
  let at = COUNT_BYTES;
  for (let count = entry.readUInt32LE(0); count > 0; count--) {
    if (entry.length - at < LENGTH_BYTES) return undefined;
    const bytes = entry.readUInt32LE(at);
    at += LENGTH_BYTES;
    if (entry.length - at < bytes) return undefined;
    names.push(entry.toString("utf16le", at, at + bytes));
    at += bytes;
  }
  return { names, at };
}
