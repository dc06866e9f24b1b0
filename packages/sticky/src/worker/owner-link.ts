/**
 * Keep-alive connections to the private sockets of owners.
 * Owns: the idle connections, and those in use until their answer is complete. Runs in: workers.
 */
import { connect, type Socket } from "node:net";
import { type ResponseEvents, ResponseParser } from "./response-parser.js";

/** How many idle connections to one owner are kept. */
const MAX_IDLE = 256;
/** How long an idle connection is kept. The owner does not close it, so that it never closes under a request. */
const IDLE_MS = 30_000;

export interface LinkEvents extends ResponseEvents {
  /** The connection stands; the request can be written. */
  onOpen(): void;
  /** The connection failed or ended before the answer was complete. */
  onFailure(error: Error): void;
  /** What was written has left. */
  onDrain(): void;
}

/** One connection; carries one request at a time. */
export class OwnerLink {
  readonly #socket: Socket;
  readonly #release: (link: OwnerLink) => void;
  #events: LinkEvents | undefined;
  #parser: ResponseParser | undefined;

  /** @param release takes the link back when its answer is complete */
  constructor(path: string, release: (link: OwnerLink) => void, onClose: (link: OwnerLink) => void) {
    this.#release = release;
    this.#socket = connect({ path });
    this.#socket.on("connect", () => this.#events?.onOpen());
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("drain", () => this.#events?.onDrain());
    this.#socket.on("error", (error) => this.#fail(error));
    // Set while it is idle only.
    this.#socket.on("timeout", () => this.#socket.destroy());
    this.#socket.on("end", () => {
      if (this.#parser?.finish() !== true) this.#fail(new Error("the owner has closed the connection"));
    });
    this.#socket.on("close", () => {
      this.#fail(new Error("the connection to the owner is closed"));
      onClose(this);
    });
  }

  isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Starts a request; `onOpen` comes when it can be written. */
  use(events: LinkEvents, isHead: boolean): void {
    this.#events = events;
    this.#socket.ref();
    this.#socket.setTimeout(0);
    this.#parser = new ResponseParser(
      {
        onHead: (...head) => events.onHead(...head),
        onBody: (chunk, last) => events.onBody(chunk, last),
        onEnd: (reusable) => {
          this.#events = undefined;
          this.#parser = undefined;
          events.onEnd(reusable);
          if (reusable && !this.#socket.destroyed) this.#rest();
          else this.#socket.destroy();
        },
      },
      isHead,
    );
    if (!this.#socket.connecting) events.onOpen();
  }

  /** Writes a part of the request; `false` if `onDrain` should be awaited. */
  write(part: Buffer | string): boolean {
    return typeof part === "string" ? this.#socket.write(part, "latin1") : this.#socket.write(part);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Gives up the request in hand, and with it the connection; nothing is called any more. */
  destroy(): void {
    this.#events = undefined;
    this.#parser = undefined;
    this.#socket.destroy();
  }

  #rest(): void {
    this.#socket.resume();
    // An idle connection must not keep the process.
    this.#socket.unref();
    this.#socket.setTimeout(IDLE_MS);
    this.#release(this);
  }

  #onData(chunk: Buffer): void {
    const parser = this.#parser;
    if (!parser) this.#socket.destroy();
    else if (!parser.execute(chunk)) {
      this.#fail(new Error("the owner's answer is malformed"));
      this.#socket.destroy();
    }
  }

  #fail(error: Error): void {
    const events = this.#events;
    this.#events = undefined;
    this.#parser = undefined;
    events?.onFailure(error);
  }
}

/** The links of this worker, by the path of the private socket. */
export class OwnerLinks {
  readonly #idle = new Map<string, OwnerLink[]>();
  readonly #all = new Set<OwnerLink>();

  /** An idle link to the owner at `path`, or a new one. */
  take(path: string): OwnerLink {
    const idle = this.#idle.get(path);
    for (let link = idle?.pop(); link; link = idle?.pop()) if (link.isOpen()) return link;
    const fresh = new OwnerLink(
      path,
      (released) => this.#release(path, released),
      (closed) => this.#forget(path, closed),
    );
    this.#all.add(fresh);
    return fresh;
  }

  close(): void {
    for (const link of this.#all) link.destroy();
  }

  #release(path: string, link: OwnerLink): void {
    const idle = this.#idle.get(path) ?? [];
    this.#idle.set(path, idle);
    if (idle.length < MAX_IDLE) idle.push(link);
    else link.destroy();
  }

  #forget(path: string, link: OwnerLink): void {
    this.#all.delete(link);
    const idle = this.#idle.get(path);
    const index = idle?.indexOf(link) ?? -1;
    if (index >= 0) idle?.splice(index, 1);
    if (idle?.length === 0) this.#idle.delete(path);
  }
}
