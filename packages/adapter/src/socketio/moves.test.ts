/** What a client that has moved owes to the worker that it came from. */
import { expect, test } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { Moves } from "../../dist/socketio/moves.js";
import { MovingIn } from "../../dist/socketio/moving-in.js";
import { MovingOut } from "../../dist/socketio/moving-out.js";

/** More than the arguments that one call can have. */
const MANY = 200_000;

test("a client may owe any number of acknowledgements, and none gets a number that it knows already", () => {
  const nsp = { _ids: 7, sockets: new Map() };
  const acknowledged: unknown[][] = [];
  const none = () => {};
  const moves = new Moves({
    nsp: nsp as never,
    port: { ack: (...ack: unknown[]) => void acknowledged.push(ack), heard: none } as never,
    live: () => undefined,
    ...{ enter: none, leave: none, giveUp: none, flush: none, onOffset: none, onError: none },
  });
  moves.in.onArriving({
    ...{ handle: 1, offset: "", privateId: "private", sid: "sid" },
    ...{ rooms: new Set<string>(), data: Buffer.alloc(0) },
  });
  const owed = Array.from({ length: MANY }, (_, id) => [id, { member: 3, id }] as const);
  void moves.in.begin("sid", {} as never, new Map(owed));
  const own: unknown[] = [];
  const socket = { id: "sid", onack: (packet: unknown) => void own.push(packet) };
  expect(moves.land(socket as never)).toBeDefined();
  expect(nsp._ids).toBe(MANY);
  const late = { type: 3, id: MANY - 1, data: ["late"] };
  for (const packet of [late, late]) socket.onack(packet);
  expect(acknowledged).toEqual([[{ member: 3, id: MANY - 1 }, "sid", ["late"]]]);
  expect(own).toEqual([late]);
});

test("what listeners throw as a session comes, or does not, keeps nothing else from it", async () => {
  const log: string[] = [];
  const boom = () => {
    throw new Error("mine");
  };
  const arriving = new MovingIn({
    ...{ enter: boom, leave: boom, heard: () => {} },
    giveUp: () => void log.push("given up"),
    cut: () => void log.push("cut"),
  });
  const session = {
    ...{ handle: 1, offset: "", privateId: "private", sid: "sid" },
    ...{ rooms: new Set<string>(), data: Buffer.alloc(0) },
  };
  const arrive = () => {
    const told = arriving.told("sid");
    expect(uncaughtOf(() => arriving.onArriving(session))).toHaveLength(1);
    return told;
  };
  await arrive();
  const landed = arriving.begin("sid", {} as never, new Map());
  arriving.push("sid", boom);
  arriving.push("sid", () => log.push("written"));
  const landing = arriving.land({ id: "sid" } as never);
  expect(uncaughtOf(() => landing?.run())).toHaveLength(1);
  expect(await landed).toBe(true);
  await arrive();
  const lost = arriving.begin("sid", {} as never, new Map());
  expect(uncaughtOf(() => arriving.abandon("sid"))).toHaveLength(1);
  expect(await lost).toBe(false);
  expect(log).toEqual(["written", "given up", "cut"]);
});

test("what listeners throw as a session goes keeps its client from nothing", async () => {
  const removed: unknown[] = [];
  const nsp = {
    adapter: {
      delAll: () => {
        throw new Error("mine");
      },
    },
    _remove: (socket: unknown) => void removed.push(socket),
  };
  const live = { moveOut: () => ({ handle: 1, stay: () => {} }) };
  const leaving = new MovingOut(
    nsp as never,
    { move: () => true } as never,
    { live: () => live, flush: () => {} } as never,
  );
  const socket = { id: "sid", connected: true, nsp };
  const given = leaving.start(socket as never, 2);
  expect(uncaughtOf(() => leaving.onCut(1, true))).toHaveLength(1);
  expect(await given).toBe(true);
  expect(removed).toEqual([socket]);
  leaving.close();
});
