/** What the forwarder does with requests that came from another worker. */
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { type ForwarderHost, forwardStrays } from "../../dist/worker/forwarder.js";
import { isRelayed, RelayedSocket } from "../../dist/worker/relayed-socket.js";

/** Required, not imported: the compiler may not have built it yet when it checks this file. */
const { isRelayed: isRelayedInCommonJs }: { isRelayed: typeof isRelayed } = createRequire(import.meta.url)(
  "../../dist/cjs/worker/relayed-socket.js",
);

const carrier = { send: () => {}, sendData: () => {}, mustWait: () => false, forget: () => {} };
const origin = { name: "default", remote: undefined, local: undefined, tls: undefined };
const STRAY = "/socket.io/?EIO=4&transport=polling&sid=AbAAACxx";

function setUp(overrides: Partial<ForwarderHost> = {}) {
  const here: string[] = [];
  const elsewhere: string[] = [];
  let forwardedIn = 0;
  const engine = {
    handleRequest: () => void here.push("request"),
    handleUpgrade: () => void here.push("upgrade"),
  };
  const relay = {
    request: () => void elsewhere.push("request"),
    upgrade: () => void elsewhere.push("upgrade"),
  };
  const owner = { number: 2, relay: relay as never, isRouted: true };
  const undo = forwardStrays(engine as never, "default", {
    isHere: () => false,
    untilSettled: () => undefined,
    ownerElsewhere: () => owner,
    heir: () => undefined,
    ownerAfter: () => Promise.resolve(undefined),
    onRequest: () => {},
    ...overrides,
    move: () => false,
    onForwardedIn: () => forwardedIn++,
    onClientRequest: () => {},
    endPoll: () => {},
  });
  return {
    engine: engine as never as { handleRequest: Handle; handleUpgrade: Handle },
    here,
    elsewhere,
    undo,
    count: () => forwardedIn,
  };
}

type Handle = (request: IncomingMessage, second: unknown, head?: Buffer) => void;

const requestOn = (socket: Duplex) => ({ url: STRAY, method: "GET", rawHeaders: [], socket }) as never;
const response = new EventEmitter() as ServerResponse;

test("what was relayed once is answered here, whatever its session id says", () => {
  const { engine, here, elsewhere, count } = setUp();
  const socket = new RelayedSocket(1, carrier, origin);
  engine.handleRequest(requestOn(socket), response);
  engine.handleUpgrade(requestOn(socket), socket, Buffer.alloc(0));
  expect({ here, elsewhere, count: count() }).toEqual({
    here: ["request", "upgrade"],
    elsewhere: [],
    count: 2,
  });
});

test("a stray of a client's own connection goes to its owner, until that is undone", () => {
  const { engine, here, elsewhere, undo, count } = setUp();
  const socket = new Duplex();
  engine.handleRequest(requestOn(socket), response);
  engine.handleUpgrade(requestOn(socket), socket, Buffer.alloc(0));
  undo();
  engine.handleRequest(requestOn(socket), response);
  expect({ here, elsewhere, count: count() }).toEqual({
    here: ["request"],
    elsewhere: ["request", "upgrade"],
    count: 0,
  });
});

test("both copies of this package know what was relayed", () => {
  const socket = new RelayedSocket(1, carrier, origin);
  expect([isRelayed(socket), isRelayedInCommonJs(socket)]).toEqual([true, true]);
  expect([isRelayed(new Duplex()), isRelayedInCommonJs(new Duplex())]).toEqual([false, false]);
});
