/** Applications of frameworks, unchanged but for the lines of docs/frameworks.md, on several workers. */
import { fileURLToPath } from "node:url";
import { Changes, httpRequest, within } from "@holdfast/harness";
import { io, type Socket } from "socket.io-client";
import { afterEach, describe, expect, test } from "vitest";
import { connectAcross, everyoneTalks } from "../harness/conversation.js";
import { Example, type ExampleClient } from "../harness/example.js";

const app = (path: string) => fileURLToPath(new URL(`../../../examples/${path}`, import.meta.url));

let example: Example | undefined;
let admins: Socket[] = [];

afterEach(async () => {
  for (const admin of admins) admin.disconnect();
  admins = [];
  await example?.stop();
  example = undefined;
});

/** The primary that all of them share, with the application as its workers. */
async function start(path: string, env: NodeJS.ProcessEnv = {}): Promise<Example> {
  example = await Example.start({ script: "primary/primary.js", args: [app(path)], env });
  return example;
}

describe.each(["fastify/server.js", "nestjs/dist/main.js", "admin-ui/server.js"])("examples/%s", (path) => {
  test("serves clients from several workers, and goes on when one is killed", async () => {
    const cluster = await start(path);
    const clients = await connectAcross(cluster);
    await everyoneTalks(clients, "before");
    const killed = clients[0]?.worker ?? 0;
    const moved = clients
      .filter(({ worker }) => worker === killed)
      .map((client) => client.until("another worker", () => client.worker !== killed));
    process.kill(killed, "SIGKILL");
    await cluster.line(/^worker \d+ is up$/, 3);
    await Promise.all(moved);
    await everyoneTalks(clients, "after");
    expect(cluster.stderr).toBe("");
  });

  test("ends cleanly on SIGTERM", async () => {
    const cluster = await start(path);
    await connectAcross(cluster);
    cluster.signal("SIGTERM");
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
    expect(cluster.stderr).toBe("");
  });
});

test("a NestJS worker that a signal ends, by NestJS's own hooks, lets its clients go to others", async () => {
  const cluster = await start("nestjs/dist/main.js");
  const clients = await connectAcross(cluster);
  const ended = clients[0]?.worker ?? 0;
  const theirs = clients.filter(({ worker }) => worker === ended);
  const reasons = theirs.map(({ socket }) => new Promise((resolve) => socket.once("disconnect", resolve)));
  const moved = theirs.map((client) => client.until("another worker", () => client.worker !== ended));
  process.kill(ended, "SIGTERM");
  await cluster.line(new RegExp(`^worker ${ended} is gone$`));
  await within(Promise.all(moved), "clients on another worker");
  expect(new Set(await Promise.all(reasons))).toEqual(new Set(["transport close"]));
  await everyoneTalks(clients, "after");
  expect(cluster.stderr).toBe("");
});

test("Fastify's own routes are served beside the clients", async () => {
  const { url } = await start("fastify/server.js");
  const pids = new Set<number>();
  while (pids.size < 2) pids.add(JSON.parse((await httpRequest(url)).text).worker);
});

/** A page of the admin UI; keeps what it is told. */
class Admin {
  readonly socket: Socket;
  readonly #told = new Map<string, unknown[][]>();
  readonly #news = new Changes();

  constructor(url: string) {
    this.socket = io(`${url}/admin`, { transports: ["websocket"], forceNew: true });
    this.socket.onAny((event: string, ...values: unknown[]) => {
      this.#told.set(event, [...this.all(event), values]);
      this.#news.tell();
    });
  }

  all(event: string): unknown[][] {
    return this.#told.get(event) ?? [];
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    await this.#news.until(`${what} in the admin UI`, condition);
  }
}

const idsOf = (clients: ExampleClient[]) => clients.map(({ socket }) => socket.id);

describe("the admin UI", () => {
  async function open(mode: string): Promise<{ admin: Admin; clients: ExampleClient[]; cluster: Example }> {
    const cluster = await start("admin-ui/server.js", { MODE: mode });
    const clients = await connectAcross(cluster);
    const admin = new Admin(cluster.url);
    admins.push(admin.socket);
    return { admin, clients, cluster };
  }

  test.each(["development", "production"])(
    "shows all workers and reaches all clients in %s mode",
    async (mode) => {
      const { admin, clients, cluster } = await open(mode);
      const clientsOn = new Map<unknown, number>();
      await admin.until("all workers with their clients", () => {
        for (const [stats] of admin.all("server_stats")) {
          const { pid, clientsCount } = stats as { pid: number; clientsCount: number };
          clientsOn.set(pid, clientsCount);
        }
        const total = [...clientsOn.values()].reduce((sum, count) => sum + count, 0);
        return total === clients.length + 1;
      });
      expect(new Set(clientsOn.keys())).toEqual(new Set(clients.map(({ worker }) => worker)));

      const heard = clients.map(({ socket }) => new Promise((resolve) => socket.once("hello", resolve)));
      for (const id of idsOf(clients)) admin.socket.emit("emit", "/", id, "hello", id);
      expect(await within(Promise.all(heard), "what the admin emits")).toEqual(idsOf(clients));

      const left = clients.map(({ socket }) => new Promise((resolve) => socket.once("disconnect", resolve)));
      admin.socket.emit("_disconnect", "/", false);
      const reasons = await within(Promise.all(left), "end of all clients");
      expect(new Set(reasons)).toEqual(new Set(["io server disconnect"]));
      expect(cluster.stderr).toBe("");
    },
  );

  test("lists the sockets of all workers in development mode, and tells what they do", async () => {
    const { admin, clients, cluster } = await open("development");
    await admin.until("list of sockets", () => admin.all("all_sockets").length > 0);
    const listed = admin.all("all_sockets").flatMap(([sockets]) => sockets as { id: string }[]);
    expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining(idsOf(clients)));

    for (const id of idsOf(clients)) admin.socket.emit("join", "/", "tea", id);
    // The admin's own socket joins a room as well.
    const inTea = () => admin.all("room_joined").filter(([, room]) => room === "tea");
    await admin.until("clients in the room", () => inTea().length >= clients.length);
    expect(inTea()).toEqual(
      expect.arrayContaining(idsOf(clients).map((id) => ["/", "tea", id, expect.anything()])),
    );

    const newcomers = idsOf([await cluster.connect("polling"), await cluster.connect("websocket")]);
    await admin.until("newcomers", () => {
      const connected = admin.all("socket_connected").map(([socket]) => (socket as { id: string }).id);
      return newcomers.every((id) => id !== undefined && connected.includes(id));
    });
    expect(cluster.stderr).toBe("");
  });
});
