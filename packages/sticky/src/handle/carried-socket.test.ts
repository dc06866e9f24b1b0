/** Fails when an undocumented part of Node.js has moved that connections are taken out by. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { CarriedSocket, isCarried, takeOut } from "../../dist/handle/carried-socket.js";
import { adoptHandle, detachHandle } from "../../dist/handle/node-internals.js";

const open: (Server | Socket)[] = [];
afterEach(() => {
  for (const each of open.splice(0)) "close" in each ? each.close() : each.destroy();
});

async function pair(): Promise<{ client: Socket; carried: CarriedSocket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  open.push(server);
  const detached = detachHandle((await accepted)[0]);
  if (!detached) throw new Error("no handle");
  const carried = adoptHandle<CarriedSocket>(detached.handle, undefined, CarriedSocket);
  // What is cancelled fails here.
  carried.on("error", () => {});
  return { client, carried };
}

test.each([
  ["one write", 1, 8_000_000],
  ["many writes", 500, 20_000],
])("with %s, what was not written is given exactly", async (_, writes, bytes) => {
  const { client, carried } = await pair();
  client.pause();
  const all: Buffer[] = [];
  for (let i = 0; i < writes; i++) {
    const chunk = Buffer.alloc(bytes, i + 1);
    all.push(chunk);
    carried.write(chunk);
  }
  carried.cork();
  carried.write("text");
  all.push(Buffer.from("text"));
  await new Promise((done) => setImmediate(done));
  expect(isCarried(carried)).toBe(true);
  const taken = takeOut(carried);
  const unsent = taken?.close() ?? Buffer.alloc(0);
  expect(unsent.length).toBeGreaterThan(0);
  const written: Buffer[] = [];
  client.on("data", (chunk) => written.push(chunk)).resume();
  await once(client, "close");
  expect(Buffer.concat([...written, unsent]).equals(Buffer.concat(all))).toBe(true);
});

test("what was read and not used is given, and nobody hears it", async () => {
  const { client, carried } = await pair();
  const heard: Buffer[] = [];
  carried.on("data", (chunk) => heard.push(chunk));
  client.write("first");
  await once(carried, "data");
  carried.pause();
  client.write("second");
  while (carried.readableLength === 0) await new Promise((done) => setImmediate(done));
  const taken = takeOut(carried);
  expect(String(taken?.unread)).toBe("second");
  expect(String(Buffer.concat(heard))).toBe("first");
  expect(taken?.close()).toEqual(Buffer.alloc(0));
  client.destroy();
});

test("only a connection that is open and was made for it can be taken out", async () => {
  const { client, carried } = await pair();
  expect(isCarried(client)).toBe(false);
  carried.end();
  expect(isCarried(carried)).toBe(false);
  client.destroy();
});
