/** Fails when a private field of Socket.IO, Engine.IO or ws that a move uses has moved. */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, connect } from "node:net";
import type { Writable } from "node:stream";
import fc from "fast-check";
import { Server, type Socket } from "socket.io";
import { expect, test } from "vitest";
import { copyOnce, decodeClient, encodeClient, plainHandshake } from "../../dist/socketio/client-state.js";
import { transportOf } from "../../dist/socketio/client-transport.js";
import * as privates from "../../dist/socketio/private-fields.js";
import * as engine from "../../dist/socketio/private-fields-engine.js";
import * as polling from "../../dist/socketio/private-fields-polling.js";
import * as webSockets from "../../dist/socketio/private-fields-ws.js";

/** The copy of ws that engine.io brings. */
const requireOfSocketIo = createRequire(createRequire(import.meta.url).resolve("socket.io"));
const requireOfEngine = createRequire(requireOfSocketIo.resolve("engine.io"));
const { Receiver, Sender, WebSocketServer } = requireOfEngine("ws") as {
  WebSocketServer: new (options: object) => webSockets.WebSocketServer;
  Receiver: new (
    options: object,
  ) => Writable & { on(event: string, listener: (data: Buffer) => void): unknown };
  Sender: { frame(data: Buffer, options: object): Buffer[] };
};

interface Fragment {
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
}

const fragments = fc.array(
  fc.record({
    bytes: fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constant(new Uint8Array(70_000).fill(7))),
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 3 },
);

function frames(message: readonly Fragment[]): Buffer {
  const parts = message.map(({ bytes, mask }, i) => {
    const options = {
      fin: i === message.length - 1,
      opcode: i === 0 ? 2 : 0,
      mask: true,
      maskBuffer: Buffer.from(mask),
      generateMask: () => {},
      readOnly: true,
      rsv1: false,
    };
    return Buffer.concat(Sender.frame(Buffer.from(bytes), options));
  });
  return Buffer.concat(parts);
}

function receiver(): { readonly stream: Writable; readonly got: string[] } {
  const stream = new Receiver({ isServer: true, maxPayload: 1e6 });
  const got: string[] = [];
  stream.on("message", (data) => got.push(data.toString("hex")));
  return { stream, got };
}

test("a parser's state is told as bytes that bring a new one to where it stands", () => {
  const messages = fc.array(fragments, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(messages, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
      const bytes = Buffer.concat(all.map(frames));
      const cut = Math.floor(part * bytes.length);
      const [first, second] = [receiver(), receiver()];
      // A parser takes the masks off in place.
      first.stream.write(Buffer.from(bytes.subarray(0, cut)));
      const replay = webSockets.replayOf({ _receiver: first.stream } as never);
      second.stream.write(Buffer.concat([replay ?? Buffer.alloc(0), bytes.subarray(cut)]));
      const sent = all.map((message) => Buffer.concat(message.map((each) => each.bytes)).toString("hex"));
      return [...first.got, ...second.got].join() === sent.join();
    }),
    { numRuns: 200 },
  );
});

test("a client has what a move takes out, and a server what it needs to bring one up", async () => {
  const httpServer = createServer();
  const io = new Server(httpServer, { connectionStateRecovery: {}, perMessageDeflate: true });
  engine.inflateAnew(io);
  await new Promise<void>((done) => httpServer.listen(0, "127.0.0.1", done));
  const { port } = httpServer.address() as AddressInfo;
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  const raw = connect(port, "127.0.0.1");
  raw.write(
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
  );
  raw.once("data", () => raw.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30])));
  const socket = await connected;
  const connection = privates.connectionOf(socket);
  expect(engine.connectionsOf(io)).toEqual([connection]);
  expect(engine.clientsOf(io).get(connection)).toBe(socket.client);
  expect(engine.socketsOf(socket.client)).toEqual([socket]);
  expect(engine.isConnecting(io, connection)).toBe(false);
  expect(engine.isSettled(connection)).toBe(true);
  expect(engine.transportNameOf(connection)).toBe("websocket");
  expect(engine.namespaceOf(io, "/")).toBe(io.of("/"));

  const webSocket = engine.webSocketOf(connection);
  if (!webSocket) throw new Error("no WebSocket");
  expect(webSockets.isOpenWebSocket(webSocket)).toBe(true);
  // It compresses in another thread.
  while (!webSockets.hasSent(webSocket)) await new Promise((done) => setImmediate(done));
  const deflate = webSockets.deflateParamsOf(webSocket);
  expect(deflate).toEqual({ client_no_context_takeover: true });
  expect(webSockets.inflatesAnew(webSocket)).toBe(true);
  const state = engine.takeConnectionState(connection, deflate, copyOnce());
  expect(state).toMatchObject({ protocol: 4, remoteAddress: "127.0.0.1", query: { EIO: "4" }, deflate });
  expect(state.pingInMs).toBeGreaterThan(20_000);
  expect(state.pongInMs).toBeUndefined();

  engine.receive(connection, '51-["event",{"_placeholder":true,"num":0}]');
  expect(engine.halfPacketOf(socket.client)).toEqual(['51-["event",{"_placeholder":true,"num":0}]']);

  socket.emit("ask", () => {});
  expect(privates.pendingAcks(socket)).toHaveLength(1);
  engine.forgetConnection(socket.client);
  let ended: string | undefined;
  socket.on("disconnect", (reason) => {
    ended = reason;
  });
  engine.cut(connection);
  expect(ended).toBeUndefined();
  expect(engine.connectionsOf(io)).toEqual([]);
  // As a worker that drains keeps those whose clients may still send something: they are nothing to move or to wait for.
  Object.assign((io.engine as unknown as { clients: object }).clients, {
    [engine.sessionIdOf(connection)]: connection,
  });
  expect(engine.connectionsOf(io)).toEqual([]);
  raw.destroy();
  await io.close();
});

/** Of a connection that has come from another process; its pings are missing. */
const STATE = {
  id: "an id",
  protocol: 4,
  remoteAddress: "192.0.2.1",
  url: "/socket.io/?EIO=4&transport=websocket",
  headers: { host: "example.com" },
  rawHeaders: ["Host", "example.com"],
  query: { EIO: "4" },
  deflate: undefined,
};

test("a connection that has moved has the limits of its server", async () => {
  const limits = { maxHttpBufferSize: 1234, maxBufferedChunks: 56 };
  const io = new Server(createServer(), { connectionStateRecovery: {}, ...limits });
  const pairs = await connectedPair();
  const state = { ...STATE, pingInMs: 5_000, pongInMs: undefined };
  const connection = await engine.raiseConnection(io, state, pairs.server, Buffer.alloc(0));
  if (!connection) throw new Error("not raised");
  // Engine.IO gives both to ws, or the former alone.
  const { ws } = io.engine as unknown as { ws: { options: { maxBufferedChunks?: number } } };
  const { _receiver } = engine.webSocketOf(connection) as unknown as {
    _receiver: { _maxPayload: number; _maxBufferedChunks?: number };
  };
  expect(_receiver._maxPayload).toBe(1234);
  expect(_receiver._maxBufferedChunks).toBe(ws.options.maxBufferedChunks);
  engine.cut(connection);
  pairs.close();
  await io.close();
});

test("a connection that moves again takes along what was left of its pings then", async () => {
  const io = new Server(createServer(), { connectionStateRecovery: {} });
  const pairs = await connectedPair();
  const state = { ...STATE, pingInMs: 5_000, pongInMs: 3_000 };
  const connection = await engine.raiseConnection(io, state, pairs.server, Buffer.alloc(0));
  if (!connection) throw new Error("not raised");
  engine.continuePings(connection, state);
  const { pingInMs, pongInMs } = engine.takeConnectionState(connection, undefined, copyOnce());
  expect(pingInMs).toBeLessThanOrEqual(5_000);
  expect(pongInMs).toBeLessThanOrEqual(3_000);
  engine.cut(connection);
  pairs.close();
  await io.close();
});

test("a session goes on over another connection, with its id, and nothing is written", async () => {
  const httpServer = createServer();
  const io = new Server(httpServer, { connectionStateRecovery: {} });
  const pairs = await connectedPair();
  const state = { ...STATE, pingInMs: 5, pongInMs: undefined };
  const connection = await engine.raiseConnection(io, state, pairs.server, Buffer.alloc(0));
  if (!connection) throw new Error("not raised");
  expect(connection).toMatchObject({
    id: "an id",
    remoteAddress: "192.0.2.1",
    server: io.engine,
    writeBuffer: [],
  });
  expect(io.engine.clientsCount).toBe(1);
  const { request } = connection as unknown as { request: { headers: object; url: string } };
  expect(request).toMatchObject({ headers: { host: "example.com" }, url: state.url });
  // What comes first is the ping, not an answer to a handshake.
  engine.continuePings(connection, state);
  const first = await new Promise<Buffer>((resolve) => pairs.client.once("data", resolve));
  expect(first).toEqual(Buffer.from([0x81, 1, 0x32]));
  engine.cut(connection);
  expect(io.engine.clientsCount).toBe(0);
  pairs.close();
  await io.close();
});

test("without compression a WebSocket needs no handshake, and is as after one", async () => {
  const options = { noServer: true, clientTracking: false, maxPayload: 1234, perMessageDeflate: false };
  const server = new WebSocketServer(options);
  // Without the class, it takes the long way.
  const shaking = { handleUpgrade: server.handleUpgrade.bind(server) };
  server.handleUpgrade = () => {
    throw new Error("a handshake");
  };
  const raised = async (by: webSockets.WebSocketServer) => {
    const pairs = await connectedPair();
    const webSocket = webSockets.raiseWebSocket(by, pairs.server, undefined, Buffer.alloc(0));
    pairs.close();
    if (!webSocket) throw new Error("not raised");
    const { _receiver, _sender, readyState, _extensions } = webSocket;
    const settings = (of: object | null) =>
      Object.fromEntries(Object.entries(of ?? {}).filter(([, value]) => typeof value !== "object"));
    return { receiver: settings(_receiver), sender: settings(_sender), readyState, _extensions };
  };
  const plain = await raised(server);
  expect(plain).toEqual(await raised(shaking));
  expect(plain.receiver._maxPayload).toBe(1234);
});

test("the headers that a connection and its sockets have in common travel once", () => {
  const headers = { host: "example.com", cookie: "c".repeat(500) };
  const query = { EIO: "4" };
  const handshake = { headers, query, auth: { token: "t" }, time: "", address: "192.0.2.1", url: "/" };
  const encoded = (copy: () => ReturnType<typeof copyOnce>) => {
    const [once, again] = [copy(), copy()];
    const connection = { ...STATE, headers: once(headers), query: once(query) };
    const plain = plainHandshake({ ...handshake, xdomain: false, secure: false, issued: 1 }, again);
    const socket = { namespace: "/", sid: "s", privateId: "p", handshake: plain, acks: [] };
    const state = { pingInMs: 5, pongInMs: undefined, ...connection };
    return encodeClient({ connection: state, replay: undefined, unsent: [], half: [], sockets: [socket] });
  };
  const shared = copyOnce();
  const bytes = encoded(() => shared);
  expect(bytes.length).toBeLessThan(encoded(copyOnce).length - 500);
  const { connection, sockets } = decodeClient(bytes) ?? {};
  expect(connection).toMatchObject({ headers, query });
  expect(sockets?.[0]?.handshake).toMatchObject(handshake);
});

test("a connection whose socket has left makes no frame when it ends", async () => {
  const io = new Server(createServer(), { connectionStateRecovery: {} });
  const { pairs, connection, transport } = await raised(io);
  const written: unknown[] = [];
  pairs.server.write = (chunk: unknown) => written.push(chunk) > 0;
  pairs.server.destroy();
  transport.onLeft();
  engine.endMoved(connection);
  await new Promise((done) => pairs.server.once("close", done));
  expect(written).toEqual([]);
  expect(engine.connectionsOf(io)).toEqual([]);
  pairs.close();
  await io.close();
});

/** Less than ws waits for the answer to a close frame. */
const WAITS_MS = 20_000;

test.each(["closed, and goes on reading", "cut"])(
  "a connection that reads nothing and is %s ends",
  { timeout: WAITS_MS },
  async (how) => {
    const io = new Server(createServer(), { connectionStateRecovery: {} });
    const { pairs, connection, transport } = await raised(io);
    const ended = new Promise((done) => pairs.server.once("close", done));
    // The client answers with an empty close frame.
    pairs.client.on("data", () => pairs.client.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0])));
    transport.pause();
    if (how === "cut") {
      engine.cut(connection);
    } else {
      engine.closeWith(connection, 1012, "");
      transport.resume();
    }
    await ended;
    expect(engine.connectionsOf(io)).toEqual([]);
    pairs.close();
    await io.close();
  },
);

/** A connection of the server, over one of two connected sockets. */
async function raised(io: Server) {
  const pairs = await connectedPair();
  const state = { ...STATE, pingInMs: 5_000, pongInMs: undefined };
  const connection = await engine.raiseConnection(io, state, pairs.server, Buffer.alloc(0));
  const transport = connection && transportOf(connection);
  if (!connection || !transport) throw new Error("not raised");
  return { pairs, connection, transport };
}

async function connectedPair() {
  const { createServer: createTcp } = await import("node:net");
  const listener = createTcp().listen(0, "127.0.0.1");
  await new Promise((done) => listener.once("listening", done));
  const accepted = new Promise<import("node:net").Socket>((resolve) => listener.once("connection", resolve));
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  const server = await accepted;
  return {
    client,
    server,
    close: () => {
      client.destroy();
      server.destroy();
      listener.close();
    },
  };
}

/** A Socket.IO server whose next client polls, and how that sends requests. */
async function pollingServer() {
  const httpServer = createServer();
  const io = new Server(httpServer, { connectionStateRecovery: {}, allowUpgrades: true });
  polling.watchProbes(io);
  await new Promise<void>((done) => httpServer.listen(0, "127.0.0.1", done));
  const { port } = httpServer.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`;
  const ask = async (query = "", body?: string) => {
    const answer = await fetch(url + query, body === undefined ? {} : { method: "POST", body });
    return answer.text();
  };
  return { io, port, ask };
}

test("of a client that polls, it is known what goes on, and what waits for it is taken out", async () => {
  const { io, port, ask } = await pollingServer();
  const { sid } = JSON.parse((await ask()).slice(1)) as { sid: string };
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  await ask(`&sid=${sid}`, "40");
  const socket = await connected;
  const connection = privates.connectionOf(socket);
  await ask(`&sid=${sid}`);
  expect([engine.transportNameOf(connection), engine.sessionIdOf(connection)]).toEqual(["polling", sid]);
  expect([polling.isIdle(connection), polling.isWithoutProbe(connection)]).toEqual([true, true]);
  const { transport } = connection as unknown as { transport: { dataReq?: object; writable: boolean } };

  // A request with data whose end is missing.
  const upload = connect(port, "127.0.0.1");
  upload.write(
    `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n4`,
  );
  while (!transport.dataReq) await new Promise((done) => setImmediate(done));
  expect(polling.isIdle(connection)).toBe(false);
  upload.write('2["tell"]');
  await new Promise((done) => upload.once("data", done));
  expect(polling.isIdle(connection)).toBe(true);
  upload.destroy();

  socket.compress(false).emit("told", Buffer.from([1]));
  const unsent = polling.takeUnsent(connection);
  expect(unsent.map(({ type, compress }) => [type, compress])).toEqual([
    ["message", false],
    ["message", false],
  ]);
  expect(polling.takeUnsent(connection)).toEqual([]);

  const held = ask(`&sid=${sid}`);
  while (!transport.writable) await new Promise((done) => setImmediate(done));
  expect(polling.isIdle(connection)).toBe(true);
  engine.forgetConnection(socket.client);
  polling.endPolls(connection);
  engine.endMoved(connection);
  expect(await held).toBe("6");
  expect(engine.connectionsOf(io)).toEqual([]);

  const state = {
    ...STATE,
    id: sid,
    url: "/socket.io/?EIO=4&transport=polling",
    pingInMs: 25_000,
    pongInMs: undefined,
  };
  const raised = await engine.raisePolling(io, state);
  if (!raised) throw new Error("not raised");
  polling.putUnsent(raised, unsent);
  const [text, binary] = (await ask(`&sid=${sid}`)).split("\x1e");
  expect(text).toMatch(/^451-\["told",{"_placeholder":true,"num":0}/);
  expect(binary).toBe("bAQ==");
  expect(raised).toMatchObject({ remoteAddress: "192.0.2.1", server: io.engine, upgraded: false });
  engine.cut(raised);
  await io.close();
});

test("an upgrade is seen from its beginning, and given up only before the client has its answer", async () => {
  const { io, port, ask } = await pollingServer();
  const { sid } = JSON.parse((await ask()).slice(1)) as { sid: string };
  const [connection] = engine.connectionsOf(io);
  if (!connection) throw new Error("no connection");
  const raw = connect(port, "127.0.0.1");
  raw.write(
    `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  while (polling.isWithoutProbe(connection)) await new Promise((done) => setImmediate(done));
  while (!polling.isWithoutProbe(connection)) await new Promise((done) => setTimeout(done, 20));
  await new Promise((done) => raw.on("data", (chunk: Buffer) => chunk.includes(0x88) && done(undefined)));
  raw.destroy();
  engine.cut(connection);
  await io.close();
});
