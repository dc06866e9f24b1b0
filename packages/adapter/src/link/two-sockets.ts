/**
 * A link over two sockets, one for each direction.
 * Two, because a failed write destroys a socket with everything that is still unread in it: what a worker
 * sent before it was killed must arrive, whatever the hub was writing to it meanwhile.
 * Owns: both sockets and the listeners on them. Runs in: primary and workers.
 */
import type { Socket } from "node:net";
import type { LinkKind } from "../stats.js";
import type { Link, LinkEvents } from "./contract.js";

/** What libuv asks the system for at a time. */
const READ_BYTES = 64 * 1024;

export class TwoSocketLink implements Link {
  readonly kind: LinkKind;
  readonly #incoming: Socket;
  readonly #outgoing: Socket;
  readonly #onClose: () => void;

  /** @param incoming what is read of it goes to `events.onChunk`, see {@link readingInto} */
  constructor(kind: LinkKind, incoming: Socket, outgoing: Socket, events: LinkEvents) {
    this.kind = kind;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#onClose = () => {
      this.close();
      events.onEnd();
    };
    incoming.on("close", this.#onClose);
    // The incoming one tells that the other end is gone, after everything that it has sent.
    incoming.on("error", ignore);
    outgoing.on("error", ignore);
    outgoing.on("drain", () => events.onTaken());
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
export function readingInto(events: Pick<LinkEvents, "onChunk">) {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (bytes: number) => {
    events.onChunk(buffer.subarray(0, bytes));
    return true;
  };
  return { buffer, callback };
}

function ignore(): void {}
