import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Link } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { NamesMemo } from "../../dist/member/names-memo.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameFlags,
  frameKey,
  frameKeyCount,
  frameKind,
  frameNamespace,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";

/** A link that takes everything at once, or keeps it as a slow one does. */
class FakeLink implements Link {
  readonly kind = "pipe";
  readonly written: Buffer[] = [];
  writes = 0;
  pendingBytes = 0;
  readonly #slow: boolean;

  constructor(slow: boolean) {
    this.#slow = slow;
  }

  write(chunks: readonly Buffer[]): void {
    this.writes++;
    // A slow link holds on to the very bytes it was given; a fast one is done with them.
    for (const chunk of chunks) this.written.push(this.#slow ? chunk : Buffer.from(chunk));
    if (this.#slow) for (const chunk of chunks) this.pendingBytes += chunk.length;
  }

  end(): void {}
  close(): void {}
}

/** A link over a full pipe: it holds on to the bytes that it was given until `take()`. */
class FullLink extends FakeLink {
  readonly #held: Buffer[] = [];
  /** Memory that it was ever given. */
  readonly memory = new Set<ArrayBufferLike>();

  constructor() {
    super(true);
  }

  override write(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      this.#held.push(chunk);
      this.pendingBytes += chunk.length;
      this.memory.add(chunk.buffer);
    }
  }

  /** The system takes so many of the chunks that were written. */
  take(chunks: number): void {
    for (const chunk of this.#held.splice(0, chunks)) {
      this.written.push(Buffer.from(chunk));
      this.pendingBytes -= chunk.length;
    }
  }
}

interface Sent {
  readonly namespace: number;
  readonly keys: readonly number[];
  /** latin1: compared faster than arrays of numbers. */
  readonly body: string;
}

function build(outbox: Outbox, { namespace, keys, body }: Sent): void {
  outbox.begin(FrameKind.broadcast, 5, namespace);
  for (const key of keys) outbox.key(key);
  outbox.raw(Buffer.from(body, "latin1"));
  outbox.end();
}

function read(written: readonly Buffer[]): Sent[] {
  const frames: Sent[] = [];
  const reader = new FrameReader((buffer, start, end) => {
    expect([frameKind(buffer, start), frameFlags(buffer, start)]).toEqual([FrameKind.broadcast, 5]);
    const count = frameKeyCount(buffer, start);
    frames.push({
      namespace: frameNamespace(buffer, start),
      keys: Array.from({ length: count }, (_, i) => frameKey(buffer, start, i)),
      body: buffer.toString("latin1", frameFields(buffer, start), end),
    });
  }, 10_000_000);
  for (const chunk of written) reader.push(chunk);
  return frames;
}

const sent = fc.record({
  namespace: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  keys: fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { maxLength: 5 }),
  body: fc.oneof(
    fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
      maxLength: 200,
    }),
    fc.integer({ min: 9_000, max: 200_000 }).map((size) => String.fromCharCode(size % 256).repeat(size)),
  ),
});

describe("Outbox", () => {
  test.each([false, true])("what was built arrives in order, over a slow link: %s", (slow) => {
    fc.assert(
      fc.property(fc.array(fc.oneof(sent, fc.constant("flush" as const)), { maxLength: 25 }), (steps) => {
        const link = new FakeLink(slow);
        const outbox = new Outbox(link);
        for (const step of steps) {
          if (step === "flush") outbox.flush();
          else build(outbox, step);
        }
        outbox.flush();
        expect(read(link.written)).toEqual(steps.filter((step) => step !== "flush"));
      }),
      { numRuns: 100 },
    );
  });

  test("relayed and built frames keep their order, whatever was left out between them", () => {
    const step = fc.record({ action: fc.constantFrom("relay", "skip", "build", "flush"), frame: sent });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const source = new FakeLink(false);
        const from = new Outbox(source);
        for (const { frame } of steps) build(from, frame);
        from.flush();
        const chunk = Buffer.concat(source.written);

        const link = new FakeLink(true);
        const outbox = new Outbox(link);
        let at = 0;
        for (const { action, frame } of steps) {
          const end = at + chunk.readUInt32LE(at);
          if (action === "relay") outbox.relay(chunk, at, end);
          else if (action === "build") build(outbox, frame);
          else if (action === "flush") outbox.flush();
          at = end;
        }
        outbox.flush();
        const expected = steps.filter(({ action }) => action === "relay" || action === "build");
        expect(read(link.written)).toEqual(expected.map(({ frame }) => frame));
      }),
      { numRuns: 200 },
    );
  });

  test("what a slow link holds on to stays as it was until the system has taken it", () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: sent },
      { weight: 1, arbitrary: fc.constant("flush" as const) },
      { weight: 1, arbitrary: fc.nat(4) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const link = new FullLink();
        const outbox = new Outbox(link);
        for (const action of steps) {
          if (action === "flush") outbox.flush();
          else if (typeof action === "number") link.take(action);
          else build(outbox, action);
        }
        outbox.flush();
        link.take(Number.POSITIVE_INFINITY);
        expect(read(link.written)).toEqual(steps.filter((action) => typeof action === "object"));
      }),
      { numRuns: 100 },
    );
  });

  test("a backlog that stays is no reason for new memory", () => {
    const link = new FullLink();
    const outbox = new Outbox(link);
    const frame = { namespace: 1, keys: [], body: "x".repeat(10_000) };
    const BACKLOG_CHUNKS = 20;
    for (let i = 0; i < BACKLOG_CHUNKS; i++) {
      build(outbox, frame);
      outbox.flush();
    }
    for (let i = 0; i < 1_000; i++) {
      build(outbox, frame);
      outbox.flush();
      link.take(1);
    }
    expect(link.pendingBytes).toBeGreaterThan(0);
    // 20 frames are less than two buffers, wherever they begin and end.
    expect(link.memory.size).toBeLessThanOrEqual(4);
  });

  test("one turn of the event loop is one write", async () => {
    const link = new FakeLink(false);
    const outbox = new Outbox(link);
    for (let i = 0; i < 100; i++) build(outbox, { namespace: 1, keys: [], body: "0123456789" });
    expect(link.writes).toBe(0);
    await new Promise(setImmediate);
    expect(link.writes).toBe(1);
  });

  test("counts what waits, and tells after each flush what is pending", () => {
    const link = new FakeLink(true);
    const flushed: number[] = [];
    const outbox = new Outbox(link, { onFlushed: (bytes) => flushed.push(bytes) });
    expect(outbox.isFlushed).toBe(true);
    build(outbox, { namespace: 1, keys: [], body: "x".repeat(488) });
    expect([outbox.backlogBytes, outbox.isFlushed]).toEqual([500, false]);
    outbox.flush();
    expect([outbox.backlogBytes, outbox.isFlushed, flushed]).toEqual([500, true, [500]]);
    build(outbox, { namespace: 1, keys: [], body: "x".repeat(489) });
    outbox.flush();
    expect([outbox.backlogBytes, flushed]).toEqual([1001, [500, 1001]]);
  });

  test("an aborted frame leaves no trace", () => {
    const link = new FakeLink(false);
    const outbox = new Outbox(link);
    const kept = { namespace: 2, keys: [3], body: "\x01" };
    build(outbox, kept);
    outbox.begin(FrameKind.broadcast, 0, 9);
    outbox.raw(new Uint8Array(100_000));
    outbox.abort();
    build(outbox, kept);
    outbox.flush();
    expect(read(link.written)).toEqual([kept, kept]);
  });

  test("names come back as what they were, without those that no other process can have", () => {
    const memo = new NamesMemo();
    fc.assert(
      fc.property(fc.array(anyName, { maxLength: 10 }), (list) => {
        const set = new Set(list);
        const link = new FakeLink(false);
        const outbox = new Outbox(link);
        buildNames(outbox, set);
        outbox.flush();
        const frame = Buffer.concat(link.written);
        const expected = [...set].filter((name) => !isOnlyHere(name));
        for (const source of [undefined, memo, memo]) {
          const fields = new FieldReader(frame, frameFields(frame, 0), frame.length);
          const back: ReadonlySet<unknown> = source ? source.read(fields) : fields.names();
          expect([...back]).toEqual(expected);
          expect(expected.every((name) => back.has(name))).toBe(true);
          expect([fields.u32(), fields.done]).toEqual([77, true]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("names stay whole in a frame that moves to another buffer while it is built", () => {
    const link = new FakeLink(false);
    const outbox = new Outbox(link);
    const names = new Set<unknown>([1, "\ud83d", 2n, "tea", undefined]);
    const FRAMES = 20_000;
    for (let i = 0; i < FRAMES; i++) {
      buildNames(outbox, names);
      // So that the end of a buffer comes at any place of a frame.
      outbox.begin(FrameKind.synced, 0, 1);
      outbox.raw(new Uint8Array(i % 101));
      outbox.end();
    }
    outbox.flush();
    let frames = 0;
    const reader = new FrameReader((buffer, start, end) => {
      if (frameKind(buffer, start) !== FrameKind.broadcast) return;
      frames++;
      expect([...new FieldReader(buffer, frameFields(buffer, start), end).names()]).toEqual([...names]);
    }, 10_000_000);
    for (const chunk of link.written) reader.push(chunk);
    expect(frames).toBe(FRAMES);
  });
});

function buildNames(outbox: Outbox, names: ReadonlySet<unknown>): void {
  outbox.begin(FrameKind.broadcast, 0, 1);
  outbox.names(names);
  outbox.u32(77);
  outbox.end();
}

/** Half surrogate pairs, too. */
const anyText = fc.string({
  unit: fc
    .oneof(
      fc.integer({ min: 0x20, max: 0x7e }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer({ min: 0xd800, max: 0xdfff }),
    )
    .map((unit) => String.fromCharCode(unit)),
  maxLength: 50,
});

const anyName: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: anyText },
  fc.string({ unit: "binary", maxLength: 50 }),
  fc.double(),
  fc.integer(),
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(undefined, null, -0, "", "7", "undefined", "\u0000"),
  fc.constantFrom<unknown>({ toString: 1 }, Object.create(null), [1], Symbol("room"), () => {}),
);

function isOnlyHere(name: unknown): boolean {
  return name !== null && ["object", "function", "symbol"].includes(typeof name);
}
