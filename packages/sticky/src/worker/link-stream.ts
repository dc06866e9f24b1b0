/**
 * One stream of a link: bytes in both directions, each at the pace of its reader.
 * Owns: what it was given to send and has no credit for. Runs in: workers, at both ends of a link.
 *
 * Each end can go on in another process. It asks the other one to be silent for that; when both are, all that was sent has
 * come, and is taken along. The end that stays is the same object, on another link.
 *
 * Longer than other files: who takes a stream out needs all that it keeps to itself.
 */
import { Duplex } from "node:stream";
import {
  decodeMove,
  encodeCredit,
  encodeFrame,
  encodeMove,
  encodeReset,
  FrameType,
  MAX_PAYLOAD_BYTES,
  type StreamToken,
  WINDOW_BYTES,
} from "../wire/link-frame.js";
import { StreamHold } from "./stream-hold.js";

/** What a stream needs of its link. */
export interface StreamCarrier {
  send(frame: Buffer): void;
  sendData(stream: number, bytes: Buffer): void;
  /** Whether so much waits in the link that streams have to wait, too; then {@link LinkStream.pump} is called. */
  mustWait(stream: LinkStream): boolean;
  /** The stream is closed at this end, or goes on elsewhere. */
  forget(stream: LinkStream): void;
  /** How many times something has come on the link. */
  readonly heard: number;
  /** Whether nothing has since one of its streams has had no answer. */
  isSilent: boolean;
}

/**
 * Why nothing more comes from the other end:
 * `ended` it has said all, `reset` it has closed the stream, `refused` it has not used it, `lost` the link is gone.
 */
export type StreamEnding = "none" | "ended" | "reset" | "refused" | "lost";

/** Where a stream is. */
export interface StreamPlace {
  /** Its number there. */
  readonly id: number;
  readonly carrier: StreamCarrier;
}

/** What was on its way through an end of a stream when it was taken out. */
export interface TakenOutStream {
  /** What has come and was not read. */
  readonly unread: Buffer;
  /** What was written and has not left. */
  readonly unsent: Buffer;
}

const ignore = () => {};

/**
 * Emits "moved" with a token and a worker when the other end goes on in another process, and "resumed" when the stream goes on.
 *
 * joined: on a link. away: on none. calling: on one, and the owner has not said that it goes on. left: this end is in
 * another process, or closed.
 *
 * joined → away → calling → joined; any → left
 */
export class LinkStream extends Duplex {
  #place: StreamPlace | undefined;
  #state: "joined" | "away" | "calling" | "left";
  /** Of those that have moved, or are asked to. */
  #hold: StreamHold | undefined;
  /** Takes what is written, while the stream is taken out. */
  #takenOut: Buffer[] | undefined;
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
  /** Told anew to whoever has the owner's end then. */
  #isLeaving = false;

  /** @param place `undefined` for a stream that has to be brought to a link yet: see {@link arrive} */
  constructor(place: StreamPlace | undefined) {
    super({ allowHalfOpen: true });
    this.#place = place;
    this.#state = place ? "joined" : "away";
    // Who writes when the other end has just gone must not end the process; the end itself is told by "close".
    this.on("error", ignore);
  }

  /** Its number on its link; 0 while it is on none. */
  get id(): number {
    return this.#place?.id ?? 0;
  }

  /** Whether this end gives way if both want to go on elsewhere at the same time. */
  get givesWay(): boolean {
    return false;
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
      if (!this.#place || !this.#isOpen() || this.#credit === 0) return;
      const { id, carrier } = this.#place;
      if (carrier.mustWait(this)) return;
      const part = chunk.subarray(0, Math.min(this.#credit, MAX_PAYLOAD_BYTES));
      this.#credit -= part.length;
      this.#sentBytes += part.length;
      this.#unsent.chunk = chunk.subarray(part.length);
      carrier.sendData(id, part);
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
    this.#isLeaving = true;
    if (this.#isHeard() && this.#state === "joined") this.#tell(FrameType.leave);
  }

  /** The other end will be gone soon. */
  onLeave(): void {}

  /** Nothing more comes or is heard. What has come can still be read. */
  onClosed(why: "reset" | "refused" | "lost", usedByPeerBytes = this.#sentBytes): void {
    const isFirst = this.#ending === "none";
    this.#ending = why;
    this.#usedByPeerBytes = usedByPeerBytes;
    if (isFirst) this.push(null);
    this.#hold?.end();
    this.pump();
    this.end();
  }

  /**
   * Asks the other end to be silent, so that this end can go on in another process: {@link moveAway}. Or call {@link release}.
   * @returns whether it is
   */
  hold(): Promise<boolean> {
    const isThere = this.#state === "joined" && this.#place?.carrier.isSilent === false;
    return isThere ? this.#holding.ask() : Promise.resolve(false);
  }

  /** Goes on as before. */
  release(): void {
    this.#hold?.release();
  }

  /** Takes out what is on its way, while both ends are silent. @returns undefined if one of them has ended meanwhile */
  takeOut(): TakenOutStream | undefined {
    if (!this.#hold?.isResting || !this.#isWhole()) return undefined;
    const unsent: Buffer[] = [];
    this.#takenOut = unsent;
    while (this.writableCorked > 0) this.uncork();
    const first = this.#unsent;
    this.#unsent = undefined;
    if (first) {
      unsent.push(first.chunk);
      // What waits behind it is written now.
      first.done();
    }
    // What is read out of it now must not be used here as well.
    this.removeAllListeners("data");
    const unread: Buffer[] = [];
    for (let chunk = this.read(); chunk !== null; chunk = this.read()) unread.push(chunk);
    return { unread: Buffer.concat(unread), unsent: Buffer.concat(unsent) };
  }

  /**
   * This end goes on in another process, with what {@link takeOut} gave; here, it is over.
   * @param worker who has the owner's end then
   */
  moveAway(token: StreamToken, worker: number): void {
    const place = this.#place;
    if (place && this.#isHeard()) place.carrier.send(encodeMove(place.id, token, worker));
    this.#leavePlace("left");
    this.destroy();
  }

  /** Is on another link. It goes on with {@link onResumed}. */
  arrive(place: StreamPlace): void {
    this.#place = place;
    this.#credit = WINDOW_BYTES;
    this.#uncreditedBytes = 0;
    this.#hold = undefined;
    this.#state = "calling";
  }

  onHold(): void {
    this.#holding.onHold(this.givesWay);
  }

  onHeld(): void {
    this.#hold?.onHeld();
  }

  onRelease(): void {
    this.#hold?.onRelease();
  }

  /** The other end goes on in another process. @returns whether this one waits for that; otherwise it is closed */
  onMove(payload: Buffer): boolean {
    const move = decodeMove(payload);
    if (move && this.#hold?.isHeld) {
      this.#leavePlace("away");
      if (this.emit("moved", move.token, move.worker)) return true;
    }
    this.destroy();
    return false;
  }

  /** Both ends are there again. */
  onResumed(): void {
    if (this.#state !== "calling") return;
    this.#state = "joined";
    if (this.#isLeaving) this.#tell(FrameType.leave);
    if (this.#hasEnded) this.#tell(FrameType.end);
    this.pump();
    this.emit("resumed");
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#takenOut) {
      this.#takenOut.push(chunk);
      return done();
    }
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
    if (this.#isHeard() && this.#state !== "calling") this.#tell(FrameType.end);
    done();
  }

  /** The reader has room: the other end may send as much as was read. */
  override _read(): void {
    const { id, carrier } = this.#place ?? {};
    if (id === undefined || this.#uncreditedBytes < WINDOW_BYTES / 2 || this.#ending !== "none") return;
    carrier?.send(encodeCredit(id, this.#uncreditedBytes));
    this.#uncreditedBytes = 0;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isOver = this.#hasEnded && this.#ending === "ended";
    const place = this.#place;
    if (place && this.#isHeard() && !isOver) place.carrier.send(encodeReset(place.id, this.#receivedBytes));
    this.#unsent = undefined;
    this.#hold?.end();
    this.#leavePlace("left");
    done(error);
  }

  #tell(type: FrameType): void {
    this.#place?.carrier.send(encodeFrame(type, this.#place.id));
  }

  get #holding(): StreamHold {
    this.#hold ??= new StreamHold({
      tell: (type) => this.#tell(type),
      isWhole: () => this.#isWhole(),
      onOpen: () => this.pump(),
      heard: () => this.#place?.carrier.heard ?? 0,
      onSilent: () => {
        if (this.#place) this.#place.carrier.isSilent = true;
      },
    });
    return this.#hold;
  }

  /** Whether data may leave. */
  #isOpen(): boolean {
    return this.#state === "joined" && this.#hold?.isOpen !== false;
  }

  #leavePlace(state: "away" | "left"): void {
    this.#place?.carrier.forget(this);
    this.#place = undefined;
    this.#state = state;
  }

  /** Whether the other end still takes something. */
  #isHeard(): boolean {
    return this.#ending === "none" || this.#ending === "ended";
  }

  /** Whether neither side has ended. */
  #isWhole(): boolean {
    return this.#ending === "none" && !this.writableEnded && !this.destroyed;
  }
}
