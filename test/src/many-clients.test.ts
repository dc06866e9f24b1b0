/**
 * Many real clients on real clusters: every broadcast reaches every member exactly once, and in order per sender,
 * while others come and go, with two clusters side by side.
 */
import { within } from "@holdfast/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ClientOptions, Clients, type TestClient } from "./harness/clients.js";
import { TestCluster } from "./harness/cluster.js";

const WORKERS = 4;
const CLIENTS = 300;
const ROOMS = 10;
const MESSAGES = 40;
const AT_ONCE = 30;

const TRANSPORTS: ClientOptions[] = [
  { transports: ["polling"] },
  { transports: ["websocket"] },
  { transports: ["polling", "websocket"] },
];

interface Member {
  readonly client: TestClient;
  readonly rooms: string[];
}

/** Each client is in three rooms of ten, so that rooms overlap on all workers. */
function roomsOf(index: number): string[] {
  return [0, 3, 7].map((step) => `room-${(index + step * (1 + (index % 3))) % ROOMS}`);
}

async function join(client: TestClient, rooms: string[]): Promise<void> {
  await within(client.socket.emitWithAck("join", rooms), `join of ${client.id}`);
}

async function connectMany(clients: Clients, url: string, count: number, offset = 0): Promise<Member[]> {
  const members: Member[] = [];
  const connectOne = async (index: number) => {
    const client = await clients.connect(url, TRANSPORTS[index % TRANSPORTS.length]);
    const rooms = roomsOf(index);
    await join(client, rooms);
    members.push({ client, rooms });
  };
  for (let at = 0; at < count; at += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, i) =>
      connectOne(offset + at + i),
    );
    await Promise.all(batch);
  }
  return members;
}

/** Every worker sends numbered messages to every room, a part of them in each turn, then a fence to all. */
async function broadcastFromAll(cluster: TestCluster): Promise<void> {
  await Promise.all(
    cluster.workers.map((worker) =>
      worker.run(
        async (ctx, rooms, messages, id) => {
          for (let n = 0; n < messages; n++) {
            for (let room = 0; room < rooms; room++)
              ctx.io.to(`room-${room}`).emit("n", id, `room-${room}`, n);
            if (n % 5 === 4) await new Promise(setImmediate);
          }
          ctx.io.emit("end", id);
        },
        ROOMS,
        MESSAGES,
        worker.workerId,
      ),
    ),
  );
}

/** Waits until the client has the fence of each worker, then compares what it got with what it should. */
async function verify({ client, rooms }: Member, workerIds: number[]): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    const check = () => client.received("end").length === workerIds.length && resolve();
    client.socket.on("end", check);
    check();
  });
  await within(ended, `end of all workers at ${client.id}`);
  const got = client.received("n") as [number, string, number][];
  const unique = new Set(rooms);
  for (const id of workerIds) {
    const mine = got.filter(([sender]) => sender === id);
    for (const room of unique) {
      const numbers = mine.filter(([, name]) => name === room).map(([, , n]) => n);
      expect(numbers).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));
    }
    expect(mine.length).toBe(unique.size * MESSAGES);
    // Across rooms too: one sender's numbers never go back.
    expect(mine.map(([, , n]) => n)).toEqual(mine.map(([, , n]) => n).sort((x, y) => x - y));
  }
  expect(new Set(got.map(([id]) => id)).size).toBe(workerIds.length);
}

describe("300 clients: polling, WebSocket and upgrading", () => {
  const clients = new Clients();
  const clusters: TestCluster[] = [];

  beforeAll(async () => {
    for (let i = 0; i < 2; i++) {
      const cluster = await TestCluster.start({
        workers: WORKERS,
        setUpWorker: ({ io }) =>
          io.on("connection", (socket) => {
            socket.on("join", async (rooms: string[], done: () => void) => {
              await socket.join(rooms);
              done();
            });
          }),
      });
      clusters.push(cluster);
    }
  }, 120_000);

  afterAll(async () => {
    clients.close();
    await Promise.all(clusters.map((cluster) => cluster.close()));
  });

  test("get every message of their rooms exactly once and in order, in each of two clusters", async () => {
    const [one, two] = clusters as [TestCluster, TestCluster];
    const [members, others] = [
      await connectMany(clients, one.url, CLIENTS),
      await connectMany(clients, two.url, 30),
    ];
    for (const worker of one.workers) {
      const share = await worker.run((ctx) => ctx.io.sockets.sockets.size);
      expect(share).toBeGreaterThan(CLIENTS / WORKERS / 4);
    }

    // Meanwhile others come and go.
    let coming = true;
    const churn = (async () => {
      for (let index = 0; coming; index++) {
        const guests = await connectMany(clients, one.url, 6, index);
        for (const { client } of guests) client.close();
      }
    })();
    await Promise.all([broadcastFromAll(one), broadcastFromAll(two)]);
    coming = false;
    await churn;

    const idsOf = (cluster: TestCluster) => cluster.workers.map(({ workerId }) => workerId);
    await Promise.all(members.map((member) => verify(member, idsOf(one))));
    await Promise.all(others.map((member) => verify(member, idsOf(two))));
  }, 180_000);
});
