/** Clients hear that their sessions are closed, also those that are between two polls or come while all are closed. */
import { EventEmitter, once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Server as SocketIoServer } from "socket.io";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { firstUncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { OpenSessions } from "../../dist/worker/open-sessions.js";

let server: Server;
let io: SocketIoServer;
let sessions: OpenSessions;
let forget: () => void;

beforeEach(async () => {
  server = createServer();
  io = new SocketIoServer(server, { cors: { origin: "*" } });
  sessions = new OpenSessions();
  forget = sessions.watch(io.engine);
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => io.close());

async function get(query = ""): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling${query}`, {
    headers: { connection: "close" },
  });
  return answer.text();
}

async function post(
  query: string,
  body: string,
): Promise<[status: number, text: string, origin: string | null]> {
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling${query}`, {
    method: "POST",
    body,
    headers: { connection: "close", origin: "http://elsewhere" },
  });
  return [answer.status, await answer.text(), answer.headers.get("access-control-allow-origin")];
}

async function open(): Promise<string> {
  const { sid } = JSON.parse((await get()).slice(1)) as { sid: string };
  return sid;
}

interface Waits {
  readonly transport: { readonly writable: boolean };
}

/** What says that nothing more comes, and before it what lets the server answer at all. */
const CLOSED = "6\x1e1";

test("whoever polls next is told, whether the session was open before or not", async () => {
  const before = await open();
  const closed = sessions.close();
  const meanwhile = await open();
  expect(await get(`&sid=${meanwhile}`)).toBe(CLOSED);
  expect(await get(`&sid=${before}`)).toBe(CLOSED);
  await closed;
});

test("a listener of the application that throws keeps no other client from being told", async () => {
  const [error] = await firstUncaughtOf(async () => {
    const ids = [await open(), await open()];
    const polls = ids.map((id) => get(`&sid=${id}`));
    const { clients } = io.engine as unknown as { clients: Record<string, NodeJS.EventEmitter & Waits> };
    await expect.poll(() => ids.every((id) => clients[id]?.transport.writable)).toBe(true);
    clients[ids[0] as string]?.on("close", () => {
      throw new Error("of the application");
    });
    await sessions.close();
    expect(await Promise.all(polls)).toEqual(["1", "1"]);
  });
  expect(error).toMatchObject({ message: "of the application" });
});

test("a session that begins or ends under listeners that throw is known, and forgotten", () => {
  const engine = Object.assign(new EventEmitter(), { clients: {} });
  const fail = (event: string) => () => {
    throw new Error(event);
  };
  engine.on("connection", fail("connection"));
  const known = new OpenSessions();
  known.watch(engine as never);
  const session = Object.assign(new EventEmitter(), {
    id: "a",
    transport: { name: "polling" },
    server: engine,
  });
  session.on("close", fail("close"));
  expect(() => engine.emit("connection", session)).toThrow("connection");
  expect(known.has("a")).toBe(true);
  expect(() => session.emit("close", "transport close")).toThrow("close");
  expect(known.has("a")).toBe(false);
});

test("what a client has sent while it was told is taken, and goes nowhere; whoever asks again is told again", async () => {
  const id = await open();
  const heard: unknown[] = [];
  io.on("connection", (socket) => heard.push(socket.id));
  const closed = sessions.close();
  expect(await get(`&sid=${id}`)).toBe(CLOSED);
  await closed;
  expect(await post(`&sid=${id}`, "40")).toEqual([200, "ok", "*"]);
  expect(await post(`&sid=${id}`, "1")).toEqual([200, "ok", "*"]);
  expect(await get(`&sid=${id}`)).toBe("1");
  expect(await get(`&sid=${id}`)).toBe("1");
  expect(heard).toEqual([]);
  expect(io.engine.clientsCount).toBe(0);
  // Its id may have another worker's mark: it is not to be looked for there.
  expect(sessions.has(id)).toBe(true);
  forget();
  expect(sessions.has(id)).toBe(false);
  expect((await post(`&sid=${id}`, "40"))[0]).toBe(400);
});

test("what has ended otherwise meanwhile is not kept: its client said so, or it lives elsewhere", async () => {
  const [left, moved, told] = [await open(), await open(), await open()];
  const closed = sessions.close();
  expect(await post(`&sid=${left}`, "1")).toEqual([200, "ok", "*"]);
  (io.engine as unknown as { clients: Record<string, { onClose(why: string): void }> }).clients[
    moved
  ]?.onClose("moved away");
  expect(await get(`&sid=${told}`)).toBe(CLOSED);
  await closed;
  expect([left, moved, told].map((id) => sessions.has(id))).toEqual([false, false, true]);
  expect((await post(`&sid=${left}`, "40"))[0]).toBe(400);
});

test("sessions from before the server was set up, or set up anew, are told as well", async () => {
  const id = await open();
  forget();
  const anew = new OpenSessions();
  anew.watch(io.engine);
  expect(anew.has(id)).toBe(true);
  const closed = anew.close();
  expect(await get(`&sid=${id}`)).toBe(CLOSED);
  await closed;
});

test("sessions that are known from before, and poll, are at rest", async () => {
  const sid = await open();
  const waiting = get(`&sid=${sid}`);
  const { clients } = io.engine as unknown as { clients: Record<string, Waits> };
  await vi.waitUntil(() => clients[sid]?.transport.writable);
  forget();
  sessions = new OpenSessions();
  forget = sessions.watch(io.engine);
  expect(sessions.isAtRest(sid)).toBe(true);
  sessions.endPoll(sid);
  expect(await waiting).toBe("6");
  await vi.waitUntil(() => sessions.isAtRest(sid));
});
