/** A host port and those who call it: workers of other hosts, and hosts that watch. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { HostCall, type HostCallError, type HostIdentity } from "../../dist/hosts/host-call.js";
import type { WorkerDoor } from "../../dist/primary/host-link.js";
import { HostPort, type HostPortHost } from "../../dist/primary/host-port.js";
import { HostWatch } from "../../dist/primary/host-watch.js";
import { proofKey } from "../../dist/wire/host-proof.js";
import { encodeHello } from "../../dist/wire/link-frame.js";

const key = proofKey("secret");
const here: HostIdentity = { name: "here", key, tls: undefined };
const there: HostIdentity = { name: "there", key, tls: undefined };

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

type Doors = HostPortHost["doorOf"];

/** Opens a host port. @param port 0 for any */
async function openPort(
  identity: HostIdentity | undefined,
  doorOf: Doors = () => "gone",
  port = 0,
): Promise<{ port: number; close(): void; hostPort: HostPort }> {
  let hostPort: HostPort | undefined;
  const opened = new Promise<number>((resolve, reject) => {
    const events = { doorOf, identity: () => identity, onListening: resolve, onError: reject };
    hostPort = new HostPort({ host: "127.0.0.1", port, tls: undefined }, events);
  });
  const open = hostPort as HostPort;
  ends.push(() => open.close());
  return { port: await opened, close: () => open.close(), hostPort: open };
}

const called = (port: number) => ({ name: "there", host: "127.0.0.1", port, isTls: false });

/** Calls, and gives the connection, or why there is none. */
async function call(port: number, target = 1, identity = here): Promise<Socket | HostCallError> {
  const result = await new Promise<Socket | HostCallError>((resolve) => {
    const made = new HostCall(identity, called(port), target, resolve);
    ends.push(() => made.abort());
  });
  if (!(result instanceof Error)) ends.push(() => result.destroy());
  return result;
}

/** A worker's private socket, which says hello, and then what it was told. */
async function openWorker(): Promise<WorkerDoor> {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  const path = join(directory, "1");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.pipe(socket);
  });
  server.listen(path);
  await once(server, "listening");
  ends.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
    rmSync(directory, { recursive: true, force: true });
  });
  return { number: 1, path, secret: "private", lives: () => true };
}

test("who has proven that he is a host is led to the worker that he wants, with its secret said for him", async () => {
  const door = await openWorker();
  const targets: number[] = [];
  const { port, hostPort } = await openPort(there, (target) => {
    targets.push(target);
    return door;
  });
  const socket = (await call(port, 7)) as Socket;
  const hello = encodeHello("private", 1);
  socket.write("more");
  let got = "";
  const all = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
      if (got.length >= hello.length + 4) resolve();
    });
  });
  socket.resume();
  await all;
  expect(got).toBe(`${hello.toString("latin1")}more`);
  expect(targets).toEqual([7]);
  expect([hostPort.links, hostPort.strangers]).toEqual([1, 0]);
  // Links stay when the port is closed.
  hostPort.close();
  socket.write("last");
  expect(String((await once(socket, "data"))[0])).toBe("last");
});

test.each<[string, HostIdentity, HostIdentity, Doors, string, RegExp]>([
  ["a worker that is no more", here, there, () => "gone", "gone", /no such worker/],
  ["a worker without a way", here, there, () => "closed", "busy", /cannot be reached/],
  [
    "a worker whose socket is missing",
    here,
    there,
    () => ({ number: 1, path: "/nowhere/1", secret: "", lives: () => true }),
    "busy",
    /cannot/,
  ],
  [
    "a worker that has closed its servers",
    here,
    there,
    () => ({ number: 1, path: "/nowhere/1", secret: "", lives: () => false }),
    "gone",
    /no such worker/,
  ],
  ["another host at the port", here, { ...there, name: "third" }, () => "gone", "away", /another host/],
  ["another secret there", here, { ...there, key: proofKey("x") }, () => "gone", "trouble", /secret/],
])("%s is told as it is", async (_, from, to, doorOf, why, text) => {
  const { port } = await openPort(to, doorOf);
  const error = await call(port, 1, from);
  expect(error).toMatchObject({ why, message: expect.stringMatching(text) as string });
});

test("a host that has not joined takes nobody, and nobody is at a closed port", async () => {
  const { port } = await openPort(undefined);
  expect(await call(port)).toMatchObject({ why: expect.stringMatching(/busy|trouble/) as string });
  const closed = await openPort(there);
  closed.close();
  expect(await call(closed.port)).toMatchObject({ why: "away" });
});

test("a caller hears of another version, and of somebody who is no host at all", async () => {
  const answers = async (bytes: Buffer): Promise<number> => {
    const server = createServer((socket) => void socket.end(bytes)).listen(0, "127.0.0.1");
    await once(server, "listening");
    ends.push(() => server.close());
    return (server.address() as AddressInfo).port;
  };
  expect(await call(await answers(Buffer.of(0)))).toMatchObject({
    why: "trouble",
    message: expect.stringContaining("certificate") as string,
  });
  expect(await call(await answers(Buffer.of(99)))).toMatchObject({
    why: "trouble",
    message: expect.stringContaining("version") as string,
  });
  expect(await call(await answers(Buffer.concat([Buffer.of(2), Buffer.alloc(400)])))).toMatchObject({
    why: "trouble",
  });
});

/** A way to a host port that can be cut, and closed. */
async function openWay(
  port: number,
): Promise<{ port: number; cut(): void; close(): void; taken(): number; open(): number }> {
  const sockets = new Set<Socket>();
  let taken = 0;
  const server: Server = createServer((socket) => {
    taken++;
    const inner = connect(port, "127.0.0.1");
    for (const each of [socket, inner]) {
      sockets.add(each);
      each.on("error", () => {}).once("close", () => sockets.delete(each));
    }
    socket.pipe(inner).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const close = () => void server.close();
  ends.push(close, cut);
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close,
    taken: () => taken,
    open: () => sockets.size,
  };
}

/** Watches a host, and counts what it finds. */
function watch(port: number): { suspicions(): number; troubles: string[] } {
  let suspicions = 0;
  const troubles: string[] = [];
  const watching = new HostWatch(here, called(port), {
    onSuspect: () => suspicions++,
    onTrouble: ({ message }) => troubles.push(message),
  });
  ends.push(() => watching.close());
  return { suspicions: () => suspicions, troubles };
}

/** Waits until it is so; there is no event for it. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a connection that was cut says nothing; a port that nobody has any more is a suspicion, again and again", async () => {
  const { port } = await openPort(there);
  const way = await openWay(port);
  const { suspicions } = watch(way.port);
  await until(() => way.taken() === 1);
  way.cut();
  await until(() => way.taken() >= 2);
  // It has to be there to be missed: wait until it has been proven again.
  const proven = await call(way.port);
  expect(proven).toMatchObject({ why: "gone", message: expect.stringContaining("no such worker") as string });
  expect(suspicions()).toBe(0);
  way.close();
  way.cut();
  await until(() => suspicions() >= 3);
});

test("another host at the port is a suspicion of the one before", async () => {
  const { port } = await openPort(there);
  const way = await openWay(port);
  const { suspicions } = watch(way.port);
  await until(() => way.taken() === 1);
  await call(way.port);
  way.close();
  const third = await openPort({ ...there, name: "third" }, () => "gone", way.port);
  expect(third.port).toBe(way.port);
  way.cut();
  await until(() => suspicions() > 0);
});

test("who leaves by its own word is not missed, nor one that was never there; both are found at that port later", async () => {
  const { port, close } = await openPort(there);
  const way = await openWay(port);
  const leaving = watch(way.port);
  await until(() => way.taken() === 1);
  // What it has to say was said before these.
  for (let i = 0; i < 2; i++) await call(way.port);
  close();
  way.close();
  await until(() => way.open() === 0);
  const never = watch(way.port);
  // Both would have called in the time that these take.
  for (let i = 0; i < 5; i++) expect(await call(way.port)).toMatchObject({ why: "away" });
  expect([leaving.suspicions(), never.suspicions()]).toEqual([0, 0]);
  const again = await openPort(there, () => "gone", way.port);
  await until(() => again.hostPort.watchers === 2);
});

test("somebody else at the port for a while is told of once; a host that comes after him is none", async () => {
  const { port, close } = await openPort({ ...there, key: proofKey("x") });
  const { troubles, suspicions } = watch(port);
  await until(() => troubles.length > 0);
  expect(troubles).toEqual([expect.stringContaining("does not know the secret")]);
  close();
  const right = await openPort(there, () => "gone", port);
  await until(() => right.hostPort.watchers === 1);
  expect([troubles.length, suspicions()]).toEqual([1, 0]);
});
