import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Sink } from "../../dist/link/contract.js";
import { LINK_BYTES, SendQueue } from "../../dist/link/send-queue.js";

/** A link that takes what is written only when it is told to. */
class SlowLink implements Sink {
  pendingBytes = 0;
  /** Everything that was written, in order. */
  readonly written: Buffer[] = [];
  /** The most that was ever pending. */
  most = 0;

  write(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      this.written.push(Buffer.from(chunk));
      this.pendingBytes += chunk.length;
    }
    this.most = Math.max(this.most, this.pendingBytes);
  }

  /** The system takes so many bytes. */
  take(bytes: number): void {
    this.pendingBytes -= Math.min(bytes, this.pendingBytes);
  }
}

const FRAME_HEAD = 8;

/** A frame that says which it is: number, size. */
function frame(number: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes, number & 0xff);
  buffer.writeUInt32LE(bytes, 0);
  buffer.writeUInt32LE(number, 4);
  return buffer;
}

/** The numbers of the frames, in order; fails where a frame is torn. */
function framesOf(written: readonly Buffer[]): number[] {
  const bytes = Buffer.concat(written);
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32LE(at);
    const number = bytes.readUInt32LE(at + 4);
    expect(bytes.subarray(at, at + size).equals(frame(number, size))).toBe(true);
    numbers.push(number);
    at += size;
  }
  return numbers;
}

const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: FRAME_HEAD, max: 5_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 50_000, max: LINK_BYTES }) },
  { weight: 1, arbitrary: fc.integer({ min: LINK_BYTES, max: 4 * LINK_BYTES }) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ does: fc.constant("write" as const), size }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant("writeAhead" as const), size }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("take" as const), size }) },
  { weight: 1, arbitrary: fc.constant({ does: "hold" as const, size: 0 }) },
  { weight: 2, arbitrary: fc.constant({ does: "release" as const, size: 0 }) },
);

describe("SendQueue", () => {
  test("frames stay whole and in their order, what is held back stays, and nothing else waits for it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const link = new SlowLink();
        const queue = new SendQueue(link);
        const ordered: number[] = [];
        const ahead: number[] = [];
        let bytes = 0;
        let taken = 0;
        let isHeld = false;
        let next = 0;
        for (const { does, size: amount } of steps) {
          if (does === "write") {
            ordered.push(++next);
            bytes += amount;
            queue.write([frame(next, amount)]);
          } else if (does === "writeAhead") {
            ahead.push(++next);
            bytes += amount;
            queue.writeAhead(frame(next, amount));
          } else if (does === "take") {
            taken += Math.min(amount, link.pendingBytes);
            link.take(amount);
            queue.onTaken();
          } else if (does === "hold") {
            isHeld = true;
            queue.hold();
          } else {
            isHeld = false;
            queue.release();
          }
          expect(queue.pendingBytes).toBe(bytes - taken);
          expect(queue.takenBytes).toBe(taken);
          if (queue.isFlowing) expect([isHeld, queue.pendingBytes]).toEqual([false, link.pendingBytes]);
        }
        expect(link.most).toBeLessThanOrEqual(2 * LINK_BYTES);
        // What is not held back gets out, however little is taken at a time.
        while (link.pendingBytes > 0) {
          link.take(LINK_BYTES / 2);
          queue.onTaken();
        }
        const isAhead = new Set(ahead);
        const beforeRelease = framesOf(link.written);
        expect(beforeRelease.filter((number) => isAhead.has(number))).toEqual(ahead);
        if (!isHeld) expect(queue.pendingBytes).toBe(0);
        queue.release();
        while (link.pendingBytes > 0) {
          link.take(LINK_BYTES);
          queue.onTaken();
        }
        const all = framesOf(link.written);
        expect(all.filter((number) => isAhead.has(number))).toEqual(ahead);
        expect(all.filter((number) => !isAhead.has(number))).toEqual(ordered);
      }),
      { numRuns: 200 },
    );
  });

  test("while it is held, nothing that waits begins", () => {
    const link = new SlowLink();
    const queue = new SendQueue(link);
    queue.write([frame(1, LINK_BYTES)]);
    queue.write([frame(2, 100)]);
    queue.write([frame(3, 3 * LINK_BYTES)]);
    queue.hold();
    queue.write([frame(4, 100)]);
    queue.writeAhead(frame(5, 200));
    for (let i = 0; i < 10; i++) {
      link.take(LINK_BYTES);
      queue.onTaken();
    }
    expect(framesOf(link.written)).toEqual([1, 2, 5]);
    queue.release();
    for (let i = 0; i < 10; i++) {
      link.take(LINK_BYTES);
      queue.onTaken();
    }
    expect(framesOf(link.written)).toEqual([1, 2, 5, 3, 4]);
  });

  test("what goes ahead passes megabytes that wait, but not the frame that is under way", () => {
    const link = new SlowLink();
    const queue = new SendQueue(link);
    queue.write([frame(1, 5 * LINK_BYTES)]);
    for (let number = 2; number < 50; number++) queue.write([frame(number, LINK_BYTES)]);
    queue.writeAhead(frame(100, 16));
    while (link.pendingBytes > 0) {
      link.take(LINK_BYTES);
      queue.onTaken();
    }
    expect(framesOf(link.written).slice(0, 3)).toEqual([1, 100, 2]);
  });

  test("a link that takes everything at once gets everything at once, however large", () => {
    let got = 0;
    const queue = new SendQueue({
      pendingBytes: 0,
      write: (chunks) => {
        for (const chunk of chunks) got += chunk.length;
      },
    });
    queue.write([Buffer.alloc(20 * LINK_BYTES)]);
    expect([got, queue.pendingBytes, queue.isFlowing]).toEqual([20 * LINK_BYTES, 0, true]);
  });

  test("says when something begins to wait, once until nothing does", () => {
    const link = new SlowLink();
    let blocked = 0;
    const queue = new SendQueue(link, () => blocked++);
    queue.write([frame(1, LINK_BYTES)]);
    expect(blocked).toBe(0);
    queue.write([frame(2, LINK_BYTES)]);
    queue.write([frame(3, LINK_BYTES)]);
    queue.write([frame(4, LINK_BYTES)]);
    expect(blocked).toBe(1);
    for (let i = 0; i < 4; i++) {
      link.take(LINK_BYTES);
      queue.onTaken();
    }
    expect(queue.pendingBytes).toBe(0);
    for (let number = 5; number < 9; number++) queue.write([frame(number, LINK_BYTES)]);
    expect(blocked).toBe(2);
  });

  test("at the end, what is held back is given to the link, too", () => {
    const link = new SlowLink();
    const queue = new SendQueue(link);
    queue.write([frame(1, LINK_BYTES)]);
    queue.hold();
    queue.write([frame(2, LINK_BYTES)]);
    queue.write([frame(3, LINK_BYTES)]);
    queue.giveAll();
    expect(framesOf(link.written)).toEqual([1, 2, 3]);
    expect(queue.pendingBytes).toBe(link.pendingBytes);
  });

  test("a backlog of small frames that lie side by side is few chunks", () => {
    const link = new SlowLink();
    const queue = new SendQueue(link);
    queue.write([frame(0, LINK_BYTES + 1)]);
    const memory = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => frame(i + 1, 100)));
    for (let i = 0; i < 1_000; i++) queue.write([memory.subarray(i * 100, i * 100 + 100)]);
    const before = link.written.length;
    link.take(Number.POSITIVE_INFINITY);
    queue.onTaken();
    expect(link.written.length - before).toBeLessThan(4);
    expect(framesOf(link.written)).toHaveLength(1_001);
  });
});
