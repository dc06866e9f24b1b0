/** What this package uses of Node.js, Engine.IO and Socket.IO undocumented: fails when one of them moves. */
import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http, { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";
import { expect, test } from "vitest";
import {
  addressOf,
  adoptHandle,
  answersInProgress,
  bytesReadOf,
  detachHandle,
  endConnectionAfter,
  type Handle,
  httpConnectionListeners,
  idleConnections,
  interceptAccept,
  listenerOf,
  maxFieldsOf,
  onClosing,
  overridePeerName,
  removeStandIn,
  serveHttp,
  standInForListening,
  startReading,
  stopParsing,
  stopReading,
  trackHttpConnections,
} from "../../dist/handle/node-internals.js";

async function listen(server: import("node:net").Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

test("a connection is taken before a net.Socket is built, read at the handle, and adopted", async () => {
  const server = createNetServer();
  const port = await listen(server);
  const accepted = new Promise<Handle>((resolve) => {
    expect(interceptAccept(server, resolve, () => true)).toBeTypeOf("function");
  });
  const client = connect(port, "127.0.0.1");
  client.write("first");
  const handle = await accepted;
  expect(addressOf(handle)).toBe("127.0.0.1");
  const chunk = new Promise<Buffer | undefined>((resolve) => {
    const isRead = startReading(handle, (bytes) => {
      stopReading(handle);
      resolve(bytes);
    });
    expect(isRead).toBe(true);
  });
  expect(String(await chunk)).toBe("first");
  client.write("second");
  const socket = adoptHandle(handle, server);
  expect(String((await once(socket, "data"))[0])).toBe("second");
  const ended = new Promise((resolve) => socket.once("end", () => resolve("end")));
  client.end();
  expect(await ended).toBe("end");
  socket.destroy();
  server.close();
});

test("at the end of the stream a handle reads nothing", async () => {
  const server = createNetServer();
  const port = await listen(server);
  const accepted = new Promise<Handle>((resolve) => void interceptAccept(server, resolve, () => true));
  connect(port, "127.0.0.1").end();
  const handle = await accepted;
  const read = new Promise((resolve) => void startReading(handle, resolve));
  expect(await read).toBeUndefined();
  handle.close();
  server.close();
});

test("what is read is exactly what came, however much of the memory for it that fills", async () => {
  const server = createNetServer();
  const port = await listen(server);
  for (const length of [1, 40_000, 65_000, 65_535, 65_536, 65_537]) {
    const accepted = new Promise<Handle>((resolve) => void interceptAccept(server, resolve, () => true));
    const sent = randomBytes(length);
    const client = connect(port, "127.0.0.1");
    client.end(sent);
    const handle = await accepted;
    const chunks: Buffer[] = [];
    await new Promise<void>((resolve) => {
      startReading(handle, (bytes) => (bytes ? chunks.push(bytes) : resolve()));
    });
    expect(Buffer.concat(chunks).equals(sent), `${length} bytes`).toBe(true);
    handle.close();
  }
  server.close();
});

test("what is not wanted takes the server's own way, and so does all after the release", async () => {
  const server = createNetServer();
  const port = await listen(server);
  const release = interceptAccept(
    server,
    () => expect.unreachable(),
    () => false,
  );
  const first = once(server, "connection");
  const client = connect(port, "127.0.0.1");
  ((await first)[0] as Socket).destroy();
  release?.();
  const second = once(server, "connection");
  const other = connect(port, "127.0.0.1");
  ((await second)[0] as Socket).destroy();
  client.destroy();
  other.destroy();
  server.close();
});

test("the listener that starts the HTTP parser is found, and no other", () => {
  const server = createServer();
  const mine = () => {};
  server.on("connection", mine);
  expect(httpConnectionListeners(server)).toHaveLength(1);
  expect(httpConnectionListeners(server)[0]).not.toBe(mine);
  expect(httpConnectionListeners(server)[0]).toBe(
    (http as unknown as { _connectionListener: unknown })._connectionListener,
  );
  expect(httpConnectionListeners(createNetServer())).toEqual([]);
});

test("a socket is separated from its handle with what it has buffered, and reads no more", async () => {
  const server = createNetServer({ pauseOnConnect: false });
  const port = await listen(server);
  const connected = once(server, "connection");
  const client = connect(port, "127.0.0.1");
  const [socket] = (await connected) as [Socket];
  client.write("buffered");
  await once(socket, "readable");
  const detached = detachHandle(socket);
  expect(detached?.buffered?.toString()).toBe("buffered");
  socket.destroy();
  client.write("later");
  const adopted = adoptHandle(detached?.handle as Handle);
  expect(String((await once(adopted, "data"))[0])).toBe("later");
  expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  adopted.destroy();
  client.destroy();
  server.close();
});

test("a reported address is the socket's", async () => {
  const server = createNetServer();
  const port = await listen(server);
  const accepted = new Promise<Handle>((resolve) => void interceptAccept(server, resolve, () => true));
  const client = connect(port, "127.0.0.1");
  const handle = await accepted;
  overridePeerName(handle, { address: "192.0.2.1", port: 7, family: "IPv4" });
  const socket = adoptHandle(handle, server);
  expect([socket.remoteAddress, socket.remotePort, socket.remoteFamily]).toEqual(["192.0.2.1", 7, "IPv4"]);
  socket.destroy();
  client.destroy();
  server.close();
});

test("a server that does not listen can track its connections", () => {
  const server = createServer();
  const before = Object.getOwnPropertySymbols(server).length;
  trackHttpConnections(server);
  expect(Object.getOwnPropertySymbols(server).length).toBeGreaterThan(before);
  server.close();
});

test("a server that does not listen counts as listening, and closes as one", async () => {
  const server = createServer((_, response) => void response.end("x"));
  const tell = standInForListening(server);
  expect([server.listening, server.address()]).toEqual([true, null]);
  tell({ address: "::1", port: 7, family: "IPv6" });
  expect(server.address()).toEqual({ address: "::1", port: 7, family: "IPv6" });
  tell("/run/app.sock");
  expect(() => server.listen(0)).toThrow(expect.objectContaining({ code: "ERR_SERVER_ALREADY_LISTEN" }));
  server.unref().ref();
  // A connection that it was given holds it open, as one that it accepted.
  const other = createNetServer();
  const port = await listen(other);
  const accepted = new Promise<Handle>((resolve) => void interceptAccept(other, resolve, () => true));
  const client = connect(port, "127.0.0.1");
  const socket = adoptHandle(await accepted, server);
  expect((socket as unknown as { server: unknown }).server).toBe(server);
  const order: string[] = [];
  onClosing(server, () => order.push("closing"));
  const closed = new Promise<void>((resolve, reject) => {
    server.close((error) => {
      order.push("closed");
      if (error) reject(error);
      else resolve();
    });
  });
  expect([server.listening, ...order]).toEqual([false, "closing"]);
  await new Promise(setImmediate);
  expect(order).toEqual(["closing"]);
  socket.destroy();
  await closed;
  client.destroy();
  other.close();
});

test("who listens for a server is known", async () => {
  const server = createServer();
  expect(listenerOf(server)).toBe("nobody");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  expect(listenerOf(server)).toBe("itself");
  removeStandIn(server);
  expect(server.listening).toBe(true);
  let isClosing = false;
  onClosing(server, () => {
    isClosing = true;
  });
  const closed = once(server, "close");
  server.close();
  expect(isClosing).toBe(true);
  await closed;
  expect(listenerOf(server)).toBe("unknown");
});

test("in a worker of node:cluster, the cluster listens, until something else stands in", async () => {
  // A handle as node:cluster makes it: a plain object with a `close` of its own.
  const told: string[] = [];
  const handle = { close: () => told.push("closed"), ref() {}, unref() {} };
  const server = createServer();
  (server as unknown as { _handle: unknown })._handle = handle;
  expect(listenerOf(server)).toBe("cluster");
  standInForListening(server);
  expect([told, server.listening]).toEqual([["closed"], true]);
  server.close();
});

test("a stand-in that is removed leaves a server that can listen", async () => {
  const server = createServer();
  standInForListening(server)("/run/app.sock");
  removeStandIn(server);
  expect([server.listening, server.address()]).toEqual([false, null]);
  await listen(server);
  server.close();
});

test("a connection that is taken from a closing server lets it close", async () => {
  const server = createNetServer();
  const port = await listen(server);
  const connected = once(server, "connection");
  const client = connect(port, "127.0.0.1");
  const [socket] = (await connected) as [Socket];
  const closed = once(server, "close");
  server.close();
  const detached = detachHandle(socket);
  await closed;
  detached?.handle.close();
  client.destroy();
});

test("answers that are in progress and idle connections are found, and answers made the last of their connections", async () => {
  const server = createServer();
  const port = await listen(server);
  const client = connect(port, "127.0.0.1");
  const idle = connect(port, "127.0.0.1");
  idle.write("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n");
  const [, first] = (await once(server, "request")) as [unknown, http.ServerResponse];
  first.end();
  await once(idle, "data");
  client.write("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n");
  const [, busy] = (await once(server, "request")) as [unknown, http.ServerResponse];
  expect(answersInProgress(server)).toEqual([busy]);
  expect(answersInProgress(createNetServer())).toEqual([]);
  expect(idleConnections(server).map(({ remotePort }) => remotePort)).toEqual([idle.localPort]);
  expect(idleConnections(createNetServer())).toEqual([]);
  endConnectionAfter(busy);
  busy.end("x");
  expect(String((await once(client, "data"))[0])).toMatch(/\r\nConnection: close\r\n/);
  for (const socket of [client, idle]) socket.destroy();
  server.close();
});

test("an IPC channel tells how much was read of it", async () => {
  const child = fork(fileURLToPath(new URL("../../dist/clock.js", import.meta.url)), {
    execArgv: ["--input-type=module", "--eval", 'process.on("message", (m) => process.send(m))'],
  });
  expect(bytesReadOf(child)).toBe(0);
  child.send("x".repeat(100));
  await once(child, "message");
  expect(bytesReadOf(child)).toBeGreaterThan(100);
  child.kill();
  await once(child, "exit");
});

test("Engine.IO calls generateId, handleRequest and handleUpgrade on the instance", async () => {
  const server = createServer();
  const io = new Server(server);
  const called: string[] = [];
  for (const name of ["generateId", "handleRequest", "handleUpgrade"] as const) {
    const original = io.engine[name] as (...args: unknown[]) => unknown;
    io.engine[name] = ((...args: unknown[]) => {
      called.push(name);
      return original.apply(io.engine, args);
    }) as never;
  }
  const port = await listen(server);
  const url = `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=`;
  await (await fetch(`${url}polling`)).text();
  const client = connect(port, "127.0.0.1");
  client.write(
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await once(client, "data");
  client.destroy();
  expect(called).toEqual(["handleRequest", "generateId", "handleUpgrade", "generateId"]);
  await io.close();
});

const OPTIONS = { maxHeaderSize: 100, allowHTTP1: true };

test.each<[string, () => unknown]>([
  ["http", () => createServer(OPTIONS)],
  ["https", () => createHttpsServer(OPTIONS)],
  ["http2", () => createSecureServer(OPTIONS)],
])("a stream is served by the parser of a server, with its options: %s", async (kind, create) => {
  const server = create() as http.Server;
  let connections = 0;
  server.on("connection", () => connections++).on("secureConnection", () => connections++);
  server.on("request", (request: IncomingMessage, response: ServerResponse) => response.end(request.url));
  const ask = async (head: string): Promise<string> => {
    const answers: string[] = [];
    const stream = new Duplex({
      read: () => {},
      write: (chunk, _, done) => {
        answers.push(String(chunk));
        done();
      },
    });
    Object.assign(stream, { alpnProtocol: false });
    expect(serveHttp(server, stream)).toBe(true);
    stream.push(head);
    stream.push(null);
    await new Promise((resolve) => stream.once("close", resolve));
    return answers.join("");
  };
  expect(await ask("GET /right HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(/\/right$/);
  // http2's server passes no limit of its own on.
  if (kind !== "http2") {
    expect(await ask(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(200)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  }
  expect(connections).toBe(0);
});

test("a server without a parser for HTTP/1 serves no stream", () => {
  for (const server of [createNetServer(), createSecureServer()]) {
    expect(serveHttp(server, new Duplex())).toBe(false);
  }
});

test("an idle connection goes from one HTTP server to another, and its client notices nothing", async () => {
  const [first, second] = ["first", "second"].map((name) =>
    http.createServer((request, response) => {
      if (request.url === "/slow") setTimeout(() => response.end(name), 50);
      else response.end(name);
    }),
  ) as [http.Server, http.Server];
  await new Promise<void>((done) => first.listen(0, done));
  const { port } = first.address() as AddressInfo;
  const agent = new http.Agent({ keepAlive: true });
  const get = async (path = "/") => {
    const [answer] = (await once(http.get({ port, path, agent }), "response")) as [IncomingMessage];
    const { localPort } = answer.socket;
    return { text: Buffer.concat(await answer.toArray()).toString(), localPort };
  };
  const before = await get();
  // The agent has it back a moment later.
  await new Promise((done) => setImmediate(done));
  const half = connect(port);
  half.write("GET / HTTP/1.1\r\n");
  await once(first, "connection");
  const [idle, ...others] = idleConnections(first);
  if (!idle) throw new Error("no idle connection");
  expect(others).toEqual([]);
  stopParsing(idle);
  const detached = detachHandle(idle);
  if (!detached) throw new Error("not detached");
  idle.destroy();
  const later = get("/slow");
  second.emit("connection", adoptHandle(detached.handle, second));
  await once(second, "request");
  expect(idleConnections(second)).toEqual([]);
  expect([before.text, (await later).text]).toEqual(["first", "second"]);
  expect((await later).localPort).toBe(before.localPort);
  expect((await get()).localPort).toBe(before.localPort);
  half.destroy();
  agent.destroy();
  for (const server of [first, second]) server.closeAllConnections();
  first.close();
});

test.each([
  [undefined, 1_000],
  [null, 1_000],
  [100, 100],
  [0, 0],
])("of many fields, those beyond a number are dropped: maxHeadersCount %s", async (maxHeadersCount, kept) => {
  const server = createServer();
  if (maxHeadersCount !== undefined) server.maxHeadersCount = maxHeadersCount;
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write(`GET / HTTP/1.1\r\nHost: x\r\n${"X: 1\r\n".repeat(1_500)}\r\n`);
  const came = Promise.race([once(server, "request"), once(client, "data")]);
  const [request] = (await came) as [IncomingMessage | Buffer];
  // Newer versions of Node.js refuse such a head.
  if (Buffer.isBuffer(request)) {
    expect(String(request)).toMatch(/^HTTP\/1\.1 431 /);
    return void server.close();
  }
  expect(maxFieldsOf(request)).toBe(kept);
  const count = request.rawHeaders.length / 2;
  if (kept === 0) expect(count).toBe(1_501);
  else expect(count >= kept && count < kept + 100).toBe(true);
  client.destroy();
  server.close();
});
