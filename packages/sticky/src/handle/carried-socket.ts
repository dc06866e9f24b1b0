/**
 * A connection that can be taken out of this process in the middle of what is read and written, and brought up in
 * another one with every byte. With `node-internals.ts`, the place for undocumented parts of Node.js;
 * `carried-socket.test.ts` fails when one moves. Tried with Node.js 20, 22, 24 and 26.
 * Owns: nothing but what it was told to write last. Runs in: workers.
 */
import { Socket } from "node:net";
import { detachHandle, type Handle, handleOf } from "./node-internals.js";

interface Chunk {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

type Done = (error?: Error | null) => void;

interface QueueingHandle extends Handle {
  /** Bytes that were given to libuv and that the system has not taken. */
  readonly writeQueueSize: number;
}

/**
 * Remembers what libuv has not written yet: Node.js gives it one write at a time, and keeps the rest itself.
 * Fields: `socket._write()`, `socket._writev()`, `handle.writeQueueSize`.
 */
export class CarriedSocket extends Socket {
  #last: readonly (Chunk | Buffer)[] | undefined;

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    super._write(chunk, encoding, done);
    this.#last = this.#isQueued() ? [{ chunk, encoding }] : undefined;
  }

  override _writev(chunks: Chunk[], done: Done): void {
    super._writev?.(chunks, done);
    this.#last = this.#isQueued() ? chunks : undefined;
  }

  /** What libuv was given last, if the system has not taken it at once. */
  get lastWrite(): readonly (Chunk | Buffer)[] {
    return this.#last ?? [];
  }

  #isQueued(): boolean {
    const handle = handleOf(this) as QueueingHandle | null;
    return handle !== null && handle.writeQueueSize > 0;
  }
}

/** A connection without its process. */
export interface TakenOut {
  /** Nobody reads from it. What libuv has is still written, until it is closed. */
  readonly handle: Handle;
  /** What was read and not used. */
  readonly unread: Buffer;
  /** Whether there was something that the system had not taken yet. */
  readonly hasUnsent: boolean;
  /** Closes the handle, and gives exactly what was not written by then. */
  close(): Buffer;
}

/** Whether the socket can be taken out. */
export function isCarried(socket: unknown): socket is CarriedSocket {
  if (!(socket instanceof CarriedSocket) || socket.destroyed || socket.writableEnded) return false;
  return typeof (handleOf(socket) as QueueingHandle | null)?.writeQueueSize === "number";
}

/**
 * Takes a connection out of this process. The socket is left without it.
 * Field: `socket._writableState.getBuffer()`.
 */
export function takeOut(socket: CarriedSocket): TakenOut | undefined {
  while (socket.writableCorked > 0) socket.uncork();
  // What is read out of it now must not be used here as well.
  socket.removeAllListeners("data");
  const { lastWrite } = socket;
  const waiting = (
    socket as unknown as { _writableState: { getBuffer(): Chunk[] } }
  )._writableState.getBuffer();
  const detached = detachHandle(socket);
  if (!detached) return undefined;
  const handle = detached.handle as QueueingHandle;
  return {
    handle,
    unread: detached.buffered ?? Buffer.alloc(0),
    hasUnsent: handle.writeQueueSize > 0 || waiting.length > 0,
    close: () => {
      const queued = handle.writeQueueSize;
      // From here on nothing is written: closing cancels what libuv has.
      handle.close();
      const last = bytesOf(lastWrite);
      return Buffer.concat([last.subarray(last.length - Math.min(queued, last.length)), bytesOf(waiting)]);
    },
  };
}

/** `_writev()` of Node.js puts buffers into its argument in place of what they came in. */
function bytesOf(chunks: readonly (Chunk | Buffer)[]): Buffer {
  return Buffer.concat(
    chunks.map((each) => {
      if (Buffer.isBuffer(each)) return each;
      const { chunk, encoding } = each;
      return typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
    }),
  );
}
