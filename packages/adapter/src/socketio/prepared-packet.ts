/**
 * A packet that was encoded once and is written many times.
 * Each part is kept as the WebSocket frame that carries it (RFC 6455 §5.2), which is also its form on the
 * link; the encoded form that long-polling needs is the frame's payload. Runs in: workers.
 */
// Imported, because the global is a getter, and this is the hot path.
import { Buffer } from "node:buffer";
import type { Namespace, Socket } from "socket.io";
import type { BroadcastFlags } from "socket.io-adapter";
import { HoldfastError, messageOf } from "../errors.js";
import { runApplication } from "../faults.js";
import type { Outbox } from "../link/outbox.js";
import { brokenMessage, type FieldReader } from "../wire/field-reader.js";
import { PartFlag } from "../wire/frame.js";
import { PLACEHOLDER } from "../wire/offset.js";
import { binaryFrame, binaryOf, isAscii, textFrame, textOf } from "../wire/websocket-frame.js";
import {
  connectionOf,
  decodePacket,
  type EncodedPart,
  encoderOf,
  hasOutgoingListeners,
  notifyOutgoingListeners,
  type Packet,
  takesPlainBinary,
  type WriteOptions,
  writesFrames,
} from "./private-fields.js";
import { isWritable, writeByEngine, writeFrames } from "./write-batch.js";

/** What {@link PreparedPacket.write} puts before each part: flags and length. */
const PART_HEAD_BYTES = 5;

export class PreparedPacket {
  readonly #nsp: Namespace;
  /** The WebSocket frame of each part, and its {@link PartFlag}s. */
  readonly #frames: readonly Buffer[];
  readonly #flags: readonly number[];
  #encoded: (string | Buffer)[] | undefined;
  #packet: Packet | undefined;
  /** Where an offset is in the frames, and that the last argument is one. */
  #offsetPlace: { readonly part: number; readonly at: number } | undefined;
  #hasOffset = false;
  /** Why the packet that came from another worker cannot be decoded, once somebody has asked for it. */
  failure: HoldfastError | undefined;

  private constructor(nsp: Namespace, frames: readonly Buffer[], flags: readonly number[]) {
    this.#nsp = nsp;
    this.#frames = frames;
    this.#flags = flags;
  }

  /** Encodes with the server's own encoder. */
  static encode(nsp: Namespace, packet: Packet): PreparedPacket {
    packet.nsp = nsp.name;
    const encoded = encoderOf(nsp).encode(packet);
    const frames: Buffer[] = [];
    const flags: number[] = [];
    for (let i = 0; i < encoded.length; i++) {
      const part = normalize(encoded[i] as EncodedPart);
      encoded[i] = part;
      const frame = typeof part === "string" ? textFrame(part) : binaryFrame(part);
      frames.push(frame);
      flags.push(typeof part === "string" ? textFlags(part, frame) : 0);
    }
    const prepared = new PreparedPacket(nsp, frames, flags);
    prepared.#encoded = encoded as (string | Buffer)[];
    prepared.#packet = packet;
    return prepared;
  }

  /**
   * Encodes with a placeholder as the last argument, for {@link setOffset}.
   * @throws {HoldfastError} `HOLDFAST_ERR_UNSUPPORTED_PARSER` when it is not in what the parser made of it
   */
  static encodeWithOffset(nsp: Namespace, packet: Packet): PreparedPacket {
    packet.data.push(PLACEHOLDER);
    try {
      const prepared = PreparedPacket.encode(nsp, packet);
      for (let part = 0; part < prepared.#frames.length; part++) {
        const at = placeOf(prepared.#frames[part] as Buffer);
        if (at === -1) continue;
        prepared.#offsetPlace = { part, at };
        return prepared;
      }
    } finally {
      packet.data.pop();
    }
    throw new HoldfastError(
      "HOLDFAST_ERR_UNSUPPORTED_PARSER",
      "The server's parser does not keep the text of strings, so the offset that connectionStateRecovery needs has " +
        "no place in its packets. Use another parser, or switch connectionStateRecovery off.",
    );
  }

  /** Reads what {@link write} wrote. @param hasOffset whether its last argument is an offset */
  static read(nsp: Namespace, fields: FieldReader, hasOffset = false): PreparedPacket {
    const frames: Buffer[] = [];
    const flags: number[] = [];
    for (let count = fields.u32(); count > 0; count--) {
      flags.push(fields.u8());
      frames.push(fields.bytes(fields.u32()));
    }
    const prepared = new PreparedPacket(nsp, frames, flags);
    prepared.#hasOffset = hasOffset;
    return prepared;
  }

  /** What {@link write} writes. */
  get bytes(): number {
    return this.#frames.reduce((bytes, { length }) => bytes + PART_HEAD_BYTES + length, 1);
  }

  /** How far before the end of what {@link write} writes the offset's place is; 0 if there is none. */
  get offsetFromEnd(): number {
    const place = this.#offsetPlace;
    if (!place) return 0;
    let bytes = (this.#frames[place.part] as Buffer).length - place.at;
    for (let i = place.part + 1; i < this.#frames.length; i++) {
      bytes += PART_HEAD_BYTES + (this.#frames[i] as Buffer).length;
    }
    return bytes;
  }

  /** Writes an offset over the placeholder, or over an earlier one. */
  setOffset(offset: string): void {
    const place = this.#offsetPlace;
    if (!place) return;
    this.#frames[place.part]?.write(offset, place.at, "latin1");
    this.#encoded = undefined;
  }

  /** Appends the packet to the frame that `outbox` is building. */
  write(outbox: Outbox): void {
    const frames = this.#frames;
    outbox.u32(frames.length);
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i] as Buffer;
      outbox.u8(this.#flags[i] as number);
      outbox.u32(frame.length);
      outbox.raw(frame);
    }
  }

  /** The parts as the server's encoder made them. */
  get encoded(): (string | Buffer)[] {
    this.#encoded ??= this.#frames.map((frame, i) => payloadOf(frame, this.#flags[i] as number));
    return this.#encoded;
  }

  /**
   * The packet itself; decoded only if it came from another worker and somebody asks. Undefined if the parser
   * cannot read it; then {@link failure} says why.
   */
  get packet(): Packet | undefined {
    if (!this.#packet && !this.failure) this.#decode();
    return this.#packet;
  }

  #decode(): void {
    try {
      this.#packet = decodePacket(this.#nsp, this.encoded);
      // Listeners get what the application sent.
      if (this.#hasOffset) this.#packet?.data.pop();
      if (!this.#packet) this.failure = brokenMessage("the parser makes no packet of it");
    } catch (error) {
      this.failure = brokenMessage(`the parser says: ${messageOf(error)}`);
    }
  }

  /** Options for one delivery, one for each part; all sockets share them, as in Socket.IO's own adapter. */
  writeOptions({ volatile, compress }: BroadcastFlags): WriteOptions[] {
    const options: WriteOptions[] = [];
    for (const frame of this.#frames) options.push({ volatile, compress, wsPreEncodedFrame: [frame] });
    return options;
  }

  /**
   * Writes the packet to a socket, as `Adapter.broadcast()` of Socket.IO does.
   * @param run runs the listeners of the application that hear of it
   */
  writeTo(socket: Socket, options: readonly WriteOptions[], run = runApplication): void {
    if (hasOutgoingListeners(socket) && this.packet) notifyBy(run, socket, this.packet);
    const connection = connectionOf(socket);
    const plainBinary = takesPlainBinary(connection);
    const framesAreEnough = plainBinary && writesFrames(connection);
    if (framesAreEnough && writeFrames(connection, this.#frames)) return;
    if (options[0]?.volatile && !isWritable(connection)) return;
    // What came from another worker has no text yet, and it may be long: it is made only when it is needed.
    const parts = framesAreEnough && this.#encoded === undefined ? this.#frames : this.encoded;
    const write = () => {
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i] as string | Buffer;
        const own = options[i] as WriteOptions;
        connection.write(part, plainBinary || typeof part === "string" ? own : withoutFrame(own));
      }
    };
    writeByEngine(connection, write, run);
  }
}

/** Apart: a function made in `writeTo()` would put its arguments on the heap, for every socket. */
function notifyBy(run: typeof runApplication, socket: Socket, packet: Packet): void {
  run(() => notifyOutgoingListeners(socket, packet));
}

/** The engine makes the frame itself. */
function withoutFrame({ volatile, compress }: WriteOptions): WriteOptions {
  return { volatile, compress };
}

/** Where the placeholder is in a part; -1 if it is not. */
function placeOf(frame: Buffer): number {
  // In JSON the last argument is followed by `"]`. Looking there costs a tenth of searching.
  const at = frame.length - 2 - PLACEHOLDER.length;
  if (frame.toString("latin1", at, at + PLACEHOLDER.length) === PLACEHOLDER) return at;
  return frame.lastIndexOf(PLACEHOLDER, undefined, "latin1");
}

/** @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE` for a Blob, whose bytes cannot be read in time */
function normalize(part: EncodedPart): string | Buffer {
  if (typeof part === "string" || Buffer.isBuffer(part)) return part;
  if (ArrayBuffer.isView(part)) return Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  if (part instanceof ArrayBuffer) return Buffer.from(part);
  throw new HoldfastError(
    "HOLDFAST_ERR_UNSERIALIZABLE",
    `A ${Object.prototype.toString.call(part)} cannot be broadcast. Send its bytes as a Buffer instead.`,
  );
}

function textFlags(text: string, frame: Buffer): number {
  return isAscii(frame, text) ? PartFlag.text | PartFlag.ascii : PartFlag.text;
}

function payloadOf(frame: Buffer, flags: number): string | Buffer {
  if ((flags & PartFlag.text) === 0) return binaryOf(frame);
  return textOf(frame, (flags & PartFlag.ascii) !== 0 ? "latin1" : "utf8");
}
