/**
 * The streams of one link.
 * Owns: the connection between two workers, and the streams on it. Runs in: workers, at both ends of a link.
 *
 * All that is sent in a turn of the event loop leaves in one write. A stream that sends much waits when the link
 * is full, and those that wait get their turn one after the other.
 */
import type { Socket } from "node:net";
import {
  decodeCredit,
  decodeReset,
  encodeFrame,
  encodeHeader,
  encodeReset,
  encodeResume,
  FrameType,
  LinkFrameReader,
  type StreamToken,
} from "../wire/link-frame.js";
import { LinkStream, type StreamCarrier } from "./link-stream.js";

/** With so many bytes waiting in the connection, streams wait. */
const FULL_BYTES = 1_048_576;
/** Payloads up to this size are copied behind their header: one small buffer is cheaper than two. */
const COPY_BYTES = 4_096;

export interface LinkEvents {
  /**
   * A frame that is not about an open stream. `move` says of one that has been closed here that its other end goes on in
   * another process, where this one is waited for.
   * @returns `false` if it must not come: the link is closed
   */
  onControl(type: FrameType, stream: number, payload: Buffer): boolean;
  /** A stream has closed, or the connection has taken what waited: there may be room for more. */
  onRoom(): void;
  /** The connection is gone; the streams have been told. */
  onClose(error: Error | undefined): void;
}

export class LinkStreams implements StreamCarrier {
  readonly #socket: Socket;
  readonly #events: LinkEvents;
  readonly #streams = new Map<number, LinkStream>();
  /** Numbers of streams that were called for, and whose owner has not answered. */
  readonly #calls = new Set<number>();
  /** Streams that the full link lets wait. */
  readonly #waiting = new Set<LinkStream>();
  isSilent = false;
  heard = 0;
  #lastId = 0;
  #error: Error | undefined;
  /** Whether what is sent is gathered until the end of the turn. */
  #isGathering = false;
  // open → draining (closes with its last stream) → closed; open → closed
  #state: "open" | "draining" | "closed" = "open";

  constructor(socket: Socket, events: LinkEvents) {
    this.#socket = socket;
    this.#events = events;
    const reader = new LinkFrameReader((...frame) => this.#onFrame(...frame));
    socket.on("data", (bytes: Buffer) => {
      this.isSilent = false;
      this.heard++;
      if (this.#state !== "closed" && !reader.execute(bytes)) socket.destroy(malformed());
    });
    socket.on("drain", () => this.#onDrain());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("end", () => socket.destroy());
    socket.once("close", () => this.#onClose());
    // Clients and sessions keep the process, not the way between them.
    socket.unref();
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  isFull(): boolean {
    return this.#socket.writableLength > FULL_BYTES;
  }

  /** Opens a stream to the other end. */
  open(payload: Buffer): LinkStream {
    const id = this.#nextId();
    this.send(encodeFrame(FrameType.open, id, payload));
    const stream = new LinkStream({ id, carrier: this });
    this.add(stream);
    return stream;
  }

  /** Goes on with a stream whose other end is here from now on. */
  resume(stream: LinkStream, token: StreamToken): void {
    stream.arrive({ id: this.#call(token), carrier: this });
    this.add(stream);
  }

  /** Lets the owner of such a stream know that nobody is at its other end any more. */
  giveUp(token: StreamToken): void {
    this.#call(token);
  }

  /** The same, at the other end. */
  takeUp(stream: LinkStream, id: number): void {
    this.send(encodeFrame(FrameType.resumed, id));
    stream.arrive({ id, carrier: this });
    this.add(stream);
    stream.onResumed();
  }

  add(stream: LinkStream): void {
    this.#streams.set(stream.id, stream);
    if (this.#state === "closed") stream.onClosed("lost");
  }

  has(id: number): boolean {
    return this.#streams.has(id);
  }

  send(frame: Buffer): void {
    if (this.#state === "closed") return;
    if (!this.#isGathering) {
      this.#isGathering = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#isGathering = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(frame);
  }

  /** Settles when the system has all that was sent so far, or the connection is gone. */
  written(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#state === "closed") resolve();
      else this.#socket.write("", () => resolve());
    });
  }

  sendData(stream: number, bytes: Buffer): void {
    if (bytes.length <= COPY_BYTES) {
      this.send(encodeFrame(FrameType.data, stream, bytes));
    } else {
      this.send(encodeHeader(FrameType.data, stream, bytes.length));
      this.send(bytes);
    }
  }

  mustWait(stream: LinkStream): boolean {
    if (!this.isFull()) return false;
    this.#waiting.add(stream);
    return true;
  }

  forget(stream: LinkStream): void {
    this.#waiting.delete(stream);
    if (!this.#streams.delete(stream.id)) return;
    if (this.#streams.size === 0) this.#onIdle();
    this.#events.onRoom();
  }

  /** Closes the connection when its last stream has closed. */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    if (this.#streams.size === 0) this.#onIdle();
  }

  /** Closes the connection; its streams are lost. */
  destroy(): void {
    this.#socket.destroy();
  }

  #onIdle(): void {
    // What was sent last is still to be written.
    if (this.#state === "draining") setImmediate(() => this.#socket.end(() => this.#socket.destroy()));
  }

  #onFrame(type: FrameType, id: number, payload: Buffer): void {
    if (this.#state === "closed") return;
    if (type <= FrameType.open || type === FrameType.goAway || type === FrameType.resume)
      return this.#onControl(type, id, payload);
    const stream = this.#streams.get(id);
    if (type === FrameType.move) {
      if (!stream?.onMove(payload)) this.#onControl(type, id, payload);
      return;
    }
    const isCalled = (type === FrameType.resumed || type === FrameType.refuse) && this.#calls.delete(id);
    if (stream) giveFrame(stream, type, payload);
    // The stream may have been closed here while the frame was on its way. The owner of this one has just heard of it.
    else if (isCalled && type === FrameType.resumed) this.send(encodeReset(id, 0));
  }

  #onControl(type: FrameType, id: number, payload: Buffer): void {
    if (!this.#events.onControl(type, id, payload)) this.#socket.destroy();
  }

  #call(token: StreamToken): number {
    const id = this.#nextId();
    this.#calls.add(id);
    this.send(encodeResume(id, token));
    return id;
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#streams.has(this.#lastId) || this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  #onDrain(): void {
    for (const stream of this.#waiting) {
      if (this.isFull()) return;
      // Those that wait again stand at the end.
      this.#waiting.delete(stream);
      stream.pump();
    }
    this.#events.onRoom();
  }

  #onClose(): void {
    this.#state = "closed";
    for (const stream of [...this.#streams.values()]) stream.onClosed("lost");
    this.#waiting.clear();
    this.#events.onClose(this.#error);
  }
}

function giveFrame(stream: LinkStream, type: FrameType, payload: Buffer): void {
  switch (type) {
    case FrameType.data:
      return stream.onData(payload);
    case FrameType.credit:
      return stream.onCredit(decodeCredit(payload));
    case FrameType.end:
      return stream.onEnd();
    case FrameType.leave:
      return stream.onLeave();
    case FrameType.hold:
      return stream.onHold();
    case FrameType.held:
      return stream.onHeld();
    case FrameType.release:
      return stream.onRelease();
    case FrameType.resumed:
      return stream.onResumed();
    case FrameType.reset:
      return stream.onClosed("reset", decodeReset(payload));
    case FrameType.refuse:
      return stream.onClosed("refused", 0);
  }
}

function malformed(): NodeJS.ErrnoException {
  return Object.assign(new Error("what came on a link between workers is malformed"), { code: "EPROTO" });
}
