/**
 * The format between two workers on the link that carries relayed requests: streams of bytes over one connection.
 * Owns: the format; pure. Runs in: workers.
 *
 *     length of the payload (3 bytes, little-endian), type (1), stream (4, little-endian), payload
 *
 * The worker that relays opens the link, and every stream on it. A stream is to the owner what a client's connection
 * would be: HTTP/1.1 or, after an upgrade, anything.
 */

/** Version of this format; the greeting carries it. */
export const LINK_VERSION = 5;

/** Frame types; the numbers are part of version 5. */
export const FrameType = {
  /** relay → owner, first on a link: [version (1), number of the owner that is meant (4), the cluster's secret] */
  hello: 1,
  /** owner → relay: the hello was right, streams may come. [] */
  welcome: 2,
  /** relay → owner: a stream begins. [an origin, as `origin.ts` writes it] */
  open: 3,
  /** Bytes of a stream, as many as the receiver has given credit for. */
  data: 4,
  /** The sender sends no more on this stream. [] */
  end: 5,
  /** The sender neither sends nor takes any more on this stream. [how many bytes of it were used (8)] */
  reset: 6,
  /** owner → relay: there is no such server, and nothing of the stream was used. [] */
  refuse: 7,
  /** The receiver has used so many bytes; as many more may come. [count (4)] */
  credit: 8,
  /** relay → owner: the relaying worker ends, so a poll that waits on this stream should be answered. [] */
  leave: 9,
  /** owner → relay: open no more streams on this link: a new one leads to whoever has the owner's sessions now. [] */
  goAway: 10,
  /** The sender may go on elsewhere with this stream, and sends nothing more for now: the other end is to do the same. [] */
  hold: 11,
  /** The answer to `hold`: no data comes any more until `release`, or elsewhere after `move`. [] */
  held: 12,
  /** From who has sent `hold`: the stream goes on as before. [] */
  release: 13,
  /**
   * From who has sent `hold` and has the answer: its end of the stream is in another process. The relay's end calls again, with
   * `resume`: that of the worker named here if the owner's end has moved. [token (16), worker (4)]
   */
  move: 14,
  /** relay → owner: a stream goes on here, under a number of this link. Nothing is sent on it before the answer. [token (16)] */
  resume: 15,
  /** owner → relay: it does. [] */
  resumed: 16,
} as const;

export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const HEADER_BYTES = 8;
/** The longest payload: senders of more send several frames. */
export const MAX_PAYLOAD_BYTES = 65_536;
/** How many bytes of a stream may come before the receiver gives credit for more. */
export const WINDOW_BYTES = 262_144;

const NOTHING = Buffer.alloc(0);
export const TOKEN_BYTES = 16;

/** A whole frame; `payload` has at most {@link MAX_PAYLOAD_BYTES}. */
export function encodeFrame(type: FrameType, stream: number, payload: Buffer = NOTHING): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  writeHeader(frame, type, stream, payload.length);
  payload.copy(frame, HEADER_BYTES);
  return frame;
}

/** The header of a frame whose payload is written behind it. */
export function encodeHeader(type: FrameType, stream: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, type, stream, length);
  return header;
}

function writeHeader(into: Buffer, type: FrameType, stream: number, length: number): void {
  into.writeUInt32LE((length | (type << 24)) >>> 0, 0);
  into.writeUInt32LE(stream, 4);
}

/** @param owner whom the link is to lead to: nobody else lets it in */
export function encodeHello(secret: string, owner: number): Buffer {
  const start = Buffer.alloc(5);
  start.writeUInt8(LINK_VERSION, 0);
  start.writeUInt32LE(owner, 1);
  return encodeFrame(FrameType.hello, 0, Buffer.concat([start, Buffer.from(secret)]));
}

export function encodeReset(stream: number, usedBytes: number): Buffer {
  const payload = Buffer.allocUnsafe(8);
  payload.writeDoubleLE(usedBytes, 0);
  return encodeFrame(FrameType.reset, stream, payload);
}

export function encodeCredit(stream: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32LE(bytes, 0);
  return encodeFrame(FrameType.credit, stream, payload);
}

/** What both ends of a stream know that goes on over another link: {@link TOKEN_BYTES} random bytes, as base64url. */
export type StreamToken = string;

/** @param worker who has the owner's end then */
export function encodeMove(stream: number, token: StreamToken, worker: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(worker, 0);
  return encodeFrame(FrameType.move, stream, Buffer.concat([Buffer.from(token, "base64url"), number]));
}

export function encodeResume(stream: number, token: StreamToken): Buffer {
  return encodeFrame(FrameType.resume, stream, Buffer.from(token, "base64url"));
}

/** What a `move` says; `undefined` for a malformed one. */
export function decodeMove(
  payload: Buffer,
): { readonly token: StreamToken; readonly worker: number } | undefined {
  if (payload.length !== TOKEN_BYTES + 4) return undefined;
  const token = payload.toString("base64url", 0, TOKEN_BYTES);
  return { token, worker: payload.readUInt32LE(TOKEN_BYTES) };
}

/** What a `resume` says; `undefined` for a malformed one. */
export function decodeResume(payload: Buffer): StreamToken | undefined {
  return payload.length === TOKEN_BYTES ? payload.toString("base64url") : undefined;
}

/** How many bytes a `reset` says were used; 0 for a malformed one. */
export function decodeReset(payload: Buffer): number {
  const used = payload.length === 8 ? payload.readDoubleLE(0) : 0;
  return Number.isSafeInteger(used) && used >= 0 ? used : 0;
}

/** How many bytes a `credit` gives; 0 for a malformed one. */
export function decodeCredit(payload: Buffer): number {
  return payload.length === 4 ? payload.readUInt32LE(0) : 0;
}

/**
 * Takes a frame. The payload of a `data` frame may come in several calls, that of all others comes whole.
 * The payload is part of what was read: keep a copy, not the slice, beyond the call if it is to last.
 */
export type OnFrame = (type: FrameType, stream: number, payload: Buffer) => void;

/** Cuts what comes on a link into frames. */
export class LinkFrameReader {
  readonly #onFrame: OnFrame;
  /** The beginning of a frame that has not come whole. */
  #rest: Buffer = NOTHING;
  /** Of the `data` frame that is coming: its stream, and how many bytes are missing. */
  #stream = 0;
  #missing = 0;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  /** Takes bytes; `false` if they are no frames, and then nothing more may be given. */
  execute(bytes: Buffer): boolean {
    let input = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = NOTHING;
    while (input.length > 0) {
      if (this.#missing > 0) {
        const part = input.subarray(0, this.#missing);
        this.#missing -= part.length;
        input = input.subarray(part.length);
        this.#onFrame(FrameType.data, this.#stream, part);
        continue;
      }
      const used = this.#readFrame(input);
      if (used < 0) return false;
      if (used === 0) break;
      input = input.subarray(used);
    }
    this.#rest = input;
    return true;
  }

  /** How many bytes it took: 0 for want of more, -1 if they are malformed. */
  #readFrame(input: Buffer): number {
    if (input.length < HEADER_BYTES) return 0;
    const first = input.readUInt32LE(0);
    const length = first & 0xff_ffff;
    const type = first >>> 24;
    if (length > MAX_PAYLOAD_BYTES || type < FrameType.hello || type > FrameType.resumed) return -1;
    const stream = input.readUInt32LE(4);
    if (type === FrameType.data) {
      this.#stream = stream;
      this.#missing = length;
      return HEADER_BYTES;
    }
    const end = HEADER_BYTES + length;
    if (input.length < end) return 0;
    this.#onFrame(type as FrameType, stream, input.subarray(HEADER_BYTES, end));
    return end;
  }
}
