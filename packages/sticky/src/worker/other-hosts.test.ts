/** Owners on other hosts: whom a session id names, and what becomes of requests that cannot get there. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer, request } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { HostPort } from "../../dist/primary/host-port.js";
import { proofKey } from "../../dist/wire/host-proof.js";
import { encodeMark } from "../../dist/wire/owner-mark.js";
import { OtherHosts } from "../../dist/worker/other-hosts.js";

const TAG = "Ab3-xY";
const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

const listening = async (server: Server | HttpServer, port = 0): Promise<number> => {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => server.close());
  return (server.address() as AddressInfo).port;
};

/** What looks like a host port, and never says anything. */
async function silentHost(port = 0): Promise<{ port: number; sockets: Set<Socket>; taken(): number }> {
  const sockets = new Set<Socket>();
  let taken = 0;
  const server = createServer((socket) => {
    taken++;
    sockets.add(socket);
    socket.on("error", () => {}).resume();
    socket.once("close", () => sockets.delete(socket));
  });
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { port: await listening(server, port), sockets, taken: () => taken };
}

const told = (port: number, name = "there") => ({
  name: "here",
  secret: "secret",
  tls: undefined,
  others: [{ name, tag: TAG, host: "127.0.0.1", port, isTls: false }],
});

/** They call an owner again and again, until they are told to leave. */
function otherHosts(onTrouble: (error: Error) => void = () => {}): OtherHosts {
  const hosts = new OtherHosts({ onRelayed: () => {}, onTrouble });
  ends.push(() => hosts.leave());
  return hosts;
}

/** A worker that relays every request to the owner that its path names, or answers 400 itself. */
async function relaying(hosts: OtherHosts): Promise<(sid: string) => Promise<number>> {
  const server = createHttpServer((incoming, response) => {
    const here = () => void response.writeHead(400).end();
    const owner = hosts.ownerOf(incoming.url?.slice(1) ?? "");
    if (owner) owner.relay.request(owner.number, "default", incoming, response, here);
    else here();
  });
  const port = await listening(server);
  return (sid) =>
    new Promise((resolve, reject) => {
      const outgoing = request({ port, path: `/${sid}`, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      ends.push(() => outgoing.destroy());
      outgoing.on("error", reject).end();
    });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a session id names a worker of the host with its tag, as long as there is one", () => {
  const hosts = otherHosts();
  const sid = `${encodeMark(TAG, 7)}abc`;
  expect(hosts.ownerOf(sid)).toBeUndefined();
  hosts.meet(told(1));
  const owner = hosts.ownerOf(sid);
  expect(owner).toMatchObject({ number: 7, isRouted: false });
  for (const other of ["", TAG, `${TAG}A A7abc`, `uvwxyz${sid.slice(6)}`]) {
    expect(hosts.ownerOf(other)).toBeUndefined();
  }
  hosts.meet(told(1));
  expect(hosts.ownerOf(sid)?.relay).toBe(owner?.relay);
  // Another process, or another port: nothing of the way before is used again.
  hosts.meet(told(2));
  const moved = hosts.ownerOf(sid);
  expect(moved?.relay).not.toBe(owner?.relay);
  hosts.meet(told(2, "third"));
  expect(hosts.ownerOf(sid)?.relay).not.toBe(moved?.relay);
  hosts.meet({ ...told(2), others: [] });
  expect(hosts.ownerOf(sid)).toBeUndefined();
});

test("a host of which nobody has told yet is waited for, not for long, and not for any number of them", async () => {
  vi.useFakeTimers();
  ends.push(() => vi.useRealTimers());
  const hosts = otherHosts();
  const sid = `${encodeMark(TAG, 7)}abc`;
  // Without other hosts, there is nobody to wait for.
  expect(hosts.untilKnown(sid)).toBeUndefined();
  hosts.meet({ ...told(1), others: [] });
  for (const other of ["", TAG, `no tag${sid.slice(6)}`]) expect(hosts.untilKnown(other)).toBeUndefined();
  const first = hosts.untilKnown(sid);
  hosts.meet(told(1));
  await first;
  expect(hosts.ownerOf(sid)?.number).toBe(7);
  expect([hosts.untilKnown(sid), vi.getTimerCount()]).toEqual([undefined, 0]);
  const made = Array.from({ length: 1_000 }, (_, i) =>
    hosts.untilKnown(`x${String(i).padStart(5, "0")}AAAAsid`),
  );
  expect(made.filter((each) => each !== undefined)).toHaveLength(256);
  expect(hosts.untilKnown("x00000AAAAother")).toBe(made[0]);
  await vi.advanceTimersByTimeAsync(500);
  await Promise.all(made);
  expect(vi.getTimerCount()).toBe(0);
  const last = hosts.untilKnown("x00000AAAAsid");
  hosts.leave();
  await last;
  expect(vi.getTimerCount()).toBe(0);
});

test("however many workers are made up, a few calls are made at a time; when the host goes, all are answered", async () => {
  const host = await silentHost();
  const troubles: Error[] = [];
  const hosts = otherHosts((error) => troubles.push(error));
  hosts.meet(told(host.port));
  const ask = await relaying(hosts);
  const answers = Array.from({ length: 20 }, (_, i) => ask(`${encodeMark(TAG, i)}forged`));
  await until(() => host.taken() >= 4);
  hosts.meet({ ...told(host.port), others: [] });
  expect(new Set(await Promise.all(answers))).toEqual(new Set([400]));
  await until(() => host.sockets.size === 0);
  expect([host.taken(), troubles]).toEqual([4, []]);
});

test("a host that does not answer is not gone: after a while, requests are refused, and it is told", {
  timeout: 60_000,
}, async () => {
  const host = await silentHost();
  const troubles: string[] = [];
  const hosts = otherHosts(({ message }) => troubles.push(message));
  hosts.meet(told(host.port));
  const ask = await relaying(hosts);
  // Whoever waits for its turn to call waits no longer than the others.
  const answers = Array.from({ length: 60 }, (_, i) => ask(`${encodeMark(TAG, i)}sid`));
  expect(new Set(await Promise.all(answers))).toEqual(new Set([503]));
  expect(troubles[0]).toBe(`host there at 127.0.0.1:${host.port}: it does not answer`);
});

/** A host whose worker has nothing to say to anybody. */
async function hostOfDumbWorker(turnAway: (socket: Socket) => void): Promise<number> {
  const home = mkdtempSync(join(tmpdir(), "hf-"));
  ends.push(() => rmSync(home, { recursive: true, force: true }));
  const path = join(home, "7");
  const worker = createServer(turnAway).listen(path);
  ends.push(() => worker.close());
  await once(worker, "listening");
  return new Promise((resolve, reject) => {
    const port = new HostPort(
      { host: "127.0.0.1", port: 0, tls: undefined },
      {
        identity: () => ({ name: "there", key: proofKey("secret"), tls: undefined }),
        doorOf: (number) => ({ number, path, secret: "s", lives: () => true }),
        onListening: resolve,
        onError: reject,
      },
    );
    ends.push(() => port.close());
  });
}

test.each([
  ["closes each connection", (socket: Socket) => void socket.destroy(), "closes each connection"],
  ["talks nonsense", (socket: Socket) => void socket.end("nonsense".repeat(9)), "malformed"],
])("a host is named whose worker %s", { timeout: 60_000 }, async (_, turnAway, what) => {
  const port = await hostOfDumbWorker(turnAway);
  const trouble = new Promise<string>((resolve) => {
    const hosts = otherHosts(({ message }) => resolve(message));
    hosts.meet(told(port));
    void relaying(hosts).then((ask) => ask(`${encodeMark(TAG, 7)}sid`).catch(() => {}));
  });
  expect(await trouble).toMatch(new RegExp(`^host there at 127\\.0\\.0\\.1:${port}: .*${what}`));
});

test("a host where nobody listens is not gone before the primary says so", async () => {
  const { port } = await silentHost();
  for (const end of ends.splice(0)) end();
  const troubles: string[] = [];
  const hosts = otherHosts(({ message }) => troubles.push(message));
  hosts.meet(told(port));
  const ask = await relaying(hosts);
  const answer = ask(`${encodeMark(TAG, 1)}sid`);
  const host = await silentHost(port);
  await until(() => host.taken() > 0);
  hosts.meet({ ...told(port), others: [] });
  expect(await answer).toBe(400);
  expect(troubles).toEqual([]);
});
