/**
 * Sockets in the form in which one worker tells another of them: u32 length of the values, a value for each
 * socket, and the texts that they share. What browsers send in their handshakes is much the same for all of
 * them. Runs in: workers, and in the primary for its emitters.
 */
import type { Room, SocketId } from "socket.io-adapter";
import { brokenMessage, type FieldReader } from "./field-reader.js";
import { readTexts, TextList } from "./text-list.js";
import { ValueReader } from "./value-reader.js";
import { ValueWriter } from "./value-writer.js";

/** A socket of another worker, as Socket.IO's `RemoteSocket` takes it. */
export interface SocketDetails {
  readonly id: SocketId;
  readonly handshake: object;
  readonly rooms: readonly Room[];
  readonly data: unknown;
}

const LENGTH_BYTES = 4;
/** Socket.IO makes them anew for each socket. */
const UNNUMBERED: ReadonlySet<string> = new Set(["rooms", "handshake", "headers", "query"]);

export class SocketListWriter {
  readonly #texts = new TextList();
  readonly #values: ValueWriter;

  /** @param maxBytes how long the list may become */
  constructor(maxBytes: number) {
    this.#values = new ValueWriter(maxBytes - LENGTH_BYTES, { texts: this.#texts, unnumbered: UNNUMBERED });
  }

  /** About how many bytes the list has. */
  get size(): number {
    return this.#values.length + this.#texts.size;
  }

  /**
   * Adds a socket, or nothing.
   * @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE`, `HOLDFAST_ERR_MESSAGE_TOO_LARGE`
   */
  add({ id, handshake, rooms, data }: SocketDetails): void {
    // A socket's own room comes first: its id is found there then.
    this.#values.write({ rooms, id, handshake, data });
  }

  /** Ends the list. @returns what has been written */
  end(): Buffer {
    const values = this.#values.end();
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32LE(values.length);
    return Buffer.concat([length, values, this.#texts.encode()]);
  }
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function readSocketList(fields: FieldReader): SocketDetails[] {
  const values = fields.part(fields.u32());
  const reader = new ValueReader(values, readTexts(fields.rest()));
  const sockets: SocketDetails[] = [];
  while (!values.done) {
    const socket = reader.read();
    if (!isSocket(socket)) throw brokenMessage("what should be a socket is none");
    sockets.push(socket);
  }
  return sockets;
}

function isSocket(value: unknown): value is SocketDetails {
  if (typeof value !== "object" || value === null) return false;
  const { id, handshake, rooms } = value as Partial<SocketDetails>;
  return (
    typeof id === "string" && typeof handshake === "object" && handshake !== null && Array.isArray(rooms)
  );
}
