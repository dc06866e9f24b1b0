/**
 * A Unix socket in a private directory, on which other workers reach this one.
 * Owns: the listener and the socket's file. Runs in: workers.
 */
import { chmodSync, lstatSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";

/** The kernel makes of it what it allows. */
const BACKLOG = 65_535;
const HAS_FILES = process.platform !== "win32";

export interface PrivateSocketEvents {
  /** Another worker has connected. */
  accept(socket: Socket): void;
  /** It could not be opened, or fails. */
  onError(error: NodeJS.ErrnoException): void;
  onOpen?(): void;
}

export class PrivateSocket {
  readonly path: string;
  readonly #listener: NetServer;
  /** By which the file is told from another one of that name. */
  #file: { readonly dev: number; readonly ino: number } | undefined;
  // opening → open → closed; opening → closed
  #state: "opening" | "open" | "closed" = "opening";

  /** Settles when it is open. @throws {Error} with the system's `code`; of a file of that name, EADDRINUSE */
  static open(path: string, events: PrivateSocketEvents): Promise<PrivateSocket> {
    return new Promise((resolve, reject) => {
      const socket: PrivateSocket = new PrivateSocket(path, {
        accept: (connection) => events.accept(connection),
        onError: (error) => (socket.isOpen() ? events.onError(error) : reject(error)),
        onOpen: () => resolve(socket),
      });
    });
  }

  /** Opens it. A file of that name must not be there. */
  constructor(path: string, events: PrivateSocketEvents) {
    this.path = path;
    this.#listener = createServer({ allowHalfOpen: true }, (socket) => events.accept(socket));
    this.#listener.on("listening", () => {
      this.#onListening();
      events.onOpen?.();
    });
    this.#listener.on("error", (error) => {
      if (this.#state !== "closed") events.onError(error);
    });
    // Exclusive: node:cluster would else open it in the primary.
    this.#listener.listen({ path, backlog: BACKLOG, exclusive: true }).unref();
  }

  isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether its file is still there. */
  look(): "there" | "missing" | "denied" {
    if (!HAS_FILES) return "there";
    try {
      const { dev, ino } = lstatSync(this.path);
      return dev === this.#file?.dev && ino === this.#file.ino ? "there" : "missing";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EACCES" ? "denied" : "missing";
    }
  }

  /** Closes it, and removes whatever file has its name. Connections stay. */
  close(): void {
    this.#state = "closed";
    this.#listener.close();
  }

  #onListening(): void {
    if (this.#state !== "opening") return;
    this.#state = "open";
    if (!HAS_FILES) return;
    try {
      // The umask may have taken rights away.
      chmodSync(this.path, 0o600);
      const { dev, ino } = lstatSync(this.path);
      this.#file = { dev, ino };
    } catch {
      // It is gone already: the next look says so.
    }
  }
}
