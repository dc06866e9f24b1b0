/**
 * One stream of a link: bytes in both directions, each at the pace of its reader.
 * Owns: what it was given to send and has no credit for. Runs in: workers, at both ends of a link.
 */
import { Duplex } from "node:stream";
import {
  encodeCredit,
  encodeFrame,
  encodeReset,
  FrameType,
  MAX_PAYLOAD_BYTES,
  WINDOW_BYTES,
} from "../wire/link-frame.js";

/** What a stream needs of its link. */
export interface StreamCarrier {
  send(frame: Buffer): void;
  sendData(stream: number, bytes: Buffer): void;
  /** Whether so much waits in the link that streams have to wait, too; then {@link LinkStream.pump} is called. */
  mustWait(stream: LinkStream): boolean;
  /** The stream is closed at this end. */
  forget(stream: LinkStream): void;
}

/**
 * Why nothing more comes from the other end:
 * `ended` it has said all, `reset` it has closed the stream, `refused` it has not used it, `lost` the link is gone.
 */
export type StreamEnding = "none" | "ended" | "reset" | "refused" | "lost";

const ignore = () => {};

export class LinkStream extends Duplex {
  readonly id: number;
  readonly #carrier: StreamCarrier;
  /** What {@link Duplex._write} was called with and has not left. */
  #unsent: { chunk: Buffer; readonly done: (error?: Error | null) => void } | undefined;
  #credit = WINDOW_BYTES;
  #sentBytes = 0;
  #receivedBytes = 0;
  #uncreditedBytes = 0;
  #usedByPeerBytes = 0;
  // none → ended → reset | lost; none → reset | refused | lost
  #ending: StreamEnding = "none";
  #hasEnded = false;

  constructor(id: number, carrier: StreamCarrier) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.#carrier = carrier;
    // Who writes when the other end has just gone must not end the process; the end itself is told by "close".
    this.on("error", ignore);
  }

  get ending(): StreamEnding {
    return this.#ending;
  }

  /** Bytes that have left on this stream. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Of {@link sentBytes}, those that the other end may have used, as far as it has said when it closed. */
  get usedByPeerBytes(): number {
    return this.#usedByPeerBytes;
  }

  /** Sends what waits, as far as there is credit for it and room in the link. */
  pump(): void {
    while (this.#unsent) {
      const { chunk, done } = this.#unsent;
      if (!this.#isHeard() || chunk.length === 0) {
        this.#unsent = undefined;
        done();
        return;
      }
      if (this.#credit === 0 || this.#carrier.mustWait(this)) return;
      const part = chunk.subarray(0, Math.min(this.#credit, MAX_PAYLOAD_BYTES));
      this.#credit -= part.length;
      this.#sentBytes += part.length;
      this.#unsent.chunk = chunk.subarray(part.length);
      this.#carrier.sendData(this.id, part);
    }
  }

  onData(bytes: Buffer): void {
    if (this.#ending !== "none") return;
    this.#receivedBytes += bytes.length;
    this.#uncreditedBytes += bytes.length;
    this.push(bytes);
  }

  onCredit(bytes: number): void {
    this.#credit += bytes;
    this.pump();
  }

  onEnd(): void {
    if (this.#ending !== "none") return;
    this.#ending = "ended";
    this.push(null);
  }

  /** Tells the owner that the client has to go elsewhere; see {@link onLeave}. */
  leave(): void {
    if (this.#isHeard()) this.#carrier.send(encodeFrame(FrameType.leave, this.id));
  }

  /** The other end will be gone soon. */
  onLeave(): void {}

  /** Nothing more comes or is heard. What has come can still be read. */
  onClosed(why: "reset" | "refused" | "lost", usedByPeerBytes = this.#sentBytes): void {
    const isFirst = this.#ending === "none";
    this.#ending = why;
    this.#usedByPeerBytes = usedByPeerBytes;
    if (isFirst) this.push(null);
    this.pump();
    this.end();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#unsent = { chunk, done };
    this.pump();
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: string }[],
    done: (error?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "buffer", done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#hasEnded = true;
    if (this.#isHeard()) this.#carrier.send(encodeFrame(FrameType.end, this.id));
    done();
  }

  /** The reader has room: the other end may send as much as was read. */
  override _read(): void {
    if (this.#uncreditedBytes < WINDOW_BYTES / 2 || this.#ending !== "none") return;
    this.#carrier.send(encodeCredit(this.id, this.#uncreditedBytes));
    this.#uncreditedBytes = 0;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isOver = this.#hasEnded && this.#ending === "ended";
    if (this.#isHeard() && !isOver) this.#carrier.send(encodeReset(this.id, this.#receivedBytes));
    this.#unsent = undefined;
    this.#carrier.forget(this);
    done(error);
  }

  /** Whether the other end still takes something. */
  #isHeard(): boolean {
    return this.#ending === "none" || this.#ending === "ended";
  }
}
