/** How often, and when, a hub keeps sessions with a backplane that the test plays. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Backplane, BackplaneEvents, BackplaneFactory } from "../../dist/hub/backplane.js";
import { fenceFrame } from "../../dist/hub/host-frames.js";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameKind,
  frameNamespace,
  OpenFlag,
  SessionFlag,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { machineTime } from "../../dist/wire/machine-time.js";
import { drawSeed, NamespaceKeys } from "../../dist/wire/room-key.js";
import { packValue, unpackValue } from "../../dist/wire/values.js";

const MIB = 2 ** 20;
const SEED = drawSeed();
const KEYS = new NamespaceKeys(SEED, "/");
const HANDLE = 7;

/** What the hub says of sessions: the rooms and data that are kept, without what is not kept anew. */
type Said = { keeps: { rooms?: number; data?: unknown } } | "releases" | "forgets";

let hub: Hub;
let events: BackplaneEvents;
let said: Said[];
let waiting: (() => void)[];
let worker: Worker;

const factory: BackplaneFactory = {
  name: "fake",
  recipe: undefined,
  load: async () => {},
  open: (_limits, given) => {
    events = given;
    const unused = () => {};
    return {
      host: "here",
      stats: {} as Backplane["stats"],
      returnMs: 0,
      send: unused,
      sendTo: unused,
      record: unused,
      tell: unused,
      voidKeys: unused,
      whenInEffect: (callback) => void waiting.push(callback),
      keepSession: (_namespace, _privateId, { rooms, data }) => {
        const [names, value] = [rooms && unpackValue(rooms), data && unpackValue(data)];
        said.push({
          keeps: { ...(rooms && { rooms: (names as string[]).length }), ...(data && { data: value }) },
        });
      },
      releaseSession: () => void said.push("releases"),
      forgetSession: () => void said.push("forgets"),
      takeSession: async () => ({ kind: "none" }),
      suspect: unused,
      close: async () => {},
    };
  },
};

/** This host is one of two. */
function join(): void {
  const other = { host: "other", buckets: Buffer.alloc(0), namespaces: new Map(), address: undefined };
  events.onJoined({ epoch: "epoch", seed: SEED, secret: "", pastUpTo: 0, hosts: [other] });
}

/** All that the hub has told the backplane is in effect. */
function takeEffect(): void {
  for (const callback of waiting.splice(0)) callback();
}

/** A worker whose client has a session. What it writes is read in one go when it says it. */
class Worker {
  readonly member: HubMember;
  /** Sequences of interest that the hub acts on. */
  readonly synced: number[] = [];
  namespaceId = 0;
  #events: LinkEvents | undefined;
  readonly #says: Outbox;

  constructor() {
    const reader = new FrameReader((buffer, start, end) => {
      const fields = new FieldReader(buffer, frameFields(buffer, start), end);
      if (frameKind(buffer, start) === FrameKind.opened) this.namespaceId = frameNamespace(buffer, start);
      if (frameKind(buffer, start) === FrameKind.synced) this.synced.push(fields.u32());
    }, MIB);
    const link = { kind: "pipe" as const, pendingBytes: 0, end: () => {}, close: () => {} };
    this.member = hub.admit({ workerId: 1, pid: 1 }, (given) => {
      this.#events = given;
      return { ...link, write: (chunks) => reader.push(Buffer.concat(chunks)) };
    });
    this.#says = new Outbox({ ...link, write: (chunks) => this.#events?.onChunk(Buffer.concat(chunks)) });
  }

  write(kind: number, flags: number, write: (frame: Outbox) => void): void {
    this.#says.begin(kind, flags, this.namespaceId);
    write(this.#says);
    this.#says.end();
  }

  say(): void {
    this.#says.flush();
    this.listen();
  }

  listen(): void {
    this.member.outbox.flush();
  }

  open(): void {
    this.write(FrameKind.open, OpenFlag.recovery, (frame) => {
      frame.u32(1);
      frame.u64(Math.floor(machineTime()));
      frame.u32(60_000);
      frame.u32(60_000);
      frame.raw(Buffer.from("/", "utf16le"));
    });
    this.say();
  }

  openSession(): void {
    this.write(FrameKind.sessionOpen, 0, (frame) => {
      frame.u32(HANDLE);
      frame.text("private");
      frame.text("sid");
      frame.names(new Set(["sid"]));
    });
  }

  /** Joins rooms one by one, as a server does that waits for each: the interest goes ahead. */
  joinRooms(from: number, upTo: number): void {
    for (let i = from; i < upTo; i++) {
      this.write(FrameKind.interest, 0, (frame) => {
        frame.u32(i);
        frame.u64(0);
        frame.u32(KEYS.of(`room ${i}`) * 2 + 1);
      });
      this.write(FrameKind.sessionRooms, 0, (frame) => {
        frame.u32(HANDLE);
        frame.u8(1);
        frame.names(new Set([`room ${i}`]));
      });
    }
  }

  data(value: unknown): void {
    this.write(FrameKind.sessionData, 0, (frame) => {
      frame.u32(HANDLE);
      frame.raw(packValue(value));
    });
  }

  endSession(flags = 0): void {
    this.write(FrameKind.sessionEnd, flags, (frame) => frame.u32(HANDLE));
  }
}

beforeEach(() => {
  [said, waiting] = [[], []];
  const unused = () => {};
  const told = { onJoin: unused, onLeave: unused, onStalled: unused, onJournalFull: unused };
  const onError = (error: Error) => {
    throw error;
  };
  const limits = { maxMessageBytes: MIB, maxBacklogBytes: 64 * MIB, stallTimeout: 60_000, journalBytes: MIB };
  hub = new Hub(limits, { ...told, onError }, { backplane: factory });
  join();
  worker = new Worker();
  worker.open();
  worker.openSession();
  worker.say();
  takeEffect();
  expect(said).toEqual([{ keeps: { rooms: 1 } }]);
  said.length = 0;
});

afterEach(async () => hub.close());

test("a session is kept once for all rooms that it joins in one go", () => {
  worker.joinRooms(1, 1001);
  worker.say();
  expect(said).toEqual([{ keeps: { rooms: 1001 } }]);
});

test("so it is for rooms and data", () => {
  worker.joinRooms(1, 11);
  worker.data("new");
  worker.data("newer");
  worker.say();
  expect(said).toEqual([{ keeps: { rooms: 11, data: "newer" } }]);
});

test("one that goes on joining is kept again when what was kept is in effect, and no more than that", () => {
  for (let i = 0; i < 10; i++) {
    worker.joinRooms(1 + i, 2 + i);
    worker.say();
  }
  expect(said).toEqual([{ keeps: { rooms: 2 } }]);
  takeEffect();
  expect(said.slice(1)).toEqual([{ keeps: { rooms: 11 } }]);
  takeEffect();
  expect(said).toHaveLength(2);
  worker.joinRooms(11, 12);
  worker.say();
  expect(said.slice(2)).toEqual([{ keeps: { rooms: 12 } }]);
});

test("a join is known when its session is kept with it and that is in effect", () => {
  worker.joinRooms(1, 101);
  worker.say();
  expect([said.length, worker.synced]).toEqual([1, []]);
  worker.joinRooms(101, 201);
  worker.say();
  takeEffect();
  worker.listen();
  expect([said.at(-1), worker.synced]).toEqual([{ keeps: { rooms: 201 } }, [100]]);
  takeEffect();
  worker.listen();
  expect(worker.synced).toEqual([100, 200]);
});

test("a session is kept before another host may take it, and not after", () => {
  worker.joinRooms(1, 11);
  worker.say();
  worker.joinRooms(11, 21);
  worker.say();
  const fence = fenceFrame(1, "private");
  events.onFrame("other", "/", fence, 0, fence.length);
  worker.endSession(SessionFlag.recoverable);
  worker.say();
  expect(said).toEqual([{ keeps: { rooms: 11 } }, { keeps: { rooms: 21 } }, "releases"]);
  takeEffect();
  expect(said).toHaveLength(3);
});

test("a session that is forgotten is not kept afterwards", () => {
  worker.joinRooms(1, 11);
  worker.say();
  worker.joinRooms(11, 21);
  worker.say();
  worker.joinRooms(21, 31);
  worker.endSession();
  worker.say();
  takeEffect();
  takeEffect();
  expect(said).toEqual([{ keeps: { rooms: 11 } }, "forgets"]);
});

test("a session that another host has is not kept any more", () => {
  worker.joinRooms(1, 11);
  worker.say();
  worker.joinRooms(11, 21);
  worker.say();
  events.onSessionLost("/", "private");
  takeEffect();
  expect(said).toEqual([{ keeps: { rooms: 11 } }]);
});

test("a session that is kept whole is not kept again", () => {
  worker.joinRooms(1, 11);
  worker.say();
  worker.joinRooms(11, 21);
  worker.say();
  join();
  takeEffect();
  expect(said).toEqual([{ keeps: { rooms: 11 } }, { keeps: { rooms: 21 } }]);
});

test("a hub that is closed keeps what has changed, and nothing after that", async () => {
  worker.joinRooms(1, 11);
  worker.say();
  worker.joinRooms(11, 21);
  worker.say();
  await hub.close();
  worker.joinRooms(21, 31);
  worker.say();
  takeEffect();
  expect(said).toEqual([{ keeps: { rooms: 11 } }, { keeps: { rooms: 21 } }]);
});
