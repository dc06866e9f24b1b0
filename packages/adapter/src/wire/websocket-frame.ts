/**
 * WebSocket frames as a server sends them: final and unmasked (RFC 6455 §5.2).
 * Owns: the memory that short frames are cut from. Runs in: primary and workers.
 */
// Imported, because the global is a getter, and this is the hot path.
import { Buffer } from "node:buffer";

const FIN_TEXT = 0x81;
const FIN_BINARY = 0x82;
const MASKED = 0x80;
/** "message" in Engine.IO's protocol: goes before text, not before binary. */
const ENGINE_MESSAGE = 0x34;
/** Most bytes of a character of JavaScript in UTF-8. */
const MAX_CHAR_BYTES = 3;
const SHORT_HEAD_BYTES = 4;
const SHORT_CHARS = 1024;
const SLAB_BYTES = 8 * 1024;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;

/** The frame of a text that the engine sends as a message. */
export function textFrame(text: string): Buffer {
  if (text.length <= SHORT_CHARS) return shortTextFrame(text);
  const bytes = Buffer.byteLength(text);
  const head = headBytes(bytes + 1);
  const frame = Buffer.allocUnsafe(head + 1 + bytes);
  writeHead(frame, 0, FIN_TEXT, bytes + 1);
  frame[head] = ENGINE_MESSAGE;
  frame.write(text, head + 1, bytes === text.length ? "latin1" : "utf8");
  return frame;
}

/** Writing a short text and seeing how long it is costs less than asking for its length first. */
function shortTextFrame(text: string): Buffer {
  const most = SHORT_HEAD_BYTES + 1 + text.length * MAX_CHAR_BYTES;
  if (most > slab.length - used) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
  }
  const messageAt = used + SHORT_HEAD_BYTES;
  const bytes = 1 + slab.write(text, messageAt + 1);
  const start = messageAt - headBytes(bytes);
  writeHead(slab, start, FIN_TEXT, bytes);
  slab[messageAt] = ENGINE_MESSAGE;
  used = messageAt + bytes;
  return slab.subarray(start, used);
}

/** The frame of binary data. */
export function binaryFrame(bytes: Buffer): Buffer {
  const head = headBytes(bytes.length);
  const frame = Buffer.allocUnsafe(head + bytes.length);
  writeHead(frame, 0, FIN_BINARY, bytes.length);
  bytes.copy(frame, head);
  return frame;
}

/** Whether the text of a frame has a byte for each character. */
export function isAscii(frame: Buffer, text: string): boolean {
  return frame.length - payloadStart(frame) - 1 === text.length;
}

/** The text of a frame. @param encoding `latin1` where it is ASCII */
export function textOf(frame: Buffer, encoding: "latin1" | "utf8"): string {
  return frame.toString(encoding, payloadStart(frame) + 1);
}

/** The binary data of a frame, not copied. */
export function binaryOf(frame: Buffer): Buffer {
  return frame.subarray(payloadStart(frame));
}

/**
 * The head of a frame as a client sends it.
 * @param first its first byte: FIN, RSV and opcode
 * @param mask undefined for a head that ends before its mask
 */
export function frameHead(first: number, length: number, mask: Buffer | undefined): Buffer {
  const bytes = headBytes(length);
  const head = Buffer.alloc(bytes + (mask?.length ?? 0));
  writeHead(head, 0, first, length);
  head[1] = (head[1] as number) | MASKED;
  mask?.copy(head, bytes);
  return head;
}

function payloadStart(frame: Buffer): number {
  const length = (frame[1] as number) & 0x7f;
  return length === 127 ? 10 : length === 126 ? 4 : 2;
}

/** Bytes of the header for a payload of this length. */
function headBytes(length: number): number {
  return length < 126 ? 2 : length < 65536 ? 4 : 10;
}

function writeHead(buffer: Buffer, at: number, first: number, length: number): void {
  buffer[at] = first;
  if (length < 126) {
    buffer[at + 1] = length;
  } else if (length < 65536) {
    buffer[at + 1] = 126;
    buffer[at + 2] = length >>> 8;
    buffer[at + 3] = length;
  } else {
    buffer[at + 1] = 127;
    buffer.writeUInt32BE(0, at + 2);
    buffer.writeUInt32BE(length, at + 6);
  }
}
