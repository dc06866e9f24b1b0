/**
 * A link over two stdio pipes that the worker inherited, one for each direction.
 * Two, because a failed write destroys a socket with everything that is still unread in it: what a worker
 * sent before it was killed must arrive, whatever the hub was writing to it meanwhile.
 * Owns: both sockets and the listeners on them. Runs in: primary and workers.
 */
import { fstatSync } from "node:fs";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { PipeFds } from "../wire/handshake.js";
import type { Link, LinkEvents } from "./contract.js";
import { readInto } from "./node-internals.js";

/** What libuv asks the system for at a time. */
const READ_BYTES = 64 * 1024;

export class PipeLink implements Link {
  readonly kind = "pipe";
  readonly #incoming: Socket;
  readonly #outgoing: Socket;
  readonly #onClose: () => void;

  private constructor(incoming: Socket, outgoing: Socket, events: LinkEvents) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#onClose = () => {
      this.close();
      events.onEnd();
    };
    incoming.on("close", this.#onClose);
    // The incoming pipe tells that the other end is gone, after everything that it has sent.
    incoming.on("error", ignore);
    outgoing.on("error", ignore);
    outgoing.on("drain", () => events.onTaken());
  }

  /** The primary's end, of pipes that `child_process` has made. */
  static ofWorker(incoming: Socket, outgoing: Socket, events: LinkEvents): PipeLink {
    const { buffer, callback } = readingInto(events);
    if (!readInto(incoming, buffer, callback)) incoming.on("data", (chunk) => events.onChunk(chunk));
    return new PipeLink(incoming, outgoing, events);
  }

  /**
   * A worker's end, of pipes that it has inherited. They do not keep the process alive: a worker whose
   * servers are closed may end.
   */
  static toHub(fds: PipeFds, events: LinkEvents): PipeLink {
    // `new net.Socket()` has this option too, but the types have it for `connect()` only.
    const options = { fd: fds.fromHub, readable: true, writable: false, onread: readingInto(events) };
    const incoming = new Socket(options as SocketConstructorOpts).unref();
    const outgoing = new Socket({ fd: fds.toHub, readable: false, writable: true }).unref();
    return new PipeLink(incoming, outgoing, events);
  }

  get pendingBytes(): number {
    return this.#outgoing.writableLength;
  }

  write(chunks: readonly Buffer[]): void {
    const socket = this.#outgoing;
    if (!socket.writable) return;
    if (chunks.length === 1) {
      socket.write(chunks[0] as Buffer);
      return;
    }
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.uncork();
  }

  end(): void {
    this.#release();
    this.#incoming.destroy();
    this.#outgoing.destroySoon();
  }

  close(): void {
    this.#release();
    this.#incoming.destroy();
    this.#outgoing.destroy();
  }

  /** A destroyed socket delivers nothing any more. */
  #release(): void {
    this.#incoming.off("close", this.#onClose);
  }
}

/**
 * Left to itself, Node.js allocates this much for each read, shrinks it to what came, pushes that through a
 * stream and collects it later, for which V8 marks the whole heap: with one buffer a lone frame costs half.
 */
function readingInto(events: LinkEvents) {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (bytes: number) => {
    events.onChunk(buffer.subarray(0, bytes));
    return true;
  };
  return { buffer, callback };
}

/** Whether the descriptors are the pipes that the hub promised. */
export function arePipes({ toHub, fromHub }: PipeFds): boolean {
  return isSocket(toHub) && isSocket(fromHub);
}

function isSocket(fd: number): boolean {
  try {
    // With plain numbers, Node.js 20 leaves the result where its ESM loader then reads the type of the next
    // file from: an import() through a symbolic link, as pnpm lays them, would fail.
    return fstatSync(fd, { bigint: true }).isSocket();
  } catch {
    return false;
  }
}

function ignore(): void {}
