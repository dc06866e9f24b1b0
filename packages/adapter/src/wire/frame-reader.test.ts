import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HEADER_BYTES } from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";

const MAX_BYTES = 250_000;

function frameOf(body: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + body.length);
  frame.writeUInt32LE(frame.length, 0);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Each chunk comes in the same memory, as from a link. */
function readAll(chunks: Iterable<Buffer>, inPlace = false): Buffer[] {
  const frames: Buffer[] = [];
  let fresh: Buffer[] = [];
  const onFrame = (buffer: Buffer, start: number, end: number) => fresh.push(buffer.subarray(start, end));
  const reader = new FrameReader(onFrame, MAX_BYTES, { inPlace });
  const memory = Buffer.alloc(MAX_BYTES);
  for (const chunk of chunks) {
    fresh = [];
    chunk.copy(memory);
    reader.push(memory.subarray(0, chunk.length));
    // In place, a frame is good until the end of the chunk; otherwise for ever.
    frames.push(...(inPlace ? fresh.map((frame) => Buffer.from(frame)) : fresh));
    memory.fill(0xee, 0, chunk.length);
  }
  return frames;
}

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  chunks.push(bytes.subarray(at));
  return chunks;
}

describe("FrameReader", () => {
  test.each([
    ["that may be kept", false],
    ["in place", true],
  ])("gives the frames that went in, %s, wherever the stream is cut", (_name, inPlace) => {
    const size = fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: 0, max: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 64_000, max: 200_000 }) },
    );
    const sizes = fc.array(size, { maxLength: 20 });
    const length = fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: 0, max: 40 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_536 }) },
    );
    const cuts = fc.array(length, { maxLength: 60 });
    fc.assert(
      fc.property(sizes, cuts, (bodies, lengths) => {
        const frames = bodies.map((bytes, i) => frameOf(Buffer.alloc(bytes, i + 1)));
        const chunks = cut(Buffer.concat(frames), lengths).flatMap((chunk) =>
          cut(chunk, Array(40).fill(65_536)),
        );
        expect(Buffer.concat(readAll(chunks, inPlace)).equals(Buffer.concat(frames))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("reads byte by byte", () => {
    const frames = [frameOf(Buffer.from("one")), frameOf(Buffer.alloc(0)), frameOf(Buffer.from("three"))];
    expect(readAll([...Buffer.concat(frames)].map((byte) => Buffer.from([byte])))).toEqual(frames);
  });

  test.each([
    ["a length below the header's", [HEADER_BYTES - 1, 0, 0, 0]],
    ["a length over the limit", [...Buffer.from(Uint32Array.of(MAX_BYTES + 1).buffer)]],
  ])("refuses %s, whole or cut", (_name, head) => {
    const broken = expect.objectContaining({ code: "HOLDFAST_ERR_BROKEN_FRAME" });
    expect(() => readAll([Buffer.from(head)])).toThrow(broken);
    expect(() => readAll(head.map((byte) => Buffer.from([byte])))).toThrow(broken);
  });
});
