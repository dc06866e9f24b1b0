/**
 * A hub that finds hosts with another seed, with members that know nothing of it yet, over links that are read when the
 * test says: nobody misses what is for its rooms, nobody gets anything twice, and nobody has to join anew.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Backplane, BackplaneEvents, BackplaneFactory, Frame } from "../../dist/hub/backplane.js";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { Link, LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { Member } from "../../dist/member/member.js";
import type { NamespacePort } from "../../dist/member/namespace-port.js";
import { RoomMembers } from "../../dist/member/room-members.js";
import type { FieldReader } from "../../dist/wire/field-reader.js";
import { BroadcastFlag, FrameKind, frameKey, frameKeyCount, Operation } from "../../dist/wire/frame.js";
import { OFFSET_BYTES } from "../../dist/wire/offset.js";
import { drawSeed, NamespaceKeys } from "../../dist/wire/room-key.js";

const MIB = 2 ** 20;
const ROOMS = ["red", "blue", "zażółć"];
const WORKERS = 3;
const NONE: Set<string> = new Set();

/** What joins the hosts, as the test plays it. */
class FakeBackplane {
  events!: BackplaneEvents;
  /** Frames for other hosts, and packets that wait for a number. */
  readonly sent: Buffer[] = [];
  records: Buffer[] = [];
  #epochs = 0;

  readonly factory: BackplaneFactory = {
    name: "fake",
    recipe: undefined,
    load: async () => {},
    open: (_limits, events) => {
      this.events = events;
      const unused = () => {};
      return {
        host: "here",
        stats: {} as Backplane["stats"],
        returnMs: 0,
        send: (_hosts, _namespace, ...frame) => void this.sent.push(copyOf(...frame)),
        sendTo: unused,
        record: (_namespace, ...frame) => void this.records.push(copyOf(...frame)),
        tell: unused,
        voidKeys: unused,
        whenInEffect: (callback) => callback(),
        keepSession: unused,
        releaseSession: unused,
        forgetSession: unused,
        takeSession: async () => ({ kind: "none" }),
        suspect: unused,
        close: async () => {},
      };
    },
  };

  /** @param others whether there is another host, which wants everything */
  join(seed: string, { others = false } = {}): void {
    const namespaces = new Map([["/", JSON.stringify({ members: 1 })]]);
    const other = { host: "other", buckets: Buffer.alloc(2 ** 17, 0xff), namespaces, address: undefined };
    this.events.onJoined({
      epoch: `epoch${++this.#epochs}`,
      seed,
      secret: "",
      pastUpTo: 0,
      hosts: others ? [other] : [],
    });
  }

  /** Packets that wait get their numbers. */
  number(): void {
    for (const frame of this.records.splice(0)) {
      this.events.onRecord("here", "/", ++this.#last, false, frame, 0, frame.length);
    }
  }
  #last = 0;
}

function copyOf(...[buffer, start, end]: Frame): Buffer {
  return Buffer.from(buffer.subarray(start, end));
}

/** One direction of a link: what is written stays here until it is read. */
class Pipe implements Link {
  readonly kind = "pipe";
  pendingBytes = 0;
  #bytes = Buffer.alloc(0);
  readonly #to: () => LinkEvents | undefined;

  constructor(to: () => LinkEvents | undefined) {
    this.#to = to;
  }

  write(chunks: readonly Buffer[]): void {
    this.#bytes = Buffer.concat([this.#bytes, ...chunks]);
  }

  /** @returns whether there was something */
  read(bytes = Number.POSITIVE_INFINITY): boolean {
    const chunk = Buffer.from(this.#bytes.subarray(0, bytes));
    this.#bytes = this.#bytes.subarray(chunk.length);
    if (chunk.length > 0) this.#to()?.onChunk(chunk);
    return chunk.length > 0;
  }

  end(): void {}
  close(): void {}
}

/** A worker with one socket. */
class Worker {
  readonly rooms = new Map<string, RoomMembers>();
  readonly got: number[] = [];
  readonly errors: string[] = [];
  readonly port: NamespacePort;
  readonly inHub: HubMember;
  readonly toHub = new Pipe(() => this.#hubEvents);
  readonly fromHub = new Pipe(() => this.#events);
  readonly member: Member;
  #hubEvents: LinkEvents | undefined;
  #events: LinkEvents | undefined;

  constructor(workerId: number, { reports = true } = {}) {
    this.inHub = hub.admit({ workerId, pid: workerId }, (events) => {
      this.#hubEvents = events;
      return this.fromHub;
    });
    this.member = new Member({ connect: () => true, disconnect: () => {}, connected: true, looksOn: false });
    this.port = this.member.open("/", reports ? 0 : 1, {
      recovery: undefined,
      onBroadcast: (rooms, _except, _flags, fields) => this.#onPacket(rooms as ReadonlySet<string>, fields),
      onCommand: (operation, fields) => this.#onCommand(operation, fields),
      onRequest: (_operation, _fields, responder) => responder.finish(workerId),
      onBroadcastWithAck: () => {},
      reportRooms: (report) => {
        for (const [room, members] of this.rooms) report.add(room, members);
      },
      onRecoverable: () => {},
      onTaken: () => {},
      onError: (error) => void this.errors.push(error.code),
    });
    const limits = { maxMessageBytes: MIB, maxBacklogBytes: 64 * MIB, backplane: "fake", hub: hub.host };
    this.member.join({ member: this.inHub.id, roomSeed: hub.roomSeed, ...limits }, (events) => {
      this.#events = events;
      return this.toHub;
    });
  }

  join(room: string): void {
    if (this.rooms.has(room)) return;
    const members = new RoomMembers(["socket"]);
    this.rooms.set(room, members);
    this.port.report?.add(room, members);
    this.port.reported();
  }

  leave(room: string): void {
    const members = this.rooms.get(room);
    if (!members) return;
    this.rooms.delete(room);
    this.port.report?.remove(room, members);
    this.port.changed();
  }

  emit(rooms: ReadonlySet<string>, number: number, isRecord: boolean): void {
    const write = (outbox: Outbox) => {
      if (isRecord) {
        outbox.u32(OFFSET_BYTES);
        outbox.u32(this.member.id);
      }
      outbox.names(rooms);
      outbox.names(NONE);
      outbox.u32(number);
      if (isRecord) outbox.raw(Buffer.alloc(OFFSET_BYTES));
    };
    if (isRecord) this.port.send(FrameKind.record, BroadcastFlag.echo, new Set(rooms), write);
    else this.port.send(FrameKind.broadcast, 0, new Set(rooms), write);
  }

  /** Makes sockets in some rooms join another one. */
  socketsJoin(rooms: ReadonlySet<string>, room: string): void {
    const body = {
      bytes: 100,
      write: (outbox: Outbox) => {
        outbox.names(rooms);
        outbox.names(NONE);
        outbox.names(new Set([room]));
      },
    };
    this.port.command(Operation.socketsJoin, new Set(rooms), body, new Set([room]));
  }

  #onPacket(rooms: ReadonlySet<string>, fields: FieldReader): void {
    if (rooms.size === 0 || [...rooms].some((room) => this.rooms.has(room))) this.got.push(fields.u32());
  }

  #onCommand(operation: number, fields: FieldReader): void {
    if (operation !== Operation.socketsJoin) return;
    const rooms = fields.names();
    fields.names();
    if (rooms.size > 0 && ![...rooms].some((room) => this.rooms.has(room))) return;
    for (const room of fields.names()) this.join(room);
  }

  close(): void {
    void this.port.close();
  }
}

let hub: Hub;
let backplane: FakeBackplane;
let workers: Worker[];
let errors: string[];

beforeEach(() => {
  errors = [];
  open();
});

afterEach(close);

function open(): void {
  backplane = new FakeBackplane();
  const limits = {
    maxMessageBytes: MIB,
    maxBacklogBytes: 64 * MIB,
    stallTimeout: 60_000,
    journalBytes: MIB,
  };
  const unused = () => {};
  const events = { onJoin: unused, onLeave: unused, onStalled: unused, onJournalFull: unused };
  const onError = ({ code }: { code: string }) => void errors.push(code);
  hub = new Hub(limits, { ...events, onError }, { backplane: backplane.factory });
  backplane.events.onAlone(Object.assign(new Error("no Redis"), { code: "DOWN" }) as never);
  workers = Array.from({ length: WORKERS }, (_, i) => new Worker(i + 1));
  settle();
  errors.length = 0;
}

async function close(): Promise<void> {
  for (const worker of workers) worker.close();
  await hub.close();
}

function flush(): void {
  for (const { outbox } of hub.members) outbox.flush();
}

/** Everything is read until nothing is left. */
function settle(): void {
  for (let isBusy = true; isBusy; ) {
    isBusy = false;
    for (const worker of workers) worker.member.flush();
    for (const { toHub } of workers) isBusy = toHub.read() || isBusy;
    isBusy = backplane.records.length > 0 || isBusy;
    backplane.number();
    flush();
    for (const { fromHub } of workers) isBusy = fromHub.read() || isBusy;
  }
}

/** A packet, and who was in its rooms when it was emitted and has stayed. */
interface Emitted {
  readonly number: number;
  readonly from: Worker;
  readonly due: Set<Worker>;
  readonly rooms: ReadonlySet<string>;
}

type Action =
  | { readonly does: "join" | "leave"; readonly worker: number; readonly room: string }
  | { readonly does: "emit" | "record"; readonly worker: number; readonly rooms: readonly string[] }
  | { readonly does: "command"; readonly worker: number; readonly room: string; readonly to: string }
  | { readonly does: "hears" | "says"; readonly worker: number; readonly bytes: number }
  | { readonly does: "numbers" };

const worker = fc.nat({ max: WORKERS - 1 });
const room = fc.constantFrom(...ROOMS);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ does: fc.constantFrom("join" as const, "leave" as const), worker, room }),
  fc.record({
    does: fc.constantFrom("emit" as const, "emit" as const, "record" as const),
    worker,
    rooms: fc.uniqueArray(room, { maxLength: 2 }),
  }),
  fc.record({ does: fc.constant("command" as const), worker, room, to: fc.constantFrom("green", ...ROOMS) }),
  fc.record({
    does: fc.constantFrom("hears" as const, "says" as const),
    worker,
    bytes: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(100_000)),
  }),
  fc.record({ does: fc.constant("numbers" as const) }),
);
/** What happens until the next seed comes. */
const act = fc.array(action, { maxLength: 12 });

class Play {
  readonly emitted: Emitted[] = [];
  /** Who joins a room by a command: what comes for the room from its sender, later, is for them. */
  readonly #moved: { readonly from: Worker; readonly movers: readonly Worker[]; readonly room: string }[] =
    [];

  do(action: Action): void {
    switch (action.does) {
      case "numbers":
        return backplane.number();
      case "join":
        return this.#of(action).join(action.room);
      case "leave":
        this.#of(action).leave(action.room);
        for (const { rooms, due } of this.emitted) if (rooms.has(action.room)) due.delete(this.#of(action));
        return;
      case "emit":
      case "record":
        return this.#emit(this.#of(action), new Set(action.rooms), action.does === "record");
      case "command":
        return this.#command(this.#of(action), action.room, action.to);
      case "says":
        this.#of(action).member.flush();
        this.#of(action).toHub.read(action.bytes);
        return flush();
      case "hears":
        return void this.#of(action).fromHub.read(action.bytes);
    }
  }

  #of(action: { readonly worker: number }): Worker {
    return workers[action.worker] as Worker;
  }

  #emit(from: Worker, rooms: ReadonlySet<string>, isRecord: boolean): void {
    const number = this.emitted.length;
    const isIn = (to: Worker) => rooms.size === 0 || [...rooms].some((name) => to.rooms.has(name));
    const due = new Set(workers.filter((to) => to !== from && isIn(to)));
    for (const moved of this.#moved) {
      if (moved.from === from && rooms.has(moved.room)) for (const mover of moved.movers) due.add(mover);
    }
    this.emitted.push({ number, from, due, rooms });
    from.emit(rooms, number, isRecord);
  }

  #command(from: Worker, room: string, to: string): void {
    const movers = workers.filter((other) => other !== from && other.rooms.has(room));
    from.socketsJoin(new Set([room]), to);
    this.#moved.push({ from, movers, room: to });
  }

  check(): void {
    for (const { number, from, due } of this.emitted) {
      for (const to of workers) {
        const times = to.got.filter((got) => got === number).length;
        if (due.has(to)) expect([number, times]).toEqual([number, 1]);
        else expect(times, `${number} came ${times} times`).toBeLessThanOrEqual(to === from ? 0 : 1);
      }
    }
    expect(errors).toEqual([]);
    for (const each of workers) expect([each.errors, each.member.state]).toEqual([[], "joined"]);
  }
}

/** A worker that leaves before a command reaches it may still be moved by it, or not: then nothing is due. */
function isDecided(acts: readonly (readonly Action[])[]): boolean {
  const has = (what: Action["does"]) => acts.some((actions) => actions.some(({ does }) => does === what));
  return !has("command") || !has("leave");
}

test("nothing is lost or doubled, whatever is on its way", async () => {
  await fc.assert(
    fc
      .asyncProperty(fc.array(act, { minLength: 2, maxLength: 4 }).filter(isDecided), async (acts) => {
        const play = new Play();
        for (const actions of acts) {
          backplane.join(drawSeed());
          for (const each of actions) play.do(each);
        }
        settle();
        play.check();
        // What is known by the new keys alone.
        for (const name of ROOMS)
          for (let i = 0; i < WORKERS; i++) play.do({ does: "emit", worker: i, rooms: [name] });
        settle();
        play.check();
      })
      .beforeEach(async () => {
        await close();
        errors.length = 0;
        open();
      }),
    { numRuns: 200 },
  );
});

describe("while it gets around", () => {
  const RED = new Set(["red"]);
  let [speaker, listener]: Worker[] = [];

  beforeEach(() => {
    [speaker, listener] = workers;
  });

  /** All that the worker has said and has to say reaches the hub. */
  const says = (from: Worker) => {
    from.member.flush();
    from.toHub.read();
    flush();
  };
  const hears = (to: Worker) => void to.fromHub.read();
  /** The listener, which is in the room, has heard of a seed and has reported that; nobody else has. */
  const listenerHears = () => {
    listener?.join("red");
    settle();
    backplane.join(drawSeed());
    flush();
    hears(listener as Worker);
    says(listener as Worker);
  };

  test("a join that nobody knows of, by an event that came before the seed", () => {
    listener?.join("red");
    speaker?.emit(RED, 1, false);
    says(speaker as Worker);
    backplane.join(drawSeed());
    flush();
    hears(listener as Worker);
    settle();
    expect(listener?.got).toEqual([1]);
  });

  test("a join whose report comes with keys of the old seed", () => {
    listener?.join("red");
    listener?.member.flush();
    speaker?.emit(RED, 1, false);
    says(speaker as Worker);
    backplane.join(drawSeed());
    settle();
    expect(listener?.got).toEqual([1]);
  });

  test("an event whose sender has not heard of the seed, for who has", () => {
    listenerHears();
    speaker?.emit(RED, 1, false);
    settle();
    expect(listener?.got).toEqual([1]);
  });

  test("an event for a room that sockets join by a command of who had not heard of the seed", () => {
    listenerHears();
    speaker?.socketsJoin(RED, "green");
    says(speaker as Worker);
    hears(speaker as Worker);
    speaker?.emit(new Set(["green"]), 1, false);
    says(speaker as Worker);
    settle();
    expect(listener?.got).toEqual([1]);
  });
});

/** How many frames the workers have been given. */
const given = () => workers.reduce((sum, { inHub }) => sum + inHub.delivered, 0);

test("when all have reported their rooms anew, a room's packets go to those who are in it alone", () => {
  workers[0]?.join("red");
  settle();
  backplane.join(drawSeed());
  workers[1]?.emit(new Set(["red"]), 1, false);
  settle();
  expect(given()).toBe(2);
  workers[1]?.emit(new Set(["red"]), 2, false);
  workers[1]?.emit(new Set(["blue"]), 3, false);
  settle();
  expect(given()).toBe(3);
  expect(workers[0]?.got).toEqual([1, 2]);
});

test("a worker that reports no rooms gets everything before and after", () => {
  workers.push(new Worker(9, { reports: false }));
  settle();
  for (let i = 0; i < 3; i++) {
    backplane.join(drawSeed());
    settle();
    workers[0]?.emit(new Set(["red"]), i, false);
    settle();
  }
  expect(workers.at(-1)?.inHub.delivered).toBe(3);
});

test("rooms of more than one message are reported before the worker gets less", () => {
  const [one, two] = workers as [Worker, Worker];
  for (let i = 0; i < 400_000; i++) one.rooms.set(`room ${i}`, new RoomMembers(["socket"]));
  backplane.join(drawSeed());
  settle();
  for (const i of [0, 200_000, 399_999]) two.emit(new Set([`room ${i}`]), i, false);
  two.emit(new Set(["elsewhere"]), 7, false);
  settle();
  expect(one.got).toEqual([0, 200_000, 399_999]);
  expect(given()).toBe(3);
});

test("other hosts get keys of the common seed, or none", () => {
  const seed = drawSeed();
  const rooms = new Set(["red"]);
  backplane.join(seed, { others: true });
  workers[0]?.emit(rooms, 1, false);
  settle();
  workers[0]?.emit(rooms, 2, false);
  settle();
  const keys = backplane.sent.map((frame) =>
    frameKeyCount(frame, 0) === 0 ? "none" : frameKey(frame, 0, 0),
  );
  expect(keys).toEqual(["none", new NamespaceKeys(seed, "/").of("red")]);
});

test("what other hosts say to a room reaches it from the first moment on", () => {
  const seed = drawSeed();
  workers[0]?.join("red");
  settle();
  backplane.join(seed, { others: true });
  for (const number of [1, 2]) {
    const frame = remoteFrame(seed, "red", number);
    backplane.events.onFrame("other", "/", frame, 0, frame.length);
    settle();
  }
  expect(workers[0]?.got).toEqual([1, 2]);
  expect(given()).toBe(WORKERS + 1);
});

test("packets that wait for a number are kept for everybody", () => {
  workers[0]?.join("red");
  backplane.join(drawSeed());
  settle();
  workers[1]?.emit(new Set(["red"]), 1, true);
  workers[1]?.member.flush();
  workers[1]?.toHub.read();
  const waiting = backplane.records.splice(0);
  expect(waiting).toHaveLength(1);
  backplane.join(drawSeed());
  settle();
  backplane.records.push(...waiting);
  settle();
  expect(workers[0]?.got).toEqual([1]);
});

function remoteFrame(seed: string, name: string, number: number): Buffer {
  let frame = Buffer.alloc(0);
  const outbox = new Outbox({
    pendingBytes: 0,
    write: (chunks) => {
      frame = Buffer.concat([frame, ...chunks]);
    },
  });
  outbox.begin(FrameKind.broadcast, 0, 0);
  outbox.key(new NamespaceKeys(seed, "/").of(name));
  outbox.names(new Set([name]));
  outbox.names(NONE);
  outbox.u32(number);
  outbox.end();
  outbox.flush();
  return frame;
}
