/** What has come of a session is either brought up, or let go of. */
import { expect, test } from "vitest";
import { partsOf } from "../../dist/wire/move-messages.js";
import { encodeParcel } from "../../dist/wire/parcel.js";
import { encodeTicket } from "../../dist/wire/stream-ticket.js";
import { Arrivals } from "../../dist/worker/arrivals.js";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import { Counts } from "../../dist/worker/counts.js";
import { MovesIn } from "../../dist/worker/moves-in.js";

test("a connection whose state cannot be read is closed and counted, and the primary hears that it is not up", async () => {
  let closed = 0;
  const counts = new Counts(() => {});
  const arrivals = new Arrivals(
    counts,
    () => undefined,
    () => true,
  );
  const handle = { close: () => void closed++ };
  const told = new Promise((resolve) => {
    const landing = { mover: {}, routed: {}, isAtRest: () => true };
    const hooks = { awaited: new AwaitedStreams(), relayOf: () => undefined };
    const moves = new MovesIn(arrivals, { ...hooks, landingOf: () => landing as never, send: resolve });
    const connection = { kind: "moveConnection", move: 1, name: "default", hasConnection: true } as const;
    void moves.onConnection({ ...connection, part: "AA==", peer: undefined }, handle as never);
  });
  expect(await told).toEqual({ kind: "moveLanded", ends: [{ move: 1, isUp: false }] });
  expect(closed).toBe(1);
  expect(counts.stats()).toMatchObject({ received: 1, connections: 0 });
});

test("who calls for a session whose state does not come as a whole is refused", () => {
  const refused: string[] = [];
  const awaited = Object.assign(new AwaitedStreams(), {
    refuse: (token: string) => void refused.push(token),
  });
  const hooks = { awaited, relayOf: () => undefined, landingOf: () => undefined, send: () => {} };
  const moves = new MovesIn({} as never, hooks);
  const origin = { name: "default", remote: undefined, local: undefined, tls: undefined, passes: 0 };
  const ticket = encodeTicket({ end: "owner", token: "abc", origin });
  const state = Buffer.alloc(1_000_000);
  const [first = ""] = partsOf(encodeParcel({ state, unread: state, unsent: state, ticket }));
  moves.onState(1, first);
  moves.onCancelled(1);
  moves.onCancelled(2);
  expect(refused).toEqual(["abc"]);
});
