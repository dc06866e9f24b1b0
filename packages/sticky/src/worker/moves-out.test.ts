/** How long a worker that gives its sessions away takes over those that cannot go, with a clock that the test moves. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { firstUncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { CarriedSocket } from "../../dist/handle/carried-socket.js";
import type { MovableSession } from "../../dist/moves.js";
import type { MoveMessage, MoveTask } from "../../dist/wire/move-messages.js";
import { HeldRequests } from "../../dist/worker/held-requests.js";
import { MovesOut, type NamedSession } from "../../dist/worker/moves-out.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
});
afterEach(() => void vi.useRealTimers());

type Report = MoveMessage & { kind: "moveReport" };

/** A session of a client that polls. */
function session(id: string, overrides: Partial<NamedSession> & { depart?: MovableSession["depart"] } = {}) {
  const calls: string[] = [];
  const { depart = async () => undefined, ...rest } = overrides;
  const named: NamedSession = {
    session: {
      id,
      socket: undefined,
      obstacle: undefined,
      depart,
      onLeft: () => void calls.push("left"),
      onLost: () => void calls.push("lost"),
      close: () => void calls.push("close"),
      cut: () => void calls.push("cut"),
    },
    name: "default",
    isAtRest: () => true,
    ...rest,
  };
  return { named, calls };
}

/** After these, a session is not here any more. */
const ENDS = new Set(["left", "close", "cut"]);

/** Starts a task over the sessions; those that were closed or cut are gone. */
function begin(all: ReturnType<typeof session>[], drainMs: number, spreadMs = 0) {
  const reports: Report[] = [];
  const held = new HeldRequests();
  const moves = new MovesOut(held, {
    sessions: () =>
      all.filter(({ calls }) => !calls.some((call) => ENDS.has(call))).map(({ named }) => named),
    peerOf: () => undefined,
    push: () => {},
    send: (message) => {
      if (message.kind === "moveOffered") moves.onSettled(message.move, true);
      if (message.kind !== "moveReport") return;
      reports.push(message);
      if (message.state === "empty") moves.onLetGo(message.task);
    },
    endKeepAlive: () => {},
    resumeKeepAlive: () => {},
    requestsDone: async () => {},
    hasRouter: () => true,
  });
  const task: MoveTask = { task: 1, limit: 1e9, window: 4, drainMs, spreadMs, heir: 2, successors: [2] };
  moves.start(task);
  return { moves, held, last: () => reports.at(-1) };
}

test("requests that do not end are waited for no longer than the whole may take, however many there are", async () => {
  const all = Array.from({ length: 400 }, (_, i) => session(`busy ${i}`, { isAtRest: () => false }));
  const { last, held } = begin(all, 500);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(last()).toMatchObject({ state: "over", moved: 0, lost: 0, closed: 400, left: { busy: 400 } });
  expect(held.until("busy 0")).toBeUndefined();
  expect(vi.getTimerCount()).toBe(0);
});

test("one that is stopped between the sessions that it closes is over at once", async () => {
  const all = Array.from({ length: 3 }, (_, i) => session(`${i}`));
  const { moves, last } = begin(all, 100, 60_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(last()).toMatchObject({ state: "underway" });
  moves.stop(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(last()).toMatchObject({ state: "over", closed: 1 });
  expect(all.map(({ calls }) => calls)).toEqual([["close"], [], []]);
});

test("a session whose departure fails is lost, and stops no other", async () => {
  const broken = session("broken", { depart: () => Promise.reject(new RangeError("too deep")) });
  const others = Array.from({ length: 3 }, (_, i) => session(`${i}`));
  const { last } = begin([broken, ...others], 100);
  await vi.advanceTimersByTimeAsync(200);
  expect(last()).toMatchObject({ state: "over", lost: 1, closed: 3 });
  expect(broken.calls).toEqual(["lost", "cut"]);
});

test("a listener that throws when its session is closed stops no other", async () => {
  const [error] = await firstUncaughtOf(async () => {
    const all = Array.from({ length: 3 }, (_, i) => session(`${i}`));
    const [first] = all as [ReturnType<typeof session>];
    const { close } = first.named.session;
    first.named.session.close = () => {
      close();
      throw new Error("of the application");
    };
    const { last } = begin(all, 100);
    await vi.advanceTimersByTimeAsync(200);
    expect(last()).toMatchObject({ state: "over", closed: 3 });
  });
  expect(error).toMatchObject({ message: "of the application" });
});

test("a session that could not move is tried again, however long the others have taken", async () => {
  const state = new Uint8Array(1);
  const slow = session("slow", { depart: () => new Promise((resolve) => setTimeout(resolve, 900, state)) });
  let tries = 0;
  const busy = session("busy", { depart: async () => (tries++ === 0 ? undefined : state) });
  const { last } = begin([busy, slow], 500);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(last()).toMatchObject({ state: "over", moved: 2, closed: 0, left: {} });
});

test("a connection that was taken out is closed if what comes after that fails", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const socket = new CarriedSocket();
  socket.connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [theirs] = (await accepted) as [Socket];
  const ended = once(theirs.resume(), "close");
  const { named, calls } = session("broken", { depart: async () => new Uint8Array(1) });
  const onLeft = () => {
    throw new Error("a fault of a mover");
  };
  const { last } = begin(
    [{ named: { ...named, session: { ...named.session, socket, onLeft } }, calls }],
    100,
  );
  await vi.advanceTimersByTimeAsync(200);
  await ended;
  expect(last()).toMatchObject({ state: "over", lost: 1 });
  server.close();
});
