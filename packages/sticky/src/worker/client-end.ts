/**
 * The end of what a client sends, put off.
 * Owns: `end()` of connections, while somebody holds them. Runs in: workers.
 *
 * When a client ends its side, `http.Server` ends the connection, and with it each answer that is not written by then. In a
 * single process, an answer of Engine.IO's is written in the turn of its request; one that takes a way through other
 * processes must have the time that this takes.
 */
import type { Duplex } from "node:stream";

const held = new WeakMap<Duplex, HeldEnd>();

class HeldEnd {
  readonly #connection: Duplex;
  readonly #holders = new Set<() => void>();
  // open → ended (by its client) → released; open → released
  #state: "open" | "ended" | "released" = "open";

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
    Object.defineProperty(connection, "end", {
      configurable: true,
      writable: true,
      value: (...args: unknown[]) => this.#end(args),
    });
  }

  hold(onEnd: () => void): () => void {
    // Each holder is one of its own, whatever function it brings.
    const holder = () => onEnd();
    this.#holders.add(holder);
    if (this.#state === "ended") holder();
    return () => {
      if (this.#holders.delete(holder) && this.#holders.size === 0) this.#release();
    };
  }

  /** The first call after the client's end is the server's because of it; others have their own reasons. */
  #end(args: unknown[]): Duplex {
    if (this.#state !== "open" || !this.#connection.readableEnded) {
      this.#release();
      return this.#connection.end(...(args as []));
    }
    this.#state = "ended";
    for (const holder of [...this.#holders]) holder();
    return this.#connection;
  }

  #release(): void {
    if (this.#state === "released") return;
    const wasEnded = this.#state === "ended";
    this.#state = "released";
    held.delete(this.#connection);
    Reflect.deleteProperty(this.#connection, "end");
    if (wasEnded) this.#connection.end();
  }
}

/**
 * Keeps a connection open for an answer when its client ends its side.
 * @param onEnd called when it does, or has done so
 * @returns the function that lets it be ended
 */
export function holdEnd(connection: Duplex, onEnd: () => void = () => {}): () => void {
  return HeldEnd.of(connection).hold(onEnd);
}
