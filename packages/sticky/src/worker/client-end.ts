/**
 * The end of what a client sends, put off.
 * Owns: `end()` of connections that somebody has held. Runs in: workers.
 *
 * When a client ends its side, `http.Server` ends the connection, and with it each answer that is not written by then. In a
 * single process, an answer of Engine.IO's is written in the turn of its request; one that takes a way through other
 * processes must have the time that this takes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

type End = (this: Duplex, ...args: unknown[]) => Duplex;

const held = new WeakMap<Duplex, HeldEnd>();

/** Stays with the connection: to take `end()` back each time would make it a slow object. */
class HeldEnd {
  readonly #connection: Duplex;
  readonly #end: End;
  readonly #holders = new Set<() => void>();
  /** The client has ended its side while somebody held it. */
  #isDue = false;

  static of(connection: Duplex): HeldEnd {
    let end = held.get(connection);
    if (!end) {
      end = new HeldEnd(connection);
      held.set(connection, end);
    }
    return end;
  }

  private constructor(connection: Duplex) {
    this.#connection = connection;
    this.#end = connection.end as End;
    connection.end = (...args: unknown[]) => this.#onEnd(args);
  }

  hold(onEnd: () => void): () => void {
    // Each holder is one of its own, whatever function it brings.
    const holder = () => onEnd();
    this.#holders.add(holder);
    if (this.#isDue) holder();
    return () => {
      if (this.#holders.delete(holder) && this.#holders.size === 0) this.#onFree();
    };
  }

  /** The first call after the client's end is the server's because of it; others have their own reasons. */
  #onEnd(args: unknown[]): Duplex {
    const isClients = this.#connection.readableEnded && !this.#isDue;
    if (this.#holders.size === 0 || !isClients) return this.#end.apply(this.#connection, args);
    this.#isDue = true;
    for (const holder of [...this.#holders]) holder();
    return this.#connection;
  }

  #onFree(): void {
    if (!this.#isDue) return;
    this.#isDue = false;
    this.#end.call(this.#connection);
  }
}

const ignore = () => {};

/**
 * Keeps the connection of a request open for its answer when the client ends its side. Over HTTP/2, the end of a connection
 * ends no stream.
 * @param onEnd called when the client does, or has done so
 * @returns the function that lets it be ended before the answer is closed
 */
export function holdEnd(request: IncomingMessage, response: ServerResponse, onEnd = ignore): () => void {
  if (request.httpVersionMajor > 1) return ignore;
  const release = HeldEnd.of(request.socket).hold(onEnd);
  response.prependOnceListener("close", release);
  return release;
}
