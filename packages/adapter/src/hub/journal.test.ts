import { describe, expect, test } from "vitest";
import { Journal, type JournalEntry } from "../../dist/hub/journal.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FrameKind } from "../../dist/wire/frame.js";
import { OFFSET_BYTES, PLACEHOLDER } from "../../dist/wire/offset.js";
import { roomKey } from "../../dist/wire/room-key.js";

const NAMESPACE = 1;

/** A `record` frame as a worker writes it, its packet being a filler and a place for the offset. */
function record(rooms: string[], { except = [] as string[], bytes = 0, namespace = NAMESPACE } = {}): Buffer {
  const written: Buffer[] = [];
  const link = {
    kind: "pipe" as const,
    pendingBytes: 0,
    write: (chunks: readonly Buffer[]) => void written.push(...chunks.map((chunk) => Buffer.from(chunk))),
    end: () => {},
    close: () => {},
  };
  const outbox = new Outbox(link, 2 ** 30, { onFull: () => {} });
  outbox.begin(FrameKind.record, 0, namespace);
  for (const room of rooms) outbox.key(roomKey(namespace, room));
  outbox.u32(OFFSET_BYTES);
  outbox.names(new Set(rooms));
  outbox.names(new Set(except));
  outbox.raw(Buffer.alloc(bytes, "."));
  outbox.raw(Buffer.from(PLACEHOLDER));
  outbox.end();
  outbox.flush();
  return Buffer.concat(written);
}

function append(journal: Journal, frame: Buffer): string {
  const { buffer, end } = journal.append(frame, 0, frame.length, OFFSET_BYTES);
  return buffer.toString("latin1", end - OFFSET_BYTES, end);
}

function audience(...rooms: string[]) {
  return {
    namespaceId: NAMESPACE,
    rooms: new Set(rooms),
    keys: new Set(rooms.map((room) => roomKey(NAMESPACE, room))),
  };
}

function offsetsOf(entries: JournalEntry[] | undefined): string[] | undefined {
  return entries?.map(({ buffer, end }) => buffer.toString("latin1", end - OFFSET_BYTES, end));
}

/** A journal whose clock is set by hand. */
function clocked(maxBytes: number, retainMs: number) {
  const state = { now: 1_000_000, cuts: 0 };
  const journal = new Journal(
    maxBytes,
    () => void state.cuts++,
    () => state.now,
  );
  journal.retain(retainMs);
  return { journal, state };
}

describe("what was missed", () => {
  test("is what came after the offset, for the rooms, in order", () => {
    const { journal } = clocked(2 ** 20, 1000);
    const first = append(journal, record(["a"]));
    const [, second, , third] = [
      append(journal, record(["b"])),
      append(journal, record(["b", "a"])),
      append(journal, record(["a"], { except: ["x"] })),
      append(journal, record([])),
      append(journal, record([], { except: ["a"] })),
      append(journal, record(["a"], { namespace: 2 })),
    ];
    expect(offsetsOf(journal.missed(first, audience("a", "x")))).toEqual([second, third]);
    expect(offsetsOf(journal.missed(journal.lastOffset, audience("a")))).toEqual([]);
  });

  test("keeps the frame's bytes but for the offset", () => {
    const { journal } = clocked(2 ** 20, 1000);
    const frame = record(["a"], { bytes: 100 });
    const { buffer, start, end } = journal.append(frame, 0, frame.length, OFFSET_BYTES);
    expect(buffer.subarray(start, end - OFFSET_BYTES).equals(frame.subarray(0, -OFFSET_BYTES))).toBe(true);
    expect(frame.toString("latin1", frame.length - OFFSET_BYTES)).toBe(PLACEHOLDER);
  });

  test("is unknown for offsets that this hub has never given", () => {
    const { journal } = clocked(2 ** 20, 1000);
    const offset = append(journal, record(["a"]));
    const other = clocked(2 ** 20, 1000).journal;
    for (const wrong of [
      "",
      "x",
      `${offset}0`,
      offset.slice(1),
      `${offset.slice(0, 4)}zzzzzzzzzz`,
      other.lastOffset,
    ]) {
      expect(journal.missed(wrong, audience("a"))).toBeUndefined();
    }
  });

  test("spans slabs, with large packets between small ones", () => {
    const { journal } = clocked(64 * 2 ** 20, 1000);
    const offset = append(journal, record(["a"]));
    const placed = Array.from({ length: 300 }, (_, i) =>
      append(journal, record(["a"], { bytes: i % 10 === 0 ? 50_000 : 500 + i })),
    );
    expect(offsetsOf(journal.missed(offset, audience("a")))).toEqual(placed);
    expect(journal.stats().packets).toBe(301);
  });
});

describe("bounds", () => {
  test("in time: what is older is dropped, and is unknown unless the rooms were silent", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const early = append(journal, record(["quiet"]));
    append(journal, record(["loud"]));
    state.now += 1001;
    journal.expire();
    expect(journal.stats()).toMatchObject({ packets: 0, bytes: 0, cut: 0 });
    const late = append(journal, record(["quiet"]));
    expect(offsetsOf(journal.missed(early, audience("quiet")))).toEqual([late]);
    expect(journal.missed(early, audience("quiet", "loud"))).toBeUndefined();
    expect(state.cuts).toBe(0);
  });

  test("in time: what was for everybody is missing to everybody", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const early = append(journal, record(["a"]));
    const toAll = append(journal, record([]));
    state.now += 1001;
    journal.expire();
    expect(journal.missed(early, audience("a"))).toBeUndefined();
    expect(journal.missed(toAll, audience("a"))).toEqual([]);
  });

  test("in bytes: the oldest go first, it is told, and memory stays within the bound under a flood", () => {
    const { journal, state } = clocked(2 ** 20, 60_000);
    const early = append(journal, record(["a"]));
    let largest = 0;
    for (let i = 0; i < 20_000; i++) {
      append(journal, record(["a"], { bytes: 100 + (i % 7) * 300 }));
      largest = Math.max(largest, journal.stats().bytes);
    }
    expect(largest).toBeLessThanOrEqual(2 ** 20);
    const { packets, cut } = journal.stats();
    expect(packets + cut).toBe(20_001);
    expect(state.cuts).toBeGreaterThan(0);
    expect(journal.missed(early, audience("a"))).toBeUndefined();
  });

  test("in bytes: a packet above the bound is kept alone", () => {
    const { journal } = clocked(2 ** 20, 60_000);
    const early = append(journal, record(["a"]));
    const offset = append(journal, record(["a"], { bytes: 2 ** 21 }));
    expect(journal.stats().packets).toBe(1);
    expect(offsetsOf(journal.missed(early, audience("a")))).toEqual([offset]);
    append(journal, record(["a"]));
    expect(journal.stats().bytes).toBeLessThanOrEqual(2 ** 20);
  });
});
