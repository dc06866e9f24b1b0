/** In how many writes the packets of one batch leave, and whether their bytes are those of Socket.IO. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { openPolling } from "./harness/raw-polling.js";

describe("packets that arrive in one batch", () => {
  let cluster: TestCluster;
  const clients = new Clients();
  let sender: RemoteWorker;
  let receiver: RemoteWorker;

  beforeAll(async () => {
    cluster = await TestCluster.start({ sticky: false, workers: 2 });
    ({ a: sender, b: receiver } = cluster);
  });
  afterAll(async () => {
    clients.close();
    await cluster.close();
  });

  test("leave in one write of a WebSocket, in order with the application's own", async () => {
    const client = await clients.connectTo(receiver);
    await receiver.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (!socket) throw new Error("no socket");
      await socket.join("batch");
      const { socket: ws } = socket.conn.transport as unknown as {
        socket: { _socket: Record<string, (...args: unknown[]) => unknown> };
      };
      const raw = ws._socket;
      ctx.store.writes = [];
      for (const name of ["_write", "_writev"]) {
        const original = raw[name];
        raw[name] = (...args: unknown[]) => {
          ctx.store.writes.push(name === "_write" ? 1 : (args[0] as unknown[]).length);
          return original?.apply(raw, args);
        };
      }
      socket.onAnyOutgoing((event: string, n: number) => {
        if (event === "n" && n === 10) socket.emit("own");
      });
    }, client.id);
    const last = client.next("last");
    const order: unknown[] = [];
    client.socket.onAny((event, ...args) => order.push(event === "n" ? args[0] : event));
    await sender.run((ctx) => {
      for (let i = 0; i < 20; i++) ctx.io.to("batch").emit("n", i);
      ctx.io.to("batch").emit("last");
    });
    await last;
    expect(await receiver.run((ctx) => ctx.store.writes)).toEqual([23]);
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    expect(order.filter((item) => typeof item === "number")).toEqual(numbers);
    // Sent while the eleventh was being handled, so behind the ten before it.
    expect(order.indexOf("own")).toBe(10);
  });

  test("leave in one payload of a poll", async () => {
    const polling = await openPolling(receiver.url);
    await receiver.run(async (ctx) => {
      await Promise.all([...ctx.io.sockets.sockets.values()].map((socket) => socket.join("poll")));
    });
    const waiting = polling.poll();
    await polling.untilWaiting(receiver);
    await sender.run((ctx) => {
      for (let i = 0; i < 20; i++) ctx.io.to("poll").emit("n", i);
    });
    expect(await waiting).toEqual(Array.from({ length: 20 }, (_, i) => `42["n",${i}]`));
    await polling.close();
  });

  test("leave before a connection that is closed by what comes with them", async () => {
    const client = await clients.connectTo(receiver);
    await receiver.run((ctx, id) => {
      ctx.io.once("close it", () => ctx.io.sockets.sockets.get(id)?.conn.close(true));
    }, client.id);
    const gone = client.next("disconnect");
    await sender.run((ctx, id) => {
      ctx.io.to(id).emit("n", 1);
      ctx.io.to(id).emit("n", 2);
      ctx.io.serverSideEmit("close it");
    }, client.id);
    await gone;
    expect(client.received("n")).toEqual([[1], [2]]);
  });

  test("may be volatile: a socket that is ready gets them", async () => {
    const client = await clients.connectTo(receiver);
    const got = client.next("v");
    await sender.run((ctx, id) => void ctx.io.to(id).volatile.emit("v", 1), client.id);
    expect(await got).toEqual([1]);
  });
});
