/** A connection that leads to another worker's session, while both of its ends go on elsewhere: no byte is lost. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { decodeTicket, type RelayTicket } from "../../dist/wire/stream-ticket.js";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import { newToken } from "../../dist/worker/departing-connection.js";
import { PrivateServer } from "../../dist/worker/private-server.js";
import { Relay } from "../../dist/worker/relay.js";
import { type RelayedSocket, relayedSocket } from "../../dist/worker/relayed-socket.js";

const releases: (() => unknown)[] = [];

afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

const WORKERS = [1, 2, 3];

/** Workers that have the session one after the other, and workers that have the client's connection. */
class World {
  readonly directory = mkdtempSync(join(tmpdir(), "hf-"));
  readonly awaited = new Map(WORKERS.map((worker) => [worker, new AwaitedStreams()]));
  readonly relays = WORKERS.map(
    () =>
      new Relay(
        {
          door: (owner) => ({ number: owner, path: join(this.directory, String(owner)), secret: "secret" }),
          mayLive: async () => false,
          onTrouble: () => {},
        },
        () => {},
        { way: "" },
      ),
  );
  readonly #sockets = new Set<Socket>();
  client!: Socket;
  /** The client's connection, as the workers have it. */
  front!: Duplex;
  /** Which relay has it. */
  relay = 0;
  /** The session's connection, as its worker has it. */
  owner!: RelayedSocket;
  worker = 1;
  /** Settles when a worker is called that is stopped. */
  called: Promise<Socket> | undefined;
  readonly up: Buffer[] = [];
  readonly down: Buffer[] = [];

  /** @param stopped workers that take connections, and do nothing with them */
  async open(...stopped: number[]): Promise<this> {
    releases.push(() => this.close());
    const asked = new Promise<void>((resolve) => {
      for (const worker of WORKERS) {
        if (stopped.includes(worker)) this.called = new Promise((called) => this.#listenOnly(worker, called));
        else this.#listen(worker, (socket) => resolve(this.#serve(socket)));
      }
    });
    const front = createServer();
    front.on("upgrade", (request, socket, head) => {
      // Each of the workers that have it would have a socket of its own.
      this.front = socket.setMaxListeners(0);
      (this.relays[0] as Relay).upgrade(1, "default", request, socket, head, () => socket.destroy());
    });
    await once(front.listen(0, "127.0.0.1"), "listening");
    releases.push(() => front.close());
    this.client = connect((front.address() as AddressInfo).port, "127.0.0.1");
    this.client.on("error", () => {});
    this.client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n");
    this.client.on("data", (chunk: Buffer) => this.down.push(chunk));
    await asked;
    return this;
  }

  #listen(worker: number, onUpgrade: (socket: RelayedSocket) => void): void {
    const server = createServer();
    server.on("upgrade", (_request, socket) => onUpgrade(socket as never));
    const own = new PrivateServer(
      { secret: "secret", numberOf: () => worker },
      () => server,
      this.awaited.get(worker) as AwaitedStreams,
    );
    this.#listenOnly(worker, (socket) => own.accept(socket));
  }

  #listenOnly(worker: number, onSocket: (socket: Socket) => void): void {
    const listener = createNetServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      onSocket(socket);
    });
    listener.listen(join(this.directory, String(worker)));
    releases.push(() => listener.close());
  }

  #serve(socket: RelayedSocket): void {
    this.owner = socket;
    socket.on("data", (chunk: Buffer) => this.up.push(chunk));
  }

  /** @returns whether it has moved */
  async moveOwner(): Promise<boolean> {
    const { owner } = this;
    if (!(await owner.hold())) return false;
    const taken = owner.takeOut();
    if (!taken) return false;
    const token = newToken();
    this.worker = (this.worker % WORKERS.length) + 1;
    owner.moveAway(token, this.worker);
    const next = relayedSocket(undefined, owner.origin);
    const awaited = this.awaited.get(this.worker) as AwaitedStreams;
    awaited.follow(next);
    awaited.add(token, next);
    next.write(taken.unsent);
    if (taken.unread.length > 0) next.unshift(taken.unread);
    this.#serve(next);
    return true;
  }

  /** @returns whether it has moved */
  async moveRelay(): Promise<boolean> {
    const [connection] = (this.relays[this.relay] as Relay).carried("default");
    const bytes = await connection?.depart(0);
    const ticket = bytes && (decodeTicket(bytes) as RelayTicket);
    if (!connection || !ticket) return false;
    const unread: Buffer[] = [];
    for (let chunk = this.front.read(); chunk !== null; chunk = this.front.read()) unread.push(chunk);
    connection.onLeft();
    this.relay = (this.relay + 1) % this.relays.length;
    const unsent = Buffer.concat([ticket.unsent, ...unread]);
    return (this.relays[this.relay] as Relay).resume("default", this.front, { ...ticket, unsent });
  }

  close(): void {
    this.client.destroy();
    for (const relay of this.relays) relay.close();
    for (const socket of this.#sockets) socket.destroy();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

type Op = readonly ["up" | "down", number] | readonly ["owner" | "relay" | "both" | "stall" | "flow", 0];

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.tuple(fc.constantFrom("up" as const, "down" as const), fc.integer({ min: 1, max: 400_000 })),
  fc.tuple(fc.constantFrom("owner", "relay", "both", "stall", "flow"), fc.constant(0 as const)),
);

const PERIOD = 251;
const BYTES = Buffer.from(Uint8Array.from({ length: 14 * 400_000 + PERIOD }, (_, i) => i % PERIOD));

/** Bytes of which each says where it is. */
function pattern(from: number, length: number): Buffer {
  return BYTES.subarray(from % PERIOD, (from % PERIOD) + length);
}

/** Until it has moved: the other end may be on its way. */
async function again(move: () => Promise<boolean>): Promise<void> {
  while (!(await move())) await new Promise((resolve) => setImmediate(resolve));
}

const lengthOf = (chunks: Buffer[]) => chunks.reduce((sum, { length }) => sum + length, 0);

/** Nothing ends because it has taken too long. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  releases.push(() => void vi.useRealTimers());
}

test("whoever moves, and whoever waits: all bytes come, in order", { timeout: 120_000 }, async () => {
  let moves = 0;
  const run = async (ops: Op[]) => {
    const world = await new World().open();
    let [up, down] = [0, 0];
    for (const [what, size] of ops) {
      if (what === "up") world.client.write(pattern(up, size));
      if (what === "down") world.owner.write(pattern(down, size));
      if (what === "up") up += size;
      if (what === "down") down += size;
      if (what === "stall") world.owner.pause();
      if (what === "flow") world.owner.resume();
      if (what === "owner") await again(() => world.moveOwner());
      if (what === "relay") await again(() => world.moveRelay());
      if (what === "both")
        await Promise.all([again(() => world.moveOwner()), again(() => world.moveRelay())]);
      if (what === "owner" || what === "relay" || what === "both") moves++;
    }
    world.owner.resume();
    world.client.end();
    const ended = once(world.owner, "end");
    await ended;
    world.owner.end();
    await once(world.client, "close");
    expect([lengthOf(world.up), lengthOf(world.down)]).toEqual([up, down]);
    expect(Buffer.concat(world.up).equals(pattern(0, up))).toBe(true);
    expect(Buffer.concat(world.down).equals(pattern(0, down))).toBe(true);
    world.close();
  };
  await fc.assert(fc.asyncProperty(fc.array(op, { minLength: 4, maxLength: 14 }), run), { numRuns: 100 });
  expect(moves).toBeGreaterThan(100);
});

test("a session that goes to a worker that stands still: its client is let go of", async () => {
  const world = await new World().open(2);
  stopTime();
  expect(await world.moveOwner()).toBe(true);
  const orphan = world.owner;
  const closed = once(world.client, "close");
  world.client.write("what nobody gets");
  await world.called;
  // As long as the session may be on its way, and no longer.
  await vi.advanceTimersByTimeAsync(10_000);
  expect(world.client.readyState).toBe("open");
  await vi.advanceTimersByTimeAsync(2_000);
  await closed;
  expect(orphan.destroyed).toBe(true);
});

test.each(["after", "before"])(
  "a connection whose owner closes the session %s it has heard that the connection moves is refused at once",
  async (when) => {
    const world = await new World().open();
    stopTime();
    const [connection] = (world.relays[0] as Relay).carried("default");
    const ticket = decodeTicket((await connection?.depart(0)) as Uint8Array) as RelayTicket;
    const closed = once(world.owner, "close");
    const moved = once(world.owner, "moved");
    connection?.onLeft();
    if (when === "after") await moved;
    world.owner.destroy();
    await closed;
    expect(await (world.relays[1] as Relay).resume("default", world.front, ticket)).toBe(false);
    await once(world.client, "close");
  },
);

test("a session whose client leaves before the connection's worker has heard that it moves ends at once", async () => {
  const world = await new World().open();
  stopTime();
  expect(await world.moveOwner()).toBe(true);
  world.front.destroy();
  await once(world.owner, "close");
});
