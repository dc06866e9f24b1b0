import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Journal } from "../../dist/hub/journal.js";
import type { JournalEntry } from "../../dist/hub/journal-slab.js";
import { MissedPackets } from "../../dist/hub/missed-packets.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FrameKind } from "../../dist/wire/frame.js";
import { OFFSET_BYTES, Offsets, PLACEHOLDER } from "../../dist/wire/offset.js";
import { NamespaceKeys } from "../../dist/wire/room-key.js";

const NAMESPACE = 1;
const NAMESPACES = [0, 1, 2, 3].map((id) => new NamespaceKeys("seed", `/${id}`));
const roomKey = (namespaceId: number, room: string) => (NAMESPACES[namespaceId] as NamespaceKeys).of(room);

interface RecordOptions {
  readonly except?: string[];
  readonly bytes?: number;
  readonly namespace?: number;
  readonly keyOf?: (room: string) => number;
}

/** A `record` frame as a worker writes it, its packet being a filler and a place for the offset. */
function record(
  rooms: string[],
  {
    except = [],
    bytes = 0,
    namespace = NAMESPACE,
    keyOf = (room) => roomKey(namespace, room),
  }: RecordOptions = {},
): Buffer {
  const written: Buffer[] = [];
  const link = {
    kind: "pipe" as const,
    pendingBytes: 0,
    write: (chunks: readonly Buffer[]) => void written.push(...chunks.map((chunk) => Buffer.from(chunk))),
    end: () => {},
    close: () => {},
  };
  const outbox = new Outbox(link);
  outbox.begin(FrameKind.record, 0, namespace);
  for (const room of rooms) outbox.key(keyOf(room));
  outbox.u32(OFFSET_BYTES);
  outbox.u32(1);
  outbox.names(new Set(rooms));
  outbox.names(new Set(except));
  outbox.raw(Buffer.alloc(bytes, "."));
  outbox.raw(Buffer.from(PLACEHOLDER));
  outbox.end();
  outbox.flush();
  return Buffer.concat(written);
}

/** Appends frames with numbers that count up. */
function append(journal: Journal, frame: Buffer, sequence = journal.lastSequence + 1): string {
  return offsetOf(journal.append(frame, 0, frame.length, OFFSET_BYTES, sequence));
}

function offsetOf({ buffer, end }: JournalEntry): string {
  return buffer.toString("latin1", end - OFFSET_BYTES, end);
}

function audience(...rooms: string[]) {
  return audienceOf(NAMESPACE, rooms);
}

function audienceOf(
  namespaceId: number,
  rooms: string[],
  keyOf = (room: string) => roomKey(namespaceId, room),
) {
  return { namespaceId, rooms: new Set(rooms), keys: [...new Set(rooms.map(keyOf))] };
}

/** Offsets of all that was missed. */
function missed(journal: Journal, offset: string, whose: ReturnType<typeof audience>): string[] | undefined {
  const packets = MissedPackets.since(offset, journal, whose);
  if (!packets) return undefined;
  const offsets: string[] = [];
  for (;;) {
    const portion = packets.take(1_000);
    if (!portion) return undefined;
    offsets.push(...portion.packets.map(offsetOf));
    if (portion.isLast) return offsets;
  }
}

function expire(journal: Journal): void {
  for (const _ of journal.expire());
}

/** A journal whose clock is set by hand. */
function clocked(maxBytes: number, retainMs: number) {
  const state = { now: 1_000_000, cuts: 0 };
  const journal = new Journal(
    maxBytes,
    new Offsets(),
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
    expect(missed(journal, first, audience("a", "x"))).toEqual([second, third]);
    expect(missed(journal, journal.lastOffset, audience("a"))).toEqual([]);
  });

  test("keeps the frame's bytes but for the offset", () => {
    const { journal } = clocked(2 ** 20, 1000);
    const frame = record(["a"], { bytes: 100 });
    const { buffer, start, end } = journal.append(frame, 0, frame.length, OFFSET_BYTES, 1);
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
      expect(missed(journal, wrong, audience("a"))).toBeUndefined();
    }
  });

  test("spans slabs, with large packets between small ones", () => {
    const { journal } = clocked(64 * 2 ** 20, 1000);
    const offset = append(journal, record(["a"]));
    const placed = Array.from({ length: 300 }, (_, i) =>
      append(journal, record(["a"], { bytes: i % 10 === 0 ? 50_000 : 500 + i })),
    );
    expect(missed(journal, offset, audience("a"))).toEqual(placed);
    expect(journal.stats().packets).toBe(301);
  });
});

test("packets for several of a client's rooms come once, and those of other rooms with the same key not at all", () => {
  const { journal } = clocked(2 ** 20, 1000);
  const keyOf = (room: string) => room.length;
  const place = (...rooms: string[]) => append(journal, record(rooms, { keyOf }));
  const first = place("a");
  const placed = [place("a", "b", "cc"), place("cc"), place("x"), place("x", "yy", "a"), place("yy")];
  const whose = audienceOf(NAMESPACE, ["a", "b", "cc"], keyOf);
  expect(missed(journal, first, whose)).toEqual([placed[0], placed[1], placed[3]]);
});

test("numbers need only rise", () => {
  const { journal } = clocked(2 ** 20, 1000);
  const offsets = [3, 4, 9, 2 ** 33].map((sequence) => append(journal, record(["a"]), sequence));
  expect(missed(journal, offsets[0] as string, audience("a"))).toEqual(offsets.slice(1));
  for (const [sequence, from] of [
    [2, 0],
    [5, 2],
    [8, 2],
    [10, 3],
  ] as const) {
    expect(missed(journal, journal.offsets.text(sequence), audience("a"))).toEqual(offsets.slice(from));
  }
});

describe("portions", () => {
  test("are as large as asked for, and go on with what is placed meanwhile", () => {
    const { journal } = clocked(2 ** 20, 1000);
    const first = append(journal, record(["a"]));
    const placed = Array.from({ length: 10 }, () => append(journal, record(["a"], { bytes: 100 })));
    const packets = MissedPackets.since(first, journal, audience("a"));
    const taken: string[] = [];
    const take = (bytes: number) => {
      const portion = packets?.take(bytes);
      taken.push(...(portion?.packets.map(offsetOf) ?? []));
      return portion && [portion.packets.length, portion.isLast];
    };
    expect(take(200)).toEqual([2, false]);
    placed.push(append(journal, record(["b"])), append(journal, record(["a"])));
    expect(take(1)).toEqual([1, false]);
    expect(take(2 ** 20)).toEqual([8, true]);
    expect(taken).toEqual(placed.filter((_, i) => i !== 10));
    expect(take(2 ** 20)).toEqual([0, true]);
    placed.push(append(journal, record(["a"])));
    expect(take(2 ** 20)).toEqual([1, true]);
  });

  test("end when something that was not taken yet has been dropped", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const first = append(journal, record(["a"]));
    for (let i = 0; i < 10; i++) append(journal, record(["a"], { bytes: 40_000 }));
    state.now += 600;
    const packets = MissedPackets.since(first, journal, audience("a"));
    expect(packets?.take(1)?.packets).toHaveLength(1);
    append(journal, record(["a"]));
    state.now += 600;
    expire(journal);
    expect(packets?.take(1)).toBeUndefined();
  });

  test("do not end when what was dropped was taken, or for others", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const first = append(journal, record(["a"]));
    append(journal, record(["a"], { bytes: 200_000 }));
    append(journal, record(["b"], { bytes: 200_000 }));
    state.now += 600;
    const packets = MissedPackets.since(first, journal, audience("a"));
    expect(packets?.take(1)?.packets).toHaveLength(1);
    const last = append(journal, record(["a"]));
    state.now += 600;
    expire(journal);
    expect(journal.stats().packets).toBe(1);
    expect(packets?.take(1)).toMatchObject({ isLast: true });
    expect(missed(journal, first, audience("a"))).toBeUndefined();
    expect(missed(journal, last, audience("a"))).toEqual([]);
  });
});

/** A journal that looks at every packet. */
class NaiveJournal {
  readonly packets: { sequence: number; rooms: string[]; except: string[]; namespace: number }[] = [];
  dropped = 0;

  /** Undefined if a packet to one of the rooms was dropped. */
  missed(since: number, namespace: number, joined: string[]): number[] | undefined {
    const isTo = (rooms: string[]) => rooms.length === 0 || rooms.some((room) => joined.includes(room));
    const later = this.packets.filter(
      (packet) => packet.sequence > since && packet.namespace === namespace && isTo(packet.rooms),
    );
    const oldest = this.packets[this.dropped]?.sequence ?? Number.POSITIVE_INFINITY;
    if (later.some(({ sequence }) => sequence < oldest)) return undefined;
    return later
      .filter(({ except }) => !except.some((room) => joined.includes(room)))
      .map(({ sequence }) => sequence);
  }
}

test("the journal answers as one that looks at every packet", () => {
  const rooms = fc.uniqueArray(fc.constantFrom<string[]>("a", "b", "c", "d", "e", "f"), { maxLength: 4 });
  const namespace = fc.constantFrom(1, 2);
  const place = fc.record({
    type: fc.constant("place" as const),
    rooms,
    except: fc.oneof(fc.constant<string[]>([]), rooms),
    namespace,
    bytes: fc.constantFrom(10, 10_000, 40_000, 150_000),
    gap: fc.constantFrom(1, 1, 1, 5),
  });
  const wait = fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 400 }) });
  const ask = fc.record({
    type: fc.constant("ask" as const),
    rooms,
    namespace,
    back: fc.integer({ min: 0, max: 60 }),
    portion: fc.constantFrom(1, 20_000, 2 ** 30),
  });
  const asked: { lost: number; some: number; none: number } = { lost: 0, some: 0, none: 0 };
  fc.assert(
    fc.property(
      fc.array(fc.oneof(place, place, place, wait, ask), { minLength: 20, maxLength: 100 }),
      (acts) => {
        const { journal, state } = clocked(2 ** 20, 1000);
        const naive = new NaiveJournal();
        for (const act of acts) {
          if (act.type === "place") {
            const { rooms, except, namespace, bytes } = act;
            const sequence = journal.lastSequence + act.gap;
            append(journal, record(rooms, { except, namespace, bytes }), sequence);
            naive.packets.push({ sequence, rooms, except, namespace });
          } else if (act.type === "wait") {
            state.now += act.ms;
            expire(journal);
          } else {
            const since = Math.max(0, journal.lastSequence - act.back);
            const whose = audienceOf(act.namespace, act.rooms);
            const expected = naive.missed(since, act.namespace, act.rooms);
            const answer = missed(journal, journal.offsets.text(since), whose);
            expect(answer).toEqual(expected?.map((sequence) => journal.offsets.text(sequence)));
            asked[!expected ? "lost" : expected.length > 0 ? "some" : "none"]++;
          }
          naive.dropped = naive.packets.length - journal.stats().packets;
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(Math.min(asked.lost, asked.some, asked.none)).toBeGreaterThan(50);
});

test("with a full journal, a client that has missed nothing is answered without a look at what others have", () => {
  const { journal } = clocked(64 * 2 ** 20, 60_000);
  const frames = Array.from({ length: 1_000 }, (_, i) => record([`user ${i}`], { bytes: 40 }));
  const early = append(journal, record(["mine"]));
  for (let i = 0; i < 400_000; i++) append(journal, frames[i % 1_000] as Buffer);
  let looks = 0;
  const { slabOf } = journal;
  journal.slabOf = (entry) => {
    looks++;
    return slabOf.call(journal, entry);
  };
  expect(missed(journal, early, audience("mine"))).toEqual([]);
  expect(looks).toBe(0);
  expect(missed(journal, early, audience("mine", "user 7"))).toHaveLength(400);
  expect(looks).toBeLessThan(1_000);
});

describe("bounds", () => {
  test("in time: what is older is dropped, and is unknown unless the rooms were silent", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const early = append(journal, record(["quiet"]));
    append(journal, record(["loud"]));
    state.now += 1001;
    expire(journal);
    expect(journal.stats()).toMatchObject({ packets: 0, bytes: 0, cut: 0 });
    const late = append(journal, record(["quiet"]));
    expect(missed(journal, early, audience("quiet"))).toEqual([late]);
    expect(missed(journal, early, audience("quiet", "loud"))).toBeUndefined();
    expect(state.cuts).toBe(0);
  });

  test("in time: what was for everybody is missing to everybody", () => {
    const { journal, state } = clocked(64 * 2 ** 20, 1000);
    const early = append(journal, record(["a"]));
    const toAll = append(journal, record([]));
    state.now += 1001;
    expire(journal);
    expect(missed(journal, early, audience("a"))).toBeUndefined();
    expect(missed(journal, toAll, audience("a"))).toEqual([]);
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
    expect(missed(journal, early, audience("a"))).toBeUndefined();
  });

  test("in bytes: a packet above the bound is kept alone", () => {
    const { journal } = clocked(2 ** 20, 60_000);
    const early = append(journal, record(["a"]));
    const offset = append(journal, record(["a"], { bytes: 2 ** 21 }));
    expect(journal.stats().packets).toBe(1);
    expect(missed(journal, early, audience("a"))).toEqual([offset]);
    append(journal, record(["a"]));
    expect(journal.stats().bytes).toBeLessThanOrEqual(2 ** 20);
  });
});

test("of an order that was there before, nothing is given until all of that is here, and to nobody who came later", () => {
  const { journal } = clocked(1_000_000, 60_000);
  journal.restart(new Offsets("past"), 3);
  const [first, last] = [new Offsets("past").text(1), new Offsets("past").text(3)];
  expect(journal.lastOffset).toBe(last);
  for (const sequence of [1, 2]) {
    append(journal, record(["a"]), sequence);
    expect([missed(journal, first, audience("a")), missed(journal, last, audience("a"))]).toEqual([
      undefined,
      [],
    ]);
  }
  const packets = MissedPackets.since(last, journal, audience("a"));
  append(journal, record(["a"]), 3);
  const next = append(journal, record(["a"]), 4);
  expect(missed(journal, first, audience("a"))).toHaveLength(3);
  expect(packets?.take(1_000)?.packets.map(offsetOf)).toEqual([next]);
});
