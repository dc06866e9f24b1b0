/**
 * Reports of joins that come late, on a real hub with fake links and a clock that is set by hand, against a model:
 * whoever had joined when something came gets it, once; what came before is nobody's business.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import {
  BroadcastFlag,
  FrameKind,
  frameFields,
  frameKind,
  frameNamespace,
  OpenFlag,
  Operation,
} from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { OFFSET_BYTES } from "../../dist/wire/offset.js";
import { NamespaceKeys } from "../../dist/wire/room-key.js";

const MIB = 2 ** 20;

let hub: Hub;
/** Microseconds. */
let now: number;

beforeEach(() => {
  now = 5_000_000_000_000;
  vi.spyOn(process, "hrtime").mockImplementation((() => [
    Math.floor(now / 1e6),
    (now % 1e6) * 1e3,
  ]) as typeof process.hrtime);
  hub = newHub();
});

afterEach(() => {
  hub.close();
  vi.restoreAllMocks();
});

function newHub(): Hub {
  const limits = {
    maxMessageBytes: 32 * MIB,
    maxBacklogBytes: 64 * MIB,
    stallTimeout: 10_000,
    journalBytes: 64 * MIB,
  };
  return new Hub(limits, {
    onJoin: () => {},
    onLeave: () => {},
    onStalled: () => {},
    onJournalFull: () => {},
    onError: (error) => {
      throw error;
    },
  });
}

interface Heard {
  readonly kind: number;
  readonly namespaceId: number;
  readonly fields: FieldReader;
}

/** A worker, seen from the hub. */
class FakeWorker {
  readonly member: HubMember;
  /** What it heard since it was asked last. */
  heard: Heard[] = [];
  readonly ids = new Map<string, number>();
  #events: LinkEvents | undefined;
  readonly #says: Outbox;

  constructor(workerId: number) {
    const reader = new FrameReader((buffer, start, end) => {
      const kind = frameKind(buffer, start);
      const fields = new FieldReader(buffer, frameFields(buffer, start), end);
      this.heard.push({ kind, namespaceId: frameNamespace(buffer, start), fields });
    }, 32 * MIB);
    this.member = hub.admit({ workerId, pid: workerId }, (events) => {
      this.#events = events;
      return {
        kind: "pipe",
        pendingBytes: 0,
        write: (chunks) => {
          for (const chunk of chunks) reader.push(Buffer.from(chunk));
        },
        end: () => {},
        close: () => {},
      };
    });
    this.#says = new Outbox({
      pendingBytes: 0,
      // In pieces that are overwritten afterwards, as links have them.
      write: (chunks) => {
        const bytes = Buffer.concat(chunks);
        const piece = Buffer.alloc(64 * 1024);
        for (let at = 0; at < bytes.length; at += piece.length) {
          const length = bytes.copy(piece, 0, at);
          this.#events?.onChunk(piece.subarray(0, length));
          piece.fill(0xff);
        }
      },
    });
  }

  say(kind: number, flags: number, namespaceId: number, write: (frame: Outbox) => void): void {
    this.#says.begin(kind, flags, namespaceId);
    write(this.#says);
    this.#says.end();
    this.#says.flush();
  }

  open(name: string, since: number, flags = 0): void {
    this.say(FrameKind.open, flags, 0, (frame) => {
      frame.u32(1);
      frame.u64(since);
      frame.raw(Buffer.from(name, "utf16le"));
    });
    const opened = this.hear().find(({ kind }) => kind === FrameKind.opened);
    this.ids.set(name, opened?.namespaceId as number);
  }

  close(name: string): void {
    this.say(FrameKind.close, 0, this.idOf(name), () => {});
  }

  report(name: string, since: number, joined: Iterable<string>, left: Iterable<string> = []): void {
    const keys = keysOf(name);
    this.say(FrameKind.interest, 0, this.idOf(name), (frame) => {
      frame.u32(0);
      frame.u64(since);
      for (const room of joined) frame.u32(keys.of(room) * 2 + 1);
      for (const room of left) frame.u32(keys.of(room) * 2);
    });
  }

  broadcast(name: string, rooms: readonly string[], n: number, { flags = 0, bytes = 0 } = {}): void {
    this.#toRooms(FrameKind.broadcast, flags, name, rooms, (frame) => {
      frame.u32(n);
      frame.raw(new Uint8Array(bytes));
    });
  }

  command(name: string, rooms: readonly string[], claims: readonly string[], n: number): void {
    const keys = keysOf(name);
    this.#toRooms(FrameKind.command, 0, name, rooms, (frame) => {
      frame.u32(claims.length);
      for (const room of claims) frame.u32(keys.of(room));
      frame.u8(Operation.socketsJoin);
      frame.u32(n);
    });
  }

  request(name: string, rooms: readonly string[], id: number): void {
    this.#toRooms(FrameKind.request, 0, name, rooms, (frame) => {
      frame.u32(this.member.id);
      frame.u32(id);
      frame.u8(Operation.fetchSockets);
    });
  }

  #toRooms(
    kind: number,
    flags: number,
    name: string,
    rooms: readonly string[],
    write: (frame: Outbox) => void,
  ): void {
    const keys = keysOf(name);
    this.say(kind, flags, this.idOf(name), (frame) => {
      for (const room of rooms) frame.key(keys.of(room));
      write(frame);
    });
  }

  idOf(name: string): number {
    return this.ids.get(name) as number;
  }

  /** What has come since the last call. */
  hear(): Heard[] {
    this.member.outbox.flush();
    return this.heard.splice(0);
  }

  /** Numbers of broadcasts and commands that have come since the last call. */
  numbers(): number[] {
    return this.hear().flatMap(({ kind, fields }) => {
      if (kind === FrameKind.command) return [fields.skip(fields.u32() * 4 + 1).u32()];
      return kind === FrameKind.broadcast ? [fields.u32()] : [];
    });
  }
}

function keysOf(name: string): NamespaceKeys {
  return new NamespaceKeys(hub.roomSeed, name);
}

/** Two workers that have had the namespace for long, and a third, so that nothing goes to everybody. */
function threeWorkers(): [FakeWorker, FakeWorker, FakeWorker] {
  const workers = [new FakeWorker(1), new FakeWorker(2), new FakeWorker(3)] as const;
  for (const worker of workers) worker.open("/", now);
  now += 60_000_000;
  return [...workers];
}

describe("a report that comes late", () => {
  test("brings what has come since the join, in order, and nothing of before", () => {
    const [sender, joiner, other] = threeWorkers();
    sender.broadcast("/", ["a"], 1);
    now += 10;
    const joinedAt = now;
    sender.broadcast("/", ["b"], 2);
    sender.broadcast("/", ["a", "b"], 3);
    now += 1_000;
    sender.broadcast("/", ["a"], 4);
    sender.broadcast("/", ["c"], 5);
    other.broadcast("/", ["a"], 6);
    now += 1_000;
    joiner.report("/", joinedAt, ["a"]);
    sender.broadcast("/", ["a"], 7);
    expect(joiner.numbers()).toEqual([3, 4, 6, 7]);
    // Another report of the same time, of other rooms of the same packets.
    joiner.report("/", joinedAt, ["b"]);
    expect(joiner.numbers()).toEqual([2]);
    expect(hub.lateJoins).toEqual({ sentOn: 4, tooLate: 0 });
    expect(other.numbers()).toEqual([]);
  });

  test("brings nothing to the sender, and nothing of another namespace", () => {
    const [sender, joiner] = threeWorkers();
    for (const worker of [sender, joiner]) worker.open("/chat", now);
    const joinedAt = now;
    sender.broadcast("/", ["a"], 1);
    joiner.broadcast("/chat", ["a"], 2);
    joiner.broadcast("/", ["a"], 3);
    joiner.report("/chat", joinedAt, ["a"]);
    expect(joiner.numbers()).toEqual([]);
    joiner.report("/", joinedAt, ["a"]);
    expect(joiner.numbers()).toEqual([1]);
    sender.report("/", joinedAt, ["a"]);
    expect(sender.numbers()).toEqual([3]);
  });

  test("of several frames brings everything with the last of them", () => {
    const [sender, joiner] = threeWorkers();
    const joinedAt = now;
    sender.broadcast("/", ["a"], 1);
    sender.broadcast("/", ["b"], 2);
    joiner.report("/", 0, ["b"]);
    expect(joiner.numbers()).toEqual([]);
    joiner.report("/", joinedAt, ["a"]);
    expect(joiner.numbers()).toEqual([1, 2]);
  });

  test("brings operations, what comes for the rooms that they join, and questions that are open", () => {
    const [sender, joiner, other] = threeWorkers();
    const joinedAt = now;
    sender.broadcast("/", ["x"], 1);
    sender.command("/", ["a"], ["x"], 2);
    sender.broadcast("/", ["x"], 3);
    sender.request("/", ["a"], 77);
    sender.hear();
    joiner.report("/", joinedAt, ["a"]);
    const heard = joiner.hear();
    expect(heard.map(({ kind }) => kind)).toEqual([
      FrameKind.command,
      FrameKind.broadcast,
      FrameKind.request,
    ]);
    expect(heard[1]?.fields.u32()).toBe(3);
    const [asked, ...more] = sender.hear();
    expect([asked?.kind, more]).toEqual([FrameKind.asked, []]);
    expect([asked?.fields.u32(), asked?.fields.u32()]).toEqual([77, joiner.member.id]);
    expect(joiner.member.unanswered).toBe(1);
    // The command is on its way: the hub acts as if the member had joined, until it says that it has not.
    other.broadcast("/", ["x"], 4);
    expect(joiner.numbers()).toEqual([4]);
    joiner.say(FrameKind.settled, 0, joiner.idOf("/"), () => {});
    other.broadcast("/", ["x"], 5);
    expect(joiner.numbers()).toEqual([]);
  });

  test("asks nobody for a worker that has gone meanwhile", () => {
    const [sender, joiner] = threeWorkers();
    const joinedAt = now;
    sender.request("/", ["a"], 77);
    hub.remove(sender.member);
    joiner.report("/", joinedAt, ["a"]);
    expect(joiner.hear().map(({ kind }) => kind)).toEqual([FrameKind.left]);
  });

  test("brings recoverable packets with their place", () => {
    const [sender, joiner, other] = threeWorkers();
    for (const worker of [sender, joiner, other]) {
      worker.say(FrameKind.open, OpenFlag.recovery, 0, (frame) => {
        frame.u32(1);
        frame.u64(now);
        frame.u32(60_000);
        frame.u32(60_000);
        frame.raw(Buffer.from("/kept", "utf16le"));
      });
      worker.ids.set("/kept", worker.hear()[0]?.namespaceId as number);
    }
    now += 1_000_000;
    const record = (rooms: string[], flags: number) =>
      sender.say(FrameKind.record, flags, sender.idOf("/kept"), (frame) => {
        for (const room of rooms) frame.key(keysOf("/kept").of(room));
        frame.u32(OFFSET_BYTES);
        frame.u32(sender.member.id);
        frame.names(new Set(rooms));
        frame.names(new Set());
        frame.raw(Buffer.alloc(OFFSET_BYTES, "~"));
      });
    sender.report("/kept", now, ["a"]);
    sender.hear();
    const joinedAt = now;
    // With an echo, the sender does not get the frame itself; without, it does.
    record(["a"], BroadcastFlag.echo);
    record(["a"], 0);
    const placed = sender.hear();
    expect(placed.map(({ kind }) => kind)).toEqual([FrameKind.placed, FrameKind.record]);
    joiner.report("/kept", joinedAt, ["a"]);
    const heard = joiner.hear();
    expect(heard.map(({ kind }) => kind)).toEqual([FrameKind.record, FrameKind.record]);
    const [first, second] = heard.map(({ fields }) => fields.tail(OFFSET_BYTES, OFFSET_BYTES).toString());
    expect(placed[0]?.fields.rest().toString()).toBe(first);
    expect(Number(second?.at(-1))).toBe(Number(first?.at(-1)) + 1);
  });

  test("brings what came while nobody knew that the worker has the namespace", () => {
    const [sender, joiner] = threeWorkers();
    sender.open("/new", now);
    sender.broadcast("/new", [], 1);
    now += 10;
    const openedAt = now;
    sender.broadcast("/new", [], 2);
    sender.broadcast("/new", ["a"], 3);
    sender.command("/new", [], ["x"], 4);
    sender.broadcast("/new", ["x"], 5);
    joiner.say(FrameKind.open, 0, 0, (frame) => {
      frame.u32(1);
      frame.u64(openedAt);
      frame.raw(Buffer.from("/new", "utf16le"));
    });
    joiner.ids.set("/new", sender.idOf("/new"));
    expect(joiner.numbers()).toEqual([2, 4, 5]);
    joiner.report("/new", openedAt, ["a"]);
    expect(joiner.numbers()).toEqual([3]);
  });

  test("brings everything to a worker that wants everything", () => {
    const [sender, joiner] = threeWorkers();
    sender.open("/new", now);
    now += 10;
    sender.broadcast("/new", ["a"], 1);
    sender.broadcast("/new", [], 2);
    joiner.say(FrameKind.open, OpenFlag.everything, 0, (frame) => {
      frame.u32(1);
      frame.u64(now);
      frame.raw(Buffer.from("/new", "utf16le"));
    });
    expect(joiner.numbers()).toEqual([1, 2]);
  });

  test("brings to a new server of a namespace what went to the one before it", () => {
    const [sender, joiner] = threeWorkers();
    joiner.report("/", now, ["a"]);
    const reopenedAt = now;
    // The worker has closed the namespace and opened it anew, and the hub has not heard of either.
    sender.broadcast("/", ["a"], 1);
    expect(joiner.numbers()).toEqual([1]);
    joiner.close("/");
    joiner.open("/", reopenedAt);
    joiner.report("/", reopenedAt, ["a"]);
    expect(joiner.numbers()).toEqual([1]);
    joiner.report("/", reopenedAt, [], ["a"]);
    joiner.report("/", reopenedAt, ["a"]);
    expect(joiner.numbers()).toEqual([]);
  });

  test("costs nothing where everybody is in the room, and an emitter of the primary counts for nobody", () => {
    const [sender, joiner, other] = threeWorkers();
    const emitter = new FakeWorker(0);
    emitter.open("/", now, OpenFlag.emitter);
    for (const worker of [sender, joiner, other]) worker.report("/", now, ["a"]);
    const joinedAt = now;
    sender.broadcast("/", ["a"], 1);
    emitter.broadcast("/", ["a"], 2);
    // It says that it has left and come back, so it would get what was kept.
    joiner.hear();
    joiner.report("/", 0, [], ["a"]);
    joiner.report("/", joinedAt, ["a"]);
    expect(joiner.numbers()).toEqual([]);
  });
});

describe("what is kept", () => {
  test("is bounded in bytes, and it is counted when that was too little", () => {
    const [sender, joiner] = threeWorkers();
    const joinedAt = now;
    const BYTES = 100_000;
    const FRAMES = 500;
    for (let n = 0; n < FRAMES; n++) {
      now += 100;
      sender.broadcast("/", ["a"], n, { bytes: BYTES });
    }
    joiner.report("/", joinedAt, ["a"]);
    const got = joiner.numbers();
    expect(got).toEqual(Array.from({ length: got.length }, (_, i) => FRAMES - got.length + i));
    expect(got.length * BYTES).toBeGreaterThan(28 * MIB);
    expect(got.length * BYTES).toBeLessThanOrEqual(32 * MIB);
    expect(hub.lateJoins.tooLate).toBe(1);
    joiner.report("/", now, ["b"]);
    expect(hub.lateJoins.tooLate).toBe(1);
  });

  test("holds frames that are larger than a page, too", () => {
    const [sender, joiner] = threeWorkers();
    const joinedAt = now;
    const sizes = [3 * MIB, 10, 5 * MIB, 10, 200_000, 10, 3 * MIB, 9 * MIB];
    sizes.forEach((bytes, n) => {
      sender.broadcast("/", ["a"], n, { bytes });
    });
    joiner.report("/", joinedAt, ["a"]);
    expect(joiner.numbers()).toEqual(sizes.map((_, n) => n));
    for (let n = 0; n < 20; n++) {
      now++;
      sender.broadcast("/", ["b"], n, { bytes: 4 * MIB });
    }
    joiner.report("/", joinedAt, ["b"]);
    const got = joiner.numbers();
    expect(got.at(-1)).toBe(19);
    expect(got.length).toBeLessThanOrEqual(8);
    expect(hub.lateJoins.tooLate).toBe(1);
  });

  test("is bounded in time", () => {
    const [sender, joiner] = threeWorkers();
    const joinedAt = now;
    const PAGE = 40;
    // More than a page each, so that the next one shows that it is too old.
    const fill = (from: number) => {
      for (let n = 0; n < PAGE; n++) sender.broadcast("/", ["a"], from + n, { bytes: 30_000 });
    };
    fill(0);
    now += 6_000_000;
    fill(PAGE);
    joiner.report("/", joinedAt, ["a"]);
    expect(hub.lateJoins.tooLate).toBe(1);
    const got = joiner.numbers();
    expect(got.length).toBeLessThan(2 * PAGE);
    expect(got.slice(-PAGE)).toEqual(Array.from({ length: PAGE }, (_, n) => PAGE + n));
  });
});

const NAMES = ["/", "/chat"];
const ROOMS = ["a", "b", "c"];
const WORKERS = 4;

type Step =
  | { readonly do: "broadcast" | "command"; worker: number; name: string; rooms: string[]; claim: string }
  | { readonly do: "join" | "leave"; worker: number; name: string; room: string }
  | { readonly do: "report" | "settle" | "reopen" | "replace" | "wait"; worker: number; name: string };

const place = { worker: fc.nat(WORKERS - 1), name: fc.constantFrom(...NAMES) };
const room = fc.constantFrom(...ROOMS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("broadcast" as const, "broadcast" as const, "command" as const),
      ...place,
      rooms: fc.uniqueArray(room, { maxLength: 2 }),
      claim: room,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom("join" as const, "leave" as const), ...place, room }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("report" as const, "report" as const, "settle" as const, "wait" as const),
      ...place,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("reopen" as const, "replace" as const), ...place }),
  },
);

/** One server of a namespace, as the model has it. */
class ModelServer {
  /** Rooms that the hub knows of. */
  readonly known = new Set<string>();
  /** Rooms that are joined or left, and the hub does not know it; when each was joined. */
  readonly joined = new Map<string, number>();
  readonly left = new Set<string>();
  /** What is owed as soon as the hub knows: by the room that it is for. */
  readonly owed: {
    readonly n: number;
    readonly at: number;
    readonly rooms: readonly string[];
    claim?: string;
  }[] = [];
  /** Rooms that commands on their way claim. */
  readonly claims: string[] = [];
  readonly must = new Set<number>();
  readonly may = new Set<number>();
  readonly got: number[] = [];
}

test("agrees with a model: nothing is lost, nothing comes twice, nothing comes that is older than the join", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      hub = newHub();
      const run = new ModelRun();
      for (const each of steps) run.take(each);
      run.end();
      hub.close();
    }),
    { numRuns: 400 },
  );
});

class ModelRun {
  readonly #workers: FakeWorker[] = [];
  readonly #servers = new Map<string, ModelServer>();
  /** Of each worker: the commands on their way, in order. */
  readonly #commands: { readonly server: ModelServer; readonly claim: string }[][] = [];
  #n = 0;

  constructor() {
    for (let worker = 0; worker < WORKERS; worker++) this.#admit(worker);
  }

  #admit(worker: number): void {
    const fresh = new FakeWorker(worker + 1);
    this.#workers[worker] = fresh;
    this.#commands[worker] = [];
    for (const name of NAMES) {
      fresh.open(name, now);
      this.#servers.set(`${worker} ${name}`, new ModelServer());
    }
    now++;
  }

  take(next: Step): void {
    now++;
    const worker = this.#workers[next.worker] as FakeWorker;
    const server = this.#server(next.worker, next.name);
    switch (next.do) {
      case "broadcast":
      case "command":
        this.#send(next, worker);
        break;
      case "join":
        if (server.known.has(next.room) && !server.left.has(next.room)) break;
        server.left.delete(next.room);
        if (!server.joined.has(next.room)) server.joined.set(next.room, now);
        break;
      case "leave":
        // What it is not in for the hub yet is left without a word: packets of the time between are lost for it.
        if (server.known.has(next.room)) server.left.add(next.room);
        else server.joined.delete(next.room);
        break;
      case "report":
        this.#report(next.worker, server, next.name);
        break;
      case "settle":
        this.#settle(next.worker, worker);
        break;
      case "reopen":
        this.#check(next.worker, next.name);
        worker.close(next.name);
        worker.open(next.name, now);
        this.#servers.set(`${next.worker} ${next.name}`, new ModelServer());
        break;
      case "replace":
        for (const name of NAMES) this.#check(next.worker, name);
        hub.remove(worker.member);
        this.#admit(next.worker);
        break;
      case "wait":
        now += 1_000;
    }
    this.#listen();
  }

  end(): void {
    for (const [place, server] of this.#servers) {
      const [worker, name] = place.split(" ") as [string, string];
      this.#report(Number(worker), server, name);
    }
    this.#listen();
    for (const place of this.#servers.keys()) {
      const [worker, name] = place.split(" ") as [string, string];
      this.#check(Number(worker), name);
    }
    expect(hub.lateJoins.tooLate).toBe(0);
  }

  #server(worker: number, name: string): ModelServer {
    return this.#servers.get(`${worker} ${name}`) as ModelServer;
  }

  #send(next: Extract<Step, { rooms: string[] }>, worker: FakeWorker): void {
    const n = ++this.#n;
    const { name, rooms, claim } = next;
    const isCommand = next.do === "command";
    for (let other = 0; other < WORKERS; other++) {
      if (other === next.worker) continue;
      const server = this.#server(other, name);
      const known =
        rooms.length === 0 || rooms.some((each) => server.known.has(each) || server.claims.includes(each));
      if (!known) server.owed.push({ n, at: now, rooms, ...(isCommand && { claim }) });
      else {
        server.must.add(n);
        if (isCommand) this.#claim(other, server, claim);
      }
    }
    if (isCommand) worker.command(name, rooms, [claim], n);
    else worker.broadcast(name, rooms, n);
  }

  #claim(worker: number, server: ModelServer, claim: string): void {
    server.claims.push(claim);
    this.#commands[worker]?.push({ server, claim });
  }

  #report(at: number, server: ModelServer, name: string): void {
    const joined = [...server.joined];
    const since = Math.min(...joined.map(([, at]) => at));
    // Packets since the oldest join of a report come for all rooms of the report.
    const rooms = new Map<string, number>(joined);
    for (const { n, at: sentAt, rooms: to, claim } of server.owed.splice(0)) {
      const times = to.flatMap((each) => rooms.get(each) ?? []);
      if (times.length === 0 || sentAt < since) continue;
      if (times.some((time) => time <= sentAt)) server.must.add(n);
      else server.may.add(n);
      if (claim === undefined) continue;
      this.#claim(at, server, claim);
      if (!rooms.has(claim)) rooms.set(claim, sentAt);
    }
    (this.#workers[at] as FakeWorker).report(
      name,
      joined.length === 0 ? 0 : since,
      server.joined.keys(),
      server.left,
    );
    for (const each of server.joined.keys()) server.known.add(each);
    for (const each of server.left) server.known.delete(each);
    server.joined.clear();
    server.left.clear();
  }

  /** The worker has carried out its oldest command, whatever namespace that was of. */
  #settle(at: number, worker: FakeWorker): void {
    const oldest = this.#commands[at]?.shift();
    if (!oldest) return;
    const { claims } = oldest.server;
    claims.splice(claims.indexOf(oldest.claim), 1);
    worker.say(FrameKind.settled, 0, 0, () => {});
  }

  #listen(): void {
    this.#workers.forEach((worker, at) => {
      for (const { kind, namespaceId, fields } of worker.hear()) {
        const name = NAMES.find((each) => worker.idOf(each) === namespaceId);
        if (name === undefined) continue;
        if (kind === FrameKind.command) fields.skip(fields.u32() * 4 + 1);
        if (kind === FrameKind.command || kind === FrameKind.broadcast) {
          this.#server(at, name).got.push(fields.u32());
        }
      }
    });
  }

  #check(worker: number, name: string): void {
    const { must, may, got } = this.#server(worker, name);
    const what = `at worker ${worker} in ${name}`;
    expect(new Set(got).size, `doubles ${what}`).toBe(got.length);
    expect(
      [...must].filter((n) => !got.includes(n)),
      `lost ${what}`,
    ).toEqual([]);
    expect(
      got.filter((n) => !must.has(n) && !may.has(n)),
      `foreign ${what}`,
    ).toEqual([]);
  }
}
