import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HEADER_BYTES } from "../dist/frame.js";
import { FrameReader } from "../dist/frame-reader.js";

const MAX_BYTES = 100_000;

function frameOf(body: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + body.length);
  frame.writeUInt32LE(frame.length, 0);
  frame.set(body, HEADER_BYTES);
  return frame;
}

function readAll(chunks: Iterable<Buffer>): Buffer[] {
  const frames: Buffer[] = [];
  const reader = new FrameReader((buffer, start, end) => frames.push(buffer.subarray(start, end)), MAX_BYTES);
  for (const chunk of chunks) reader.push(chunk);
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
  test("gives the frames that went in, wherever the stream is cut", () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });
    const cuts = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 60 });
    fc.assert(
      fc.property(bodies, cuts, (contents, lengths) => {
        const frames = contents.map(frameOf);
        expect(readAll(cut(Buffer.concat(frames), lengths))).toEqual(frames);
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
