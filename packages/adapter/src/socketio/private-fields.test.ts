/** Fails when a private field of Socket.IO or Engine.IO that the adapter uses has moved. */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Server, type Socket } from "socket.io";
import { expect, test } from "vitest";
import * as privates from "../../dist/socketio/private-fields.js";

/** A server, and the socket of a client that has connected to it by WebSocket. */
async function connectedSocket() {
  const httpServer = createServer();
  const io = new Server(httpServer);
  await new Promise<void>((done) => httpServer.listen(0, "127.0.0.1", done));
  const { port } = httpServer.address() as { port: number };
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  const ws = new WebSocketClient(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  ws.onOpen(() => ws.send("40"));
  const socket = await connected;
  return { io, ws, socket };
}

test("a WebSocket of uWebSockets.js makes its frames itself", () => {
  const requireEngine = createRequire(createRequire(import.meta.url).resolve("socket.io"));
  const { WebSocket } = requireEngine(
    join(dirname(requireEngine.resolve("engine.io")), "transports-uws/websocket.js"),
  );
  const transport = Object.assign(new WebSocket({ _query: {} }), { socket: { send: () => true } });
  const connection = { transport, listenerCount: () => 0 } as never;
  expect(transport.name).toBe("websocket");
  expect(privates.writesFrames(connection)).toBe(false);
  expect(privates.rawSocketOf(connection)).toBeUndefined();
});

test("the namespace and its server have what the adapter reaches for", async () => {
  const io = new Server({ path: "/custom" });
  const nsp = io.of("/");
  expect(privates.pathOf(nsp)).toBe("/custom");
  const encoded = privates.encoderOf(nsp).encode({ type: 2, data: ["event", Buffer.from([1])], nsp: "/" });
  expect(encoded).toEqual(['51-["event",{"_placeholder":true,"num":0}]', Buffer.from([1])]);
  expect(privates.decodePacket(nsp, encoded as (string | Buffer)[])).toMatchObject({
    type: 2,
    data: ["event", Buffer.from([1])],
  });
  const heard: unknown[] = [];
  io.on("sse" as never, (...args: unknown[]) => void heard.push(...args));
  privates.onServerSideEmit(nsp, ["sse", 1, 2]);
  expect(heard).toEqual([1, 2]);
});

test("sockets have outgoing listeners, acknowledgements and a connection with write()", async () => {
  const { io, ws, socket } = await connectedSocket();
  expect(privates.hasOutgoingListeners(socket)).toBe(false);
  const told: unknown[] = [];
  socket.onAnyOutgoing((...args) => told.push(args));
  expect(privates.hasOutgoingListeners(socket)).toBe(true);
  privates.notifyOutgoingListeners(socket, { type: 2, data: ["event", 1] });
  expect(told).toEqual([["event", 1]]);

  socket.emit("ask", () => {});
  const { acks } = socket as unknown as { acks: Map<number, unknown> };
  expect(acks.size).toBe(1);
  privates.forgetAcks(io.of("/"), [...acks.keys()][0] as number);
  expect(acks.size).toBe(0);

  const frame = Buffer.concat([Buffer.from([0x81, 6]), Buffer.from('42["x"')]);
  const received = ws.next((text) => text === '42["x"');
  expect(privates.connectionOf(socket).transport.writable).toBeTypeOf("boolean");
  privates.connectionOf(socket).write("not this: the frame goes out as it is", {
    volatile: undefined,
    compress: undefined,
    wsPreEncodedFrame: [frame],
  });
  await received;

  const connection = privates.connectionOf(socket);
  expect(privates.writesFrames(connection)).toBe(true);
  socket.conn.once("packetCreate", () => {});
  expect(privates.writesFrames(connection)).toBe(false);
  socket.conn.removeAllListeners("packetCreate");
  const raw = privates.rawSocketOf(connection);
  await expect.poll(() => privates.restingSocketOf(connection, 0)).toBe(raw);
  for (const event of ["flush", "drain"] as const) {
    for (const source of [socket.conn, io.engine] as unknown as NodeJS.EventEmitter[]) {
      const listener = () => {};
      source.on(event, listener);
      expect(privates.restingSocketOf(connection, 0)).toBeUndefined();
      source.off(event, listener);
    }
  }
  socket.emit("on its way");
  expect(privates.restingSocketOf(connection, 0)).toBeUndefined();
  await expect.poll(() => privates.restingSocketOf(connection, 0)).toBe(raw);
  privates.holdConnection(connection);
  expect(privates.restingSocketOf(connection, 0)).toBeUndefined();
  const held = ws.next((text) => text === '42["held"]');
  socket.emit("held");
  expect(privates.isHeld(connection)).toBe(true);
  expect(privates.rawSocketOf(connection)?.writableLength).toBe(0);
  privates.flushConnection(connection);
  await held;
  await expect.poll(() => privates.restingSocketOf(connection, 0)).toBe(raw);
  const openGate = privates.gateConnection(connection);
  expect(privates.restingSocketOf(connection, 0)).toBeUndefined();
  const gated = ws.next((text) => text === '42["gated"]');
  socket.emit("gated");
  expect((socket.conn as unknown as { writeBuffer: unknown[] }).writeBuffer).toHaveLength(1);
  openGate();
  await gated;
  expect(privates.engineOf(connection)).toBe(io.engine);
  ws.close();
  await io.close();
});

test("recovery: options, private ids, messages, what a socket writes itself, and sockets that are connecting", async () => {
  const httpServer = createServer();
  const io = new Server(httpServer, {
    connectionStateRecovery: { maxDisconnectionDuration: 5_000 },
    pingInterval: 1_000,
  });
  const nsp = io.of("/");
  expect(privates.recoveryOptionsOf(nsp)).toEqual({ maxDisconnectionDuration: 5_000, unnoticedMs: 21_000 });
  expect(privates.recoveryOptionsOf(new Server().of("/"))).toBeUndefined();

  await new Promise<void>((done) => httpServer.listen(0, "127.0.0.1", done));
  const { port } = httpServer.address() as { port: number };
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  const ws = new WebSocketClient(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  ws.onOpen(() => ws.send("40"));
  const said = ws.next((text) => text.startsWith("40") && text.includes('"pid"'));
  const socket = await connected;
  await said;
  expect(privates.privateIdOf(socket)).toMatch(/^[\w-]{20}$/);
  expect(privates.canRecover(socket)).toBe(true);

  const messages = new Promise<void>((resolve) => {
    const listener = () => {
      privates.offMessage(socket, listener);
      resolve();
    };
    privates.onMessage(socket, listener);
  });
  const types: number[] = [];
  privates.interceptPackets(socket, (type, write) => {
    types.push(type);
    write();
  });
  socket.on("ask", (answer: () => void) => answer());
  const acknowledged = ws.next((text) => text.startsWith("430"));
  ws.send('420["ask"]');
  await Promise.all([messages, acknowledged]);
  const disconnected = ws.next((text) => text === "41");
  socket.disconnect();
  await disconnected;
  expect(types).toEqual([privates.SocketPacket.ack, privates.SocketPacket.disconnect]);

  // A second client, whose middleware does not end.
  const asked = new Promise<Socket>((resolve) => io.use((fresh) => resolve(fresh)));
  const waiting = new WebSocketClient(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  waiting.onOpen(() => waiting.send("40"));
  const fresh = await asked;
  const { id } = fresh;
  expect(privates.connectingSocket(nsp, id)).toBe(fresh);
  privates.abandonSocket(fresh);
  expect(privates.connectingSocket(nsp, id)).toBeUndefined();
  expect(fresh.id).not.toBe(id);
  expect((fresh.conn as unknown as { readyState: string }).readyState).toBe("closed");
  ws.close();
  await io.close();
});

test("recovery: when a socket counts as connected, who asks for a session, and who closes a connection", async () => {
  const httpServer = createServer();
  const io = new Server(httpServer, { connectionStateRecovery: {} });
  const nsp = io.of("/");
  await new Promise<void>((done) => httpServer.listen(0, "127.0.0.1", done));
  const { port } = httpServer.address() as { port: number };
  const { adapter } = nsp;
  const log: string[] = [];
  const { addAll } = adapter;
  adapter.addAll = (id, rooms) => {
    log.push(`${privates.connectedSocket(nsp, id) ? "connected" : "no"} socket joins ${[...rooms].length}`);
    return addAll.call(adapter, id, rooms);
  };
  const observer = privates.observeRestores(nsp);
  const askedFor: unknown[] = [];
  const session = { sid: "s", pid: "p", rooms: ["s", "r"], data: {}, missedPackets: [] };
  adapter.restoreSession = () => {
    askedFor.push(observer.connection);
    return Promise.resolve(session as never);
  };
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  const ws = new WebSocketClient(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  ws.onOpen(() => ws.send('40{"pid":"p","offset":"o"}'));
  const socket = await connected;
  expect(askedFor).toEqual([socket.conn]);
  expect(observer.connection).toBeUndefined();
  expect(log).toEqual(["no socket joins 1", "no socket joins 1", "connected socket joins 1"]);
  const own = (nsp as unknown as { _createSocket: unknown })._createSocket;
  observer.release();
  expect((nsp as unknown as { _createSocket: unknown })._createSocket).not.toBe(own);

  const connection = privates.connectionOf(socket);
  expect(Object.values(privates.engineOf(connection).clients ?? {})).toEqual([connection]);
  const gone: string[] = [];
  const stop = privates.onClosed(connection, () => gone.push("not this"));
  stop();
  privates.onClosed(connection, () => gone.push("closed"));
  let closeNow = () => {};
  privates.interceptClose(connection, (_, close) => {
    closeNow = close;
  });
  socket.conn.close();
  expect([privates.isOpen(socket), gone]).toEqual([true, []]);
  closeNow();
  expect([privates.isOpen(socket), gone]).toEqual([false, ["closed"]]);
  ws.close();
  await io.close();
});

test("recovery: our own close of a connection asks nobody", async () => {
  const { io, ws, socket } = await connectedSocket();
  for (let i = 0; i < 2; i++) privates.interceptClose(privates.connectionOf(socket), () => {});
  privates.closeConnection(socket);
  expect(privates.isOpen(socket)).toBe(false);
  ws.close();
  await io.close();
});

/** Node.js 20 has no WebSocket of its own without a flag; engine.io brings `ws`. */
interface RawWebSocket {
  on(event: string, listener: (...args: unknown[]) => void): void;
  send(text: string): void;
  close(): void;
}

class WebSocketClient {
  readonly #socket: RawWebSocket;

  constructor(url: string) {
    const require = createRequire(createRequire(import.meta.url).resolve("socket.io"));
    const { WebSocket } = createRequire(require.resolve("engine.io"))("ws") as {
      WebSocket: new (url: string) => RawWebSocket;
    };
    this.#socket = new WebSocket(url);
  }

  onOpen(listener: () => void): void {
    this.#socket.on("open", listener);
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  next(matches: (text: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.on("message", (data) => {
        if (matches(String(data))) resolve();
      });
    });
  }

  close(): void {
    this.#socket.close();
  }
}
