/** What the forwarder does with requests that came from another worker. */
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { firstUncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { type ForwarderHost, forwardStrays } from "../../dist/worker/forwarder.js";
import { isRelayed, RelayedSocket } from "../../dist/worker/relayed-socket.js";

/** Required, not imported: the compiler may not have built it yet when it checks this file. */
const { isRelayed: isRelayedInCommonJs }: { isRelayed: typeof isRelayed } = createRequire(import.meta.url)(
  "../../dist/cjs/worker/relayed-socket.js",
);

const carrier = {
  send: () => {},
  sendData: () => {},
  mustWait: () => false,
  forget: () => {},
  heard: 0,
  isSilent: false,
};
const origin = { name: "default", remote: undefined, local: undefined, tls: undefined, passes: 0 };
const STRAY = "/socket.io/?EIO=4&transport=polling&sid=AbAAACxx";

function setUp(overrides: Partial<ForwarderHost> = {}, onHere = () => {}) {
  const here: string[] = [];
  const elsewhere: string[] = [];
  let forwardedIn = 0;
  const engine = {
    handleRequest: () => {
      here.push("request");
      onHere();
    },
    handleUpgrade: () => void here.push("upgrade"),
  };
  const relay = {
    request: () => void elsewhere.push("request"),
    upgrade: () => void elsewhere.push("upgrade"),
  };
  const owner = { number: 2, marked: 2, relay: relay as never, isRouted: true, getsConnections: true };
  const undo = forwardStrays(engine as never, "default", {
    isHere: () => false,
    untilSettled: () => undefined,
    untilKnown: () => undefined,
    ownerOfNew: () => undefined,
    ownerElsewhere: (_, isRelayed) => (isRelayed ? undefined : owner),
    ownerAfter: () => Promise.resolve(undefined),
    onRequest: () => {},
    ...overrides,
    move: () => false,
    onRelayedUpgrade: () => {},
    onForwardedIn: () => forwardedIn++,
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
  const socket = new RelayedSocket({ id: 1, carrier }, origin);
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
  const socket = new RelayedSocket({ id: 1, carrier }, origin);
  expect([isRelayed(socket), isRelayedInCommonJs(socket)]).toEqual([true, true]);
  expect([isRelayed(new Duplex()), isRelayedInCommonJs(new Duplex())]).toEqual([false, false]);
});

test("a session that lives here is served here, whichever worker its id names", () => {
  const { engine, here, elsewhere } = setUp({ isHere: () => true });
  engine.handleRequest(requestOn(new Duplex()), response);
  engine.handleUpgrade(
    requestOn(new RelayedSocket({ id: 1, carrier }, origin)),
    new Duplex(),
    Buffer.alloc(0),
  );
  expect({ here, elsewhere }).toEqual({ here: ["request", "upgrade"], elsewhere: [] });
});

test("what was relayed here goes on to the worker that has got this one's sessions", () => {
  const passed: string[] = [];
  const relay = {
    request: (owner: number) => void passed.push(`request ${owner}`),
    upgrade: (owner: number) => void passed.push(`upgrade ${owner}`),
  };
  const { engine, here, elsewhere } = setUp({
    ownerOfNew: () => undefined,
    ownerElsewhere: () => ({
      ...{ number: 3, marked: 1, relay: relay as never },
      ...{ isRouted: true, getsConnections: true },
    }),
  });
  const socket = new RelayedSocket({ id: 1, carrier }, origin);
  engine.handleRequest(requestOn(socket), response);
  engine.handleUpgrade(requestOn(socket), socket, Buffer.alloc(0));
  expect({ here, elsewhere, passed }).toEqual({
    here: [],
    elsewhere: [],
    passed: ["request 3", "upgrade 3"],
  });
});

test("requests of a session that is about to move wait, unless their clients go", async () => {
  let settle = () => {};
  const settled = new Promise<void>((resolve) => {
    settle = resolve;
  });
  let isMoving = true;
  const { engine, here, elsewhere } = setUp({
    isHere: () => true,
    untilSettled: () => (isMoving ? settled : undefined),
  });
  const [waiting, gone] = [new Duplex(), new Duplex()];
  engine.handleUpgrade(requestOn(waiting), waiting, Buffer.alloc(0));
  engine.handleUpgrade(requestOn(gone), gone, Buffer.alloc(0));
  gone.destroy(new Error("reset"));
  await new Promise((done) => setImmediate(done));
  expect(here).toEqual([]);
  isMoving = false;
  settle();
  await settled;
  await new Promise((done) => setImmediate(done));
  expect({ here, elsewhere }).toEqual({ here: ["upgrade"], elsewhere: [] });
});

test("a session of a host that is not known yet waits for the news, once", async () => {
  let tell = () => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const { engine, here, elsewhere } = setUp({ untilKnown: () => told });
  engine.handleRequest(requestOn(new Duplex()), response);
  // From another worker it comes, which has waited.
  engine.handleRequest(requestOn(new RelayedSocket({ id: 1, carrier }, origin)), response);
  await new Promise((done) => setImmediate(done));
  expect({ here, elsewhere }).toEqual({ here: ["request"], elsewhere: [] });
  tell();
  await new Promise((done) => setImmediate(done));
  expect({ here, elsewhere }).toEqual({ here: ["request"], elsewhere: ["request"] });
});

test("an owner that is gone is asked after; without a successor, the answer is given here", async () => {
  const asked: number[] = [];
  const relays: number[] = [];
  const owner = (number: number) => ({
    number,
    marked: 2,
    isRouted: true,
    getsConnections: true,
    relay: {
      request: (
        to: number,
        _: string,
        _request: unknown,
        _response: unknown,
        gone: (isWhole: boolean) => void,
      ) => {
        relays.push(to);
        gone(true);
      },
    } as never,
  });
  const { engine, here } = setUp({
    ownerOfNew: () => undefined,
    ownerElsewhere: () => owner(2),
    ownerAfter: async ({ number }) => {
      asked.push(number);
      return number === 2 ? owner(3) : undefined;
    },
  });
  engine.handleRequest(requestOn(new Duplex()), response);
  await new Promise((done) => setImmediate(done));
  expect({ asked, relays, here }).toEqual({ asked: [2, 3], relays: [2, 3], here: ["request"] });
});

test("a client that is cut off while its upgrade's owner is asked after harms nobody", async () => {
  let settle = () => {};
  const answered = new Promise<undefined>((resolve) => {
    settle = () => resolve(undefined);
  });
  const relay = {
    upgrade: (
      _to: number,
      _name: string,
      _request: unknown,
      _client: Duplex,
      _head: Buffer,
      gone: () => void,
    ) => gone(),
  };
  const { engine, here } = setUp({
    ownerOfNew: () => undefined,
    ownerElsewhere: () => ({
      ...{ number: 2, marked: 2, relay: relay as never },
      ...{ isRouted: true, getsConnections: false },
    }),
    ownerAfter: () => answered,
  });
  const [waiting, gone] = [new Duplex(), new Duplex()];
  for (const each of [waiting, gone]) engine.handleUpgrade(requestOn(each), each, Buffer.alloc(0));
  // Without a listener it would end the process.
  expect(gone.listenerCount("error")).toBeGreaterThan(0);
  gone.destroy(new Error("reset"));
  await new Promise((done) => setImmediate(done));
  settle();
  await answered;
  await new Promise((done) => setImmediate(done));
  expect({ here, left: waiting.listenerCount("error") }).toEqual({ here: ["upgrade"], left: 0 });
});

test("what the application throws at a request that had to wait is uncaught", async () => {
  const fail = () => {
    throw new Error("of the application");
  };
  let hasWaited = false;
  const settled = Promise.resolve().then(() => {
    hasWaited = true;
  });
  const { engine, here } = setUp(
    { isHere: () => true, untilSettled: () => (hasWaited ? undefined : settled) },
    fail,
  );
  const [error, origin] = await firstUncaughtOf(async () => {
    const socket = new Duplex();
    const request = { url: STRAY, method: "GET", httpVersionMajor: 1, socket } as never as IncomingMessage;
    engine.handleRequest(request, Object.assign(new EventEmitter(), { destroyed: false }) as never);
  });
  expect(here).toEqual(["request"]);
  expect([(error as Error).message, origin]).toEqual(["of the application", "uncaughtException"]);
});
