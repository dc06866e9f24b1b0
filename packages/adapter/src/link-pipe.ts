/**
 * A link over two stdio pipes that the worker inherited, one for each direction.
 * Two, because a failed write destroys a socket with everything that is still unread in it: what a worker sent
 * before it was killed must arrive, whatever the hub was writing to it meanwhile.
 * Owns: both sockets and the listeners on them. Runs in: primary and workers.
 */
import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import type { PipeFds } from "./handshake.js";
import type { Link, LinkEvents } from "./link.js";

export interface PipeSockets {
  readonly incoming: Socket;
  readonly outgoing: Socket;
}

export class PipeLink implements Link {
  readonly kind = "pipe";
  readonly #incoming: Socket;
  readonly #outgoing: Socket;
  readonly #onData: (chunk: Buffer) => void;
  readonly #onClose: () => void;

  constructor({ incoming, outgoing }: PipeSockets, events: LinkEvents) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#onData = (chunk) => events.onChunk(chunk);
    this.#onClose = () => {
      this.close();
      events.onEnd();
    };
    incoming.on("data", this.#onData);
    incoming.on("close", this.#onClose);
    // The other end's death is told by the incoming pipe, behind everything that was sent.
    incoming.on("error", ignore);
    outgoing.on("error", ignore);
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

  #release(): void {
    this.#incoming.off("data", this.#onData);
    this.#incoming.off("close", this.#onClose);
  }
}

/**
 * Opens the worker's ends. They do not keep the process alive: a worker whose servers are closed may end.
 * @returns undefined when a descriptor is not the pipe that the hub promised
 */
export function openInheritedPipe({ toHub, fromHub }: PipeFds): PipeSockets | undefined {
  if (!isSocket(toHub) || !isSocket(fromHub)) return undefined;
  return {
    incoming: new Socket({ fd: fromHub, readable: true, writable: false }).unref(),
    outgoing: new Socket({ fd: toHub, readable: false, writable: true }).unref(),
  };
}

function isSocket(fd: number): boolean {
  try {
    // With plain numbers, Node.js 20 leaves the result where its ESM loader then reads the type of the next file
    // from: an import() through a symbolic link, as pnpm lays them, would fail.
    return fstatSync(fd, { bigint: true }).isSocket();
  } catch {
    return false;
  }
}

function ignore(): void {}
