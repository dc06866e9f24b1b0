/**
 * Random sequences of joins, leaves, disconnects, broadcasts and killed workers on a real cluster, compared with a
 * model of what is promised: whoever has called `join()` gets everything from then on, from anywhere, and whoever has
 * awaited it gets it in order; `socketsJoin()` followed by a broadcast reaches the new members; nobody gets what is not
 * for him, or twice. With recovery, everybody gets everything in one order, awaited or not.
 *
 * HOLDFAST_SEED replays a failure, HOLDFAST_RUNS asks for more sequences.
 */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, TestCluster, untilServers } from "./harness/cluster.js";
import { InterestModel, type ModelClient } from "./harness/interest-model.js";

const WORKERS = 4;
const MAX_CLIENTS = 10;
const ROOMS = ["a", "b", "c", "d"];
const RUNS = Number(process.env.HOLDFAST_RUNS ?? (process.env.HOLDFAST_WIDE === "1" ? 30 : 12));
const SEED = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const TIME_LIMIT_MS = 60_000 + RUNS * 10_000;

/** What happens next. Numbers stand for clients and are taken modulo how many there are. */
type Step =
  /** Some operations that one worker carries out in a row, in one turn except where it awaits a join. */
  | { readonly do: "operate"; readonly slot: number; readonly operations: readonly Operation[] }
  | { readonly do: "connect"; readonly slot: number }
  | { readonly do: "fence" }
  | { readonly do: "kill"; readonly slot: number };

type Operation =
  | { readonly do: "join" | "await join" | "leave"; readonly client: number; readonly room: string }
  | { readonly do: "socketsJoin" | "socketsLeave"; readonly selected: readonly Room[]; readonly room: string }
  | { readonly do: "broadcast"; readonly rooms: readonly Room[]; readonly except: readonly Room[] }
  | { readonly do: "disconnect"; readonly client: number };

/** A room by name, or the own room of a client. */
type Room = string | number;

const slot = fc.nat(WORKERS - 1);
const room = fc.constantFrom(...ROOMS);
const client = fc.nat(MAX_CLIENTS - 1);
const someRooms = fc.array(fc.oneof({ weight: 8, arbitrary: room }, { weight: 1, arbitrary: client }), {
  maxLength: 2,
});

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom("join", "await join", "await join", "leave"), client, room }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("socketsJoin", "socketsJoin", "socketsLeave"),
      selected: someRooms,
      room,
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("broadcast"), rooms: someRooms, except: someRooms }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("disconnect"), client }) },
) as fc.Arbitrary<Operation>;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      do: fc.constant("operate"),
      slot,
      operations: fc.array(operation, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect"), slot }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("fence") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill"), slot }) },
) as fc.Arbitrary<Step>;

let cluster: TestCluster;
/** By slot. */
let workers: RemoteWorker[];
const clients = new Clients();

describe.each([
  ["", {}],
  [", with recovery", { connectionStateRecovery: {} }],
])("operations in any order%s", (_name, io) => {
  beforeAll(() => startCluster(io));
  afterAll(() => cluster?.close());
  afterEach(() => clients.close());

  test(
    `a broadcast reaches whom it should, and nobody else (seed ${SEED}, ${RUNS} runs)`,
    {
      timeout: TIME_LIMIT_MS + 60_000,
    },
    agreesWithTheModel,
  );
});

async function startCluster(io: object): Promise<void> {
  cluster = await TestCluster.start({ sticky: false, workers: WORKERS, io });
  workers = cluster.workers.slice();
  await untilServers(workers, WORKERS);
  await cluster.primary.run((ctx) => {
    ctx.hub.on("leave", (member: { workerId: number }) => ctx.emit("left", member.workerId));
  });
  for (const worker of workers) await answerFences(worker);
}

async function agreesWithTheModel(): Promise<void> {
  const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
    const run = new Run();
    try {
      for (let at = 0; at < WORKERS; at++) await run.connect(at);
      for (const next of steps) await run.take(next);
      await run.fence();
    } finally {
      await run.cleanUp();
    }
  });
  // A failure that is being shrunk is reported as it is then, instead of being lost to the test's timeout.
  await fc.assert(property, {
    seed: SEED,
    numRuns: RUNS,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    markInterruptAsFailure: true,
  });
}

/** What one worker is to do, with names instead of numbers. */
type Order =
  | { readonly do: "join" | "await join" | "leave"; readonly id: string; readonly room: string }
  | {
      readonly do: "socketsJoin" | "socketsLeave";
      readonly selected: readonly string[];
      readonly room: string;
    }
  | {
      readonly do: "broadcast";
      readonly n: number;
      readonly rooms: readonly string[];
      readonly except: readonly string[];
    }
  | { readonly do: "disconnect"; readonly id: string };

/** One sequence of steps: carries them out and tells the model. */
class Run {
  readonly #model = new InterestModel();
  readonly #clients = new Map<ModelClient, TestClient>();
  /** With recovery: the places of what a client got, in order. */
  readonly #places = new Map<TestClient, string[]>();
  /** Who sent which broadcast. */
  readonly #senders: number[] = [];
  #fences = 0;

  async take(next: Step): Promise<void> {
    if (next.do === "operate") await this.#operate(next.slot, next.operations);
    else if (next.do === "connect") await this.connect(next.slot);
    else if (next.do === "kill") await this.#kill(next.slot);
    else await this.fence();
  }

  async connect(at: number): Promise<void> {
    if (this.#model.clients.size === MAX_CLIENTS) return;
    const fresh = await clients.connectTo(workerAt(at));
    this.#clients.set(this.#model.connect(fresh.id, at), fresh);
    const places: string[] = [];
    this.#places.set(fresh, places);
    fresh.socket.on("n", (_n: number, place?: string) => {
      if (place !== undefined) places.push(place);
    });
  }

  async #operate(at: number, operations: readonly Operation[]): Promise<void> {
    const orders = operations.map((each) => this.#order(at, each)).filter((each) => each !== undefined);
    await workerAt(at).run(async (ctx, todo) => {
      for (const order of todo) {
        if (order.do === "broadcast") {
          ctx.io
            .to([...order.rooms])
            .except([...order.except])
            .emit("n", order.n);
        } else if ("selected" in order) {
          ctx.io.in([...order.selected])[order.do](order.room);
        } else {
          const socket = ctx.io.sockets.sockets.get(order.id);
          if (!socket) throw new Error(`no socket ${order.id}`);
          if (order.do === "disconnect") socket.disconnect(true);
          else if (order.do === "leave") void socket.leave(order.room);
          else if (order.do === "join") void socket.join(order.room);
          else await socket.join(order.room);
        }
      }
    }, orders);
  }

  /** Tells the model what will be done. */
  #order(at: number, operation: Operation): Order | undefined {
    switch (operation.do) {
      case "broadcast": {
        const n = this.#senders.push(at) - 1;
        const [rooms, except] = [this.#names(operation.rooms), this.#names(operation.except)];
        this.#model.broadcast({ n, from: at, rooms, except });
        return { do: "broadcast", n, rooms, except };
      }
      case "socketsJoin":
      case "socketsLeave": {
        const selected = this.#names(operation.selected);
        this.#model.changeAll(at, selected, operation.room, operation.do === "socketsJoin" ? "in" : "out");
        return { do: operation.do, selected, room: operation.room };
      }
      default:
        return this.#orderClient(at, operation);
    }
  }

  #orderClient(
    at: number,
    operation: Exclude<Operation, { do: "broadcast" | "socketsJoin" | "socketsLeave" }>,
  ): Order | undefined {
    const here = [...this.#model.clients].filter((each) => each.slot === at);
    const client = here[operation.client % here.length];
    if (!client) return undefined;
    const { id } = client;
    if (operation.do === "disconnect") {
      this.#model.disconnect(client);
      return { do: "disconnect", id };
    }
    this.#model.change(client, operation.room, operation.do === "leave" ? "out" : "in");
    if (operation.do === "await join") this.#model.synced(at);
    return { do: operation.do, id, room: operation.room };
  }

  #names(rooms: readonly Room[]): string[] {
    const ids = [...this.#model.clients].map(({ id }) => id);
    return rooms.map((each) => (typeof each === "string" ? each : (ids[each % ids.length] ?? "a")));
  }

  async #kill(at: number): Promise<void> {
    // The hub has read everything that the worker sent by then.
    const left = cluster.primary.next("left");
    await workerAt(at).kill("SIGKILL");
    await left;
    this.#model.kill(at);
    const fresh = await cluster.fork();
    workers[at] = fresh;
    await untilServers([fresh], WORKERS);
    await answerFences(fresh);
  }

  /** Waits until nothing is on its way, and compares. */
  async fence(): Promise<void> {
    const n = ++this.#fences;
    const name = `fence ${n}`;
    const living = [...this.#model.clients].map((each) => this.#clients.get(each) as TestClient);
    const arrived = living.map(async (each) => {
      while (each.received(name).length < WORKERS) await each.next(name);
    });
    for (const worker of workers) {
      // The answers come from behind everything that this worker has sent before.
      await worker.run(async (ctx, event) => {
        ctx.io.emit(event);
        await ctx.io.serverSideEmitWithAck("fence");
      }, name);
    }
    await Promise.all(arrived);
    const actual = new Map<string, readonly string[]>();
    for (const worker of workers) for (const [id, rooms] of await roomsOf(worker)) actual.set(id, rooms);
    expect(this.#model.fence(actual)).toEqual([]);
    this.#compare();
  }

  #compare(): void {
    for (const [client, inbox] of this.#clients) {
      const numbers = inbox.received("n").map(([n]) => n as number);
      const wanted = `of client ${client.id} at worker ${client.slot}`;
      expect([...numbers].sort(ascending), `no duplicates ${wanted}`).toEqual(
        [...new Set(numbers)].sort(ascending),
      );
      const stray = numbers.filter((n) => !client.must.has(n) && !client.may.has(n));
      expect(stray, `not for him ${wanted}`).toEqual([]);
      for (let sender = 0; sender < WORKERS; sender++) {
        const inTime = numbers.filter((n) => client.must.has(n) && !client.late.has(n));
        const ofSender = inTime.filter((n) => this.#senders[n] === sender);
        expect(ofSender, `order of sender ${sender} ${wanted}`).toEqual([...ofSender].sort(ascending));
      }
      // What is in flight when a client is disconnected goes before that, wherever its place is.
      if (!this.#model.clients.has(client)) continue;
      const places = this.#places.get(inbox) ?? [];
      expect(places, `one order ${wanted}`).toEqual([...new Set(places)].sort());
      const missed = [...client.must].filter((n) => !numbers.includes(n));
      expect(missed, `missed ${wanted}`).toEqual([]);
    }
  }

  /** No client is left, and neither is interest in any room. */
  async cleanUp(): Promise<void> {
    for (const each of this.#clients.values()) each.close();
    for (const worker of workers) {
      await worker.run(async (ctx) => {
        await ctx.until(() => ctx.io.sockets.sockets.size === 0);
        // The answer comes from behind what the hub was told of the rooms.
        await ctx.io.of("/").adapter.serverCount();
      });
    }
    expect((await stats()).rooms).toBe(0);
    const [sender] = workers as [RemoteWorker];
    const before = await framesToOthers(sender);
    await sender.run(async (ctx, rooms) => {
      for (const each of rooms) ctx.io.to(each).emit("nobody");
      await ctx.io.of("/").adapter.serverCount();
    }, ROOMS);
    expect(await framesToOthers(sender)).toEqual(before);
  }
}

function workerAt(at: number): RemoteWorker {
  const worker = workers[at];
  if (!worker) throw new Error(`no worker at ${at}`);
  return worker;
}

async function answerFences(worker: RemoteWorker): Promise<void> {
  await worker.run((ctx) => void ctx.io.on("fence", (answer: () => void) => answer()));
}

/** The rooms of each socket of a worker, and the hub knows them. */
async function roomsOf(worker: RemoteWorker): Promise<[string, string[]][]> {
  return worker.run(async (ctx) => {
    const sockets = [...ctx.io.sockets.sockets.values()];
    await Promise.all(sockets.map((socket) => socket.join(socket.id)));
    return sockets.map((socket) => [socket.id, [...socket.rooms]] as [string, string[]]);
  });
}

interface Stats {
  readonly rooms: number;
  readonly members: readonly { readonly workerId: number; readonly framesOut: number }[];
}

async function stats(): Promise<Stats> {
  return cluster.primary.run((ctx) => ctx.hub.stats()) as Promise<Stats>;
}

async function framesToOthers(sender: RemoteWorker): Promise<number[]> {
  const { members } = await stats();
  return members.filter(({ workerId }) => workerId !== sender.workerId).map(({ framesOut }) => framesOut);
}

function ascending(one: number, other: number): number {
  return one - other;
}
