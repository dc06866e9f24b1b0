/** What has come of a session is either brought up, or let go of. */
import { expect, test } from "vitest";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import { MovesIn } from "../../dist/worker/moves-in.js";

test("a connection whose state cannot be read is closed, and the primary hears that it is not up", async () => {
  let closed = 0;
  const handle = { close: () => void closed++ };
  const told = new Promise((resolve) => {
    const landing = { mover: {}, routed: {}, isAtRest: () => true };
    const hooks = { awaited: new AwaitedStreams(), relayOf: () => undefined };
    const moves = new MovesIn({} as never, { ...hooks, landingOf: () => landing as never, send: resolve });
    const connection = { kind: "moveConnection", move: 1, name: "default", hasConnection: true } as const;
    void moves.onConnection({ ...connection, part: "AA==", peer: undefined }, handle as never);
  });
  expect(await told).toEqual({ kind: "moveLanded", ends: [{ move: 1, isUp: false }] });
  expect(closed).toBe(1);
});
