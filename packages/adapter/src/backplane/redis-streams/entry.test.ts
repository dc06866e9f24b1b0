import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameList, NameTable, readEntry } from "../../../dist/backplane/redis-streams/entry.js";
import { HEADER_BYTES } from "../../../dist/wire/frame.js";

interface TestFrame {
  readonly namespace: string;
  readonly kind: number;
  readonly body: Uint8Array;
}

const frames = fc.array(
  fc.record({
    namespace: fc.string({ unit: "grapheme", maxLength: 20 }),
    kind: fc.integer({ min: 0, max: 255 }),
    body: fc.uint8Array({ maxLength: 3_000 }),
  }),
  { maxLength: 20 },
);

function bytesOf({ kind, body }: TestFrame): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + body.length);
  frame.writeUInt32LE(frame.length, 0);
  frame[4] = kind;
  frame.set(body, HEADER_BYTES);
  return frame;
}

function encode(list: readonly TestFrame[]): Buffer {
  const [names, encoded] = [new NameTable(), new FrameList()];
  for (const frame of list) {
    const bytes = Buffer.concat([Buffer.from("before"), bytesOf(frame), Buffer.from("after")]);
    encoded.add(names.place(frame.namespace), bytes, 6, bytes.length - 5);
  }
  return Buffer.concat([names.encode(), encoded.take()]);
}

function decode(entry: Buffer): { readonly list: TestFrame[]; readonly isWhole: boolean } {
  const list: TestFrame[] = [];
  const isWhole = readEntry(entry, (namespace, buffer, start, end) => {
    const body = Uint8Array.from(buffer.subarray(start + HEADER_BYTES, end));
    list.push({ namespace, kind: buffer[start + 4] as number, body });
  });
  return { list, isWhole };
}

test("frames come out as they went in, with the names of their namespaces", () => {
  fc.assert(
    fc.property(frames, (list) => {
      const expected = list.map((frame) => ({ ...frame, body: Uint8Array.from(frame.body) }));
      expect(decode(encode(list))).toEqual({ list: expected, isWhole: true });
    }),
  );
});

test("of an entry that was cut, whole frames come out, and it is told", () => {
  fc.assert(
    fc.property(frames, fc.nat(), (list, at) => {
      const entry = encode(list);
      const { list: read, isWhole } = decode(entry.subarray(0, at % entry.length));
      expect(read.length).toBeLessThanOrEqual(list.length);
      // A cut between two frames cannot be seen.
      if (!isWhole) return;
      expect(encode(read).length).toBeLessThanOrEqual(entry.length);
    }),
  );
});

test("any bytes are read without an error, and no frame is larger than what is there", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readEntry(Buffer.from(bytes), (_, buffer, start, end) => {
        expect(end).toBeLessThanOrEqual(buffer.length);
        expect(end - start).toBeGreaterThanOrEqual(HEADER_BYTES);
      });
    }),
    { numRuns: 1_000 },
  );
});
