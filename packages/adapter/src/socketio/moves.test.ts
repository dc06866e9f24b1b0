/** What a client that has moved owes to the worker that it came from. */
import { expect, test } from "vitest";
import { Moves } from "../../dist/socketio/moves.js";

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
