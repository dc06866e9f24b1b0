import { EventEmitter } from "node:events";
import type { Namespace } from "socket.io";
import { beforeEach, expect, test } from "vitest";
import type { HoldfastError } from "../../dist/errors.js";
import type { PreparedPacket } from "../../dist/socketio/prepared-packet.js";
import type { Connection } from "../../dist/socketio/private-fields.js";
import type { RecoveryPort } from "../../dist/socketio/recovery-port.js";
import { type RestoredSession, Restores } from "../../dist/socketio/restores.js";

const OFFSET = "epoc0000000001";
const SESSION = { sid: "s", rooms: new Set(["s"]), data: Buffer.alloc(0) };

/** Stands for the way to the hub: notes what is said. */
class FakePort {
  /** Handles that were asked for, and handles that were let go. */
  readonly asked: number[] = [];
  readonly ended: number[] = [];
  isOpen = true;
  mayOpen = true;
  #lastHandle = 0;

  nextHandle(): number {
    return ++this.#lastHandle;
  }

  restore(handle: number): void {
    this.asked.push(handle);
  }

  sessionEnd(handle: number): void {
    this.ended.push(handle);
  }
}

let port: FakePort;
let restores: Restores;
let told: HoldfastError[];
let connection: EventEmitter;

beforeEach(() => {
  port = new FakePort();
  const nsp = { _preConnectSockets: new Map() } as unknown as Namespace;
  told = [];
  restores = new Restores(nsp, port as unknown as RecoveryPort, (error) => void told.push(error));
  connection = new EventEmitter();
});

function ask(): Promise<RestoredSession | null> {
  return restores.ask("p", OFFSET, connection as unknown as Connection);
}

function answer(handle: number, count = 0): void {
  restores.onAnswer({ handle, offset: OFFSET, restored: SESSION, count });
}

/** The packet is not looked at; a name stands for it. */
const takeMissed = (name: string) => restores.takeMissed(name as unknown as PreparedPacket, {});

function loseLink(): void {
  port.isOpen = false;
  restores.onUnlinked();
}

function openLink(): void {
  port.isOpen = true;
  restores.onOpened();
}

test("what was missed comes in parts, and others' packets in between are no part of it", async () => {
  const session = ask();
  restores.onMissed({ handle: 1, count: 2 });
  expect([takeMissed("1"), takeMissed("2"), takeMissed("somebody else's")]).toEqual([true, true, false]);
  restores.onMissed({ handle: 1, count: 1 });
  expect([takeMissed("3"), takeMissed("somebody else's")]).toEqual([true, false]);
  expect(restores.isEmpty).toBe(true);
  answer(1, 1);
  expect([takeMissed("4"), takeMissed("live")]).toEqual([true, false]);
  expect((await session)?.sid).toBe("s");
  expect(restores.arrive("s")?.packets.map(({ packet }) => packet)).toEqual(["1", "2", "3", "4"]);
  expect([restores.isEmpty, port.ended]).toEqual([true, []]);
});

test("a session that came in part when the link was lost is asked for again, and comes whole and once", async () => {
  const session = ask();
  restores.onMissed({ handle: 1, count: 1 });
  takeMissed("1");
  answer(1, 2);
  expect(takeMissed("2")).toBe(true);
  loseLink();
  expect([restores.isEmpty, port.asked]).toEqual([true, [1]]);
  openLink();
  expect(port.asked).toEqual([1, 1]);
  expect(takeMissed("of the new link, and not for the session")).toBe(false);
  answer(1, 3);
  for (const name of ["1", "2", "3"]) expect(takeMissed(name)).toBe(true);
  expect((await session)?.sid).toBe("s");
  expect(restores.arrive("s")?.packets.map(({ packet }) => packet)).toEqual(["1", "2", "3"]);
});

test("a session that was given is not handed out if the link is lost in the same turn, but asked for again", async () => {
  const session = ask();
  answer(1);
  loseLink();
  openLink();
  await Promise.resolve();
  expect([restores.isEmpty, port.asked]).toEqual([true, [1, 1]]);
  answer(1);
  expect((await session)?.sid).toBe("s");
});

test("a session that was given is not handed out if it is wanted elsewhere in the same turn", async () => {
  const session = ask();
  answer(1);
  expect(restores.fence(1)).toBe(true);
  expect(await session).toBeNull();
  expect([restores.isEmpty, port.ended]).toEqual([true, [1]]);
});

test("without a hub that knows the namespace, a question waits for one that may come, and no longer", async () => {
  port.isOpen = false;
  const first = ask();
  expect(port.asked).toEqual([]);
  openLink();
  expect(port.asked).toEqual([1]);
  answer(1);
  expect((await first)?.sid).toBe("s");
  restores.arrive("s");
  loseLink();
  const second = ask();
  restores.onNoHub();
  expect(await second).toBeNull();
  port.mayOpen = false;
  expect(await ask()).toBeNull();
  expect(port.asked).toEqual([1]);
});

test("a client that is gone is not waited for, and what comes for it is let go", async () => {
  const session = ask();
  connection.emit("close");
  expect(await session).toBeNull();
  expect(port.ended).toEqual([1]);
  answer(1, 1);
  expect([takeMissed("1"), takeMissed("live")]).toEqual([true, false]);
  expect([restores.isEmpty, port.ended]).toEqual([true, [1, 1]]);
  expect(connection.listenerCount("close")).toBe(0);
});

test("a socket that was being made when there is a new link has to ask again", async () => {
  const session = ask();
  answer(1);
  await session;
  loseLink();
  expect(restores.has("s")).toBe(true);
  openLink();
  expect([restores.has("s"), restores.arrive("s"), port.asked]).toEqual([false, undefined, [1]]);
});

test("who has stopped waiting is not asked for again", async () => {
  const session = ask();
  loseLink();
  restores.close();
  expect(await session).toBeNull();
  openLink();
  expect(await ask()).toBeNull();
  expect([port.asked, connection.listenerCount("close")]).toEqual([[1], 0]);
});

test("a session whose data cannot be read is given up and told of, and its client gets a new one", async () => {
  const session = ask();
  const restored = { ...SESSION, data: Buffer.from("no value") };
  restores.onAnswer({ handle: 1, offset: OFFSET, restored, count: 0 });
  expect(await session).toBe(null);
  expect(port.ended).toEqual([1]);
  expect(told.map(({ code }) => code)).toEqual(["HOLDFAST_ERR_BROKEN_MESSAGE"]);
  expect(restores.isEmpty).toBe(true);
});
