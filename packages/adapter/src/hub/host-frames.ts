/** Frames that hubs write to each other, besides those of members. Pure. Runs in: where the hub is. */
import { FrameKind, HEADER_BYTES } from "../wire/frame.js";

const U32_BYTES = 4;

/** A frame whose fields are numbers. */
export function numbersFrame(kind: number, numbers: readonly number[]): Buffer {
  const frame = headed(kind, numbers.length * U32_BYTES);
  for (let i = 0; i < numbers.length; i++) {
    frame.writeUInt32LE(numbers[i] as number, HEADER_BYTES + i * U32_BYTES);
  }
  return frame;
}

export function fenceFrame(number: number, privateId: string): Buffer {
  const bytes = Buffer.byteLength(privateId);
  const frame = headed(FrameKind.hostFence, 2 * U32_BYTES + bytes);
  frame.writeUInt32LE(number, HEADER_BYTES);
  frame.writeUInt32LE(bytes, HEADER_BYTES + U32_BYTES);
  frame.write(privateId, HEADER_BYTES + 2 * U32_BYTES);
  return frame;
}

function headed(kind: number, bytes: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + bytes);
  frame.writeUInt32LE(frame.length, 0);
  frame[4] = kind;
  return frame;
}
