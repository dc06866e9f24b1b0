import { once } from "node:events";
import { Agent, createServer, get, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { firstUncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { trackHttpConnections } from "../../dist/handle/node-internals.js";
import { KeepAlive } from "../../dist/worker/keep-alive.js";

const AN_HOUR_MS = 3_600_000;

let server: Server;
let agent: Agent;
let keepAlive: KeepAlive;

beforeEach(async () => {
  server = createServer((_request, response) => void response.end("answer"));
  trackHttpConnections(server);
  keepAlive = new KeepAlive(server);
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await once(server.listen(0, "127.0.0.1"), "listening");
});

afterEach(() => {
  keepAlive.release();
  agent.destroy();
  server.close();
});

async function ask() {
  const { port } = server.address() as AddressInfo;
  const [response] = (await once(get({ port, host: "127.0.0.1", agent }), "response")) as [IncomingMessage];
  const { socket, headers } = response;
  response.resume();
  await once(response, "end");
  return { socket, connection: headers.connection };
}

test("an idle connection is closed at once", async () => {
  const { socket } = await ask();
  keepAlive.end(0);
  await once(socket, "close");
});

test.each([
  ["closed", () => keepAlive.end(0)],
  [
    "out of time",
    () => {
      keepAlive.end(1);
      // The time is over before the request has been read.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    },
  ],
])(
  "a request that came while the process was busy is answered over an idle connection that is %s",
  async (_, end) => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, "127.0.0.1");
    const ask = () => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    ask();
    await once(socket, "data");
    const [data] = await Promise.all([once(socket, "data"), ask(), end()]);
    expect(String(data)).toMatch(/^HTTP\/1.1 200 .*Connection: close/s);
    await once(socket, "close");
  },
);

test("the end of what has no time left is put off by no turn of the event loop that takes longer", async () => {
  // Nobody else closes it.
  server.keepAliveTimeout = 0;
  const { socket } = await ask();
  // When a turn is over, the next tick is due.
  let turn = setImmediate(function spin() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    turn = setImmediate(spin);
  });
  keepAlive.end(1);
  await once(socket, "close");
  clearImmediate(turn);
});

test("who ends it with time after who has ended it without gives that to connections over which nothing comes", async () => {
  const { port } = server.address() as AddressInfo;
  const [silent] = await Promise.all([connect(port, "127.0.0.1"), once(server, "connection")]);
  keepAlive.end(0);
  keepAlive.end(1);
  await Promise.all([once(silent, "close"), keepAlive.idleOver()]);
});

test("an idle connection that has time brings one more request, and is closed when that is over", async () => {
  const { socket } = await ask();
  keepAlive.end(AN_HOUR_MS);
  const over = keepAlive.idleOver();
  const last = await ask();
  expect(last.socket).toBe(socket);
  expect(last.connection).toBe("close");
  await over;
  const { socket: idle } = await ask();
  expect(idle).not.toBe(socket);
  keepAlive.resume();
  const { socket: late } = await ask();
  keepAlive.end(1);
  await Promise.all([once(late, "close"), keepAlive.idleOver()]);
  await keepAlive.idleOver();
});

test("a connection over which nothing has come has the same time, whenever it came", async () => {
  const { port } = server.address() as AddressInfo;
  const open = async () => {
    const [socket] = await Promise.all([connect(port, "127.0.0.1"), once(server, "connection")]);
    return socket;
  };
  const [silent, asks] = [await open(), await open()];
  keepAlive.end(50);
  const answered = once(asks, "data");
  asks.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const late = await open();
  const [answer] = await answered;
  expect(String(answer)).toMatch(/^HTTP\/1.1 200 .*Connection: close/s);
  await Promise.all([silent, late].map((socket) => once(socket, "close")));
  await keepAlive.idleOver();
});

test("connections that come back into use are kept", async () => {
  const { socket } = await ask();
  keepAlive.end(AN_HOUR_MS);
  keepAlive.resume();
  for (let i = 0; i < 2; i++) expect((await ask()).socket).toBe(socket);
});

test("an answer at whose end the application throws is waited for, and no longer", async () => {
  const [error] = await firstUncaughtOf(async () => {
    server.removeAllListeners("request");
    server.on("request", (_request, response) => {
      response.on("close", () => {
        throw new Error("of the application");
      });
    });
    const request = once(server, "request");
    const answered = ask();
    const [, response] = (await request) as [IncomingMessage, ServerResponse];
    const done = keepAlive.requestsDone(() => true);
    response.end("answer");
    await Promise.all([answered, done]);
  });
  expect(error).toMatchObject({ message: "of the application" });
});
