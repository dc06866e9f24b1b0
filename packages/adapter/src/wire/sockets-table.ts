/**
 * Sockets in the form in which one worker tells another of them.
 * Every text goes once: what browsers send in their handshakes is much the same for all of them, and packing
 * each handshake by itself would be most of what an answer costs. Runs in: workers, and in the primary for
 * its emitters.
 *
 * A table is a row of cells, socket after socket: the id, the rooms, the handshake, the data. A cell refers to
 * a text, refers to a value that is not a text, or says how many cells are one list or one object.
 */
import type { Room, SocketId } from "socket.io-adapter";

/** A socket of another worker, as Socket.IO's `RemoteSocket` takes it. */
export interface SocketDetails {
  readonly id: SocketId;
  readonly handshake: object;
  readonly rooms: readonly Room[];
  readonly data: unknown;
}

export interface SocketsTable {
  readonly texts: readonly string[];
  readonly values: readonly unknown[];
  readonly cells: Uint32Array;
}

/** What a cell is: its two lowest bits. */
const Cell = { text: 0, value: 1, list: 2, object: 3 } as const;
const MIN_CELLS = 256;
/** Objects of texts by name in a handshake. */
const TEXTS_BY_NAME: ReadonlySet<string> = new Set(["headers", "query"]);

/** Makes a table of sockets. */
export function toTable(sockets: readonly SocketDetails[]): SocketsTable {
  const writer = new TableWriter();
  for (const socket of sockets) writer.socket(socket);
  return writer.table;
}

/** Makes sockets of a table. */
export function fromTable(table: SocketsTable): SocketDetails[] {
  const reader = new TableReader(table);
  const sockets: SocketDetails[] = [];
  while (!reader.done) sockets.push(reader.socket());
  return sockets;
}

class TableWriter {
  readonly #texts: string[] = [];
  readonly #values: unknown[] = [];
  #cells = new Uint32Array(MIN_CELLS);
  #count = 0;
  readonly #indexes = new Map<string, number>();
  /** Texts of the socket before, in order: mostly they are the same, and comparing beats looking up. */
  readonly #lastTexts: string[] = [];
  readonly #lastIndexes: number[] = [];
  #place = 0;

  get table(): SocketsTable {
    return { texts: this.#texts, values: this.#values, cells: this.#cells.slice(0, this.#count) };
  }

  socket({ id, rooms, handshake, data }: SocketDetails): void {
    this.#place = 0;
    this.#any(id);
    // What differs from socket to socket goes last, so that the texts before it keep their places.
    this.#object(handshake, TEXTS_BY_NAME);
    this.#any(data);
    this.#cell(Cell.list, rooms.length);
    for (const room of rooms) this.#any(room);
  }

  #object(object: object, nested?: ReadonlySet<string>): void {
    const fields = object as Record<string, unknown>;
    const names = Object.keys(fields);
    this.#cell(Cell.object, names.length);
    for (const name of names) {
      const value = fields[name];
      this.#text(name);
      if (nested?.has(name) && isPlainObject(value)) this.#object(value);
      else this.#any(value);
    }
  }

  #any(value: unknown): void {
    if (typeof value === "string") this.#text(value);
    else this.#cell(Cell.value, this.#values.push(value) - 1);
  }

  #text(text: string): void {
    const place = this.#place++;
    if (this.#lastTexts[place] !== text) {
      this.#lastIndexes[place] = this.#indexOf(text);
      this.#lastTexts[place] = text;
    }
    this.#cell(Cell.text, this.#lastIndexes[place] as number);
  }

  #indexOf(text: string): number {
    const known = this.#indexes.get(text);
    if (known !== undefined) return known;
    const index = this.#texts.push(text) - 1;
    this.#indexes.set(text, index);
    return index;
  }

  #cell(kind: number, value: number): void {
    if (this.#count === this.#cells.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#cells);
      this.#cells = larger;
    }
    this.#cells[this.#count++] = value * 4 + kind;
  }
}

class TableReader {
  readonly #texts: readonly string[];
  readonly #values: readonly unknown[];
  readonly #cells: Uint32Array;
  #at = 0;

  constructor({ texts, values, cells }: SocketsTable) {
    this.#texts = texts;
    this.#values = values;
    this.#cells = cells;
  }

  get done(): boolean {
    return this.#at >= this.#cells.length;
  }

  socket(): SocketDetails {
    const id = this.#next() as SocketId;
    const handshake = this.#next() as object;
    const data = this.#next();
    const rooms = this.#next() as Room[];
    return { id, handshake, rooms, data };
  }

  #next(): unknown {
    const cell = this.#cells[this.#at++] as number;
    const value = cell >>> 2;
    switch (cell & 3) {
      case Cell.text:
        return this.#texts[value];
      case Cell.value:
        return this.#values[value];
      case Cell.list:
        return this.#list(value);
      default:
        return this.#object(value);
    }
  }

  #list(length: number): unknown[] {
    const list: unknown[] = [];
    for (let i = 0; i < length; i++) list.push(this.#next());
    return list;
  }

  #object(size: number): object {
    const object: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      const name = this.#next() as string;
      const value = this.#next();
      // Clients choose names: an assignment would set the prototype.
      if (name === "__proto__") Object.defineProperty(object, name, { ...OWN, value });
      else object[name] = value;
    }
    return object;
  }
}

const OWN = { configurable: true, enumerable: true, writable: true };

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
