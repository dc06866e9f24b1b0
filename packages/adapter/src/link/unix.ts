/**
 * A link over a Unix socket: two connections to the hub's socket, one for each direction.
 * Owns: nothing; the sockets are the connection's until they are the link's. Runs in: hub process and workers.
 */
import { connect, type Socket } from "node:net";
import type { Link, LinkEvents } from "./contract.js";
import { readInto } from "./node-internals.js";
import { readingInto, TwoSocketLink } from "./two-sockets.js";

/** A connection from its first byte on: what is read of it goes to the handshake first, and to the link later. */
export class UnixConnection {
  readonly socket: Socket;
  /** Who gets what is read; the memory is used again after the call. */
  readonly #reader: { onChunk(chunk: Buffer): void };

  private constructor(socket: Socket, reader: { onChunk(chunk: Buffer): void }) {
    this.socket = socket;
    this.#reader = reader;
    socket.on("error", ignore);
  }

  /** The worker's end. It does not keep the process alive. */
  static to(path: string): UnixConnection {
    const reader = { onChunk: ignore as (chunk: Buffer) => void };
    return new UnixConnection(connect({ path, onread: readingInto(reader) }).unref(), reader);
  }

  /** The hub's end; nothing has been read of it. */
  static accepted(socket: Socket): UnixConnection {
    const reader = { onChunk: ignore as (chunk: Buffer) => void };
    const { buffer, callback } = readingInto(reader);
    if (!readInto(socket, buffer, callback)) socket.on("data", (chunk) => reader.onChunk(chunk));
    return new UnixConnection(socket, reader);
  }

  /** What is read from now on goes to `onChunk`. */
  readBy(onChunk: (chunk: Buffer) => void): void {
    this.#reader.onChunk = onChunk;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Makes a link of two connections whose handshake is over. */
export function unixLink(incoming: UnixConnection, outgoing: UnixConnection, events: LinkEvents): Link {
  incoming.readBy((chunk) => events.onChunk(chunk));
  outgoing.readBy(ignore);
  return new TwoSocketLink("unix", incoming.socket, outgoing.socket, events);
}

function ignore(): void {}
