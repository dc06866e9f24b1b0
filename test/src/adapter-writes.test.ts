/** In how many writes the packets of one batch leave, and whether their bytes are those of Socket.IO. */
import { within } from "@holdfast/harness";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { expectTakenAlong } from "./harness/closing-broadcast.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { openPolling } from "./harness/raw-polling.js";

const start = startsClusters({ sticky: false });
const clients = closedAfterEach(new Clients());

describe("packets that arrive in one batch", () => {
  let cluster: TestCluster;
  let sender: RemoteWorker;
  let receiver: RemoteWorker;

  beforeAll(async () => {
    cluster = await TestCluster.start({ sticky: false, workers: 2 });
    ({ a: sender, b: receiver } = cluster);
  });
  afterAll(() => cluster.close());

  test("leave in one write of a WebSocket", async () => {
    const client = await clients.connectTo(receiver);
    await watchWrites(receiver, client.id);
    const last = client.next("last");
    await sender.run((ctx, id) => {
      for (let i = 0; i < 20; i++) ctx.io.to(id).emit("n", i);
      ctx.io.to(id).emit("last");
    }, client.id);
    await last;
    expect(await receiver.run((ctx) => ctx.store.writes)).toEqual([21]);
    expect(client.received("n")).toEqual(Array.from({ length: 20 }, (_, i) => [i]));
  });

  test("keep their order with what the application sends meanwhile", async () => {
    const client = await clients.connectTo(receiver);
    await watchWrites(receiver, client.id);
    await receiver.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      socket?.onAnyOutgoing((event: string, n: number) => {
        if (event === "n" && n === 10) socket.emit("own");
      });
    }, client.id);
    const last = client.next("last");
    const order: unknown[] = [];
    client.socket.onAny((event, ...args) => order.push(event === "n" ? args[0] : event));
    await sender.run((ctx, id) => {
      for (let i = 0; i < 20; i++) ctx.io.to(id).emit("n", i);
      ctx.io.to(id).emit("last");
    }, client.id);
    await last;
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    // Sent while the eleventh was being handled, so behind the ten before it.
    expect(order).toEqual([...numbers.slice(0, 10), "own", ...numbers.slice(10), "last"]);
    // The engine writes a frame in two chunks, and takes no more until they have left.
    expect(await receiver.run((ctx) => ctx.store.writes)).toEqual([12, 11]);
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
    await expectTakenAlong(sender, receiver, await clients.connectTo(receiver));
  });

  test("may be volatile: a socket that is ready gets them", async () => {
    const client = await clients.connectTo(receiver);
    const got = client.next("v");
    await sender.run((ctx, id) => void ctx.io.to(id).volatile.emit("v", 1), client.id);
    expect(await got).toEqual([1]);
  });

  test("are missed by a client that reads slowly if they are volatile, and all others come in order", async () => {
    const client = await clients.connectTo(receiver);
    const { transport } = client.socket.io.engine as unknown as {
      transport: { ws: { _socket: { pause(): void; resume(): void } } };
    };
    transport.ws._socket.pause();
    const count = await receiver.run(async (ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (!socket) throw new Error("no socket");
      const { socket: ws } = socket.conn.transport as unknown as {
        socket: { _socket: { writableLength: number } };
      };
      const text = "x".repeat(100_000);
      let n = 0;
      while (ws._socket.writableLength === 0) {
        ctx.io.to(id).emit("n", n++, text);
        await new Promise(setImmediate);
      }
      ctx.io.to(id).volatile.emit("v", "own worker");
      return n;
    }, client.id);
    const sent = receiver.next("sent");
    await receiver.run((ctx) => ctx.io.once("told", () => ctx.emit("sent")) && undefined);
    await sender.run((ctx, id) => {
      ctx.io.to(id).volatile.emit("v", "other worker");
      ctx.io.to(id).emit("last");
      ctx.io.serverSideEmit("told");
    }, client.id);
    await sent;
    const last = client.next("last");
    transport.ws._socket.resume();
    await last;
    expect(client.received("v")).toEqual([]);
    expect(client.received("n").map(([n]) => n)).toEqual(Array.from({ length: count }, (_, n) => n));
  });

  test("are told to whoever watches the engine", async () => {
    const client = await clients.connectTo(receiver);
    for (const [event, onServer] of [
      ["packetCreate", false],
      ["flush", false],
      ["drain", false],
      ["flush", true],
      ["drain", true],
    ] as const) {
      await receiver.run(
        (ctx, id, name, isServers) => {
          const socket = ctx.io.sockets.sockets.get(id);
          const source = (isServers ? ctx.io.engine : socket?.conn) as unknown as NodeJS.EventEmitter;
          ctx.store.heard = 0;
          ctx.store.listener = () => ctx.store.heard++;
          ctx.store.stop = () => source.off(name, ctx.store.listener);
          source.on(name, ctx.store.listener);
        },
        client.id,
        event,
        onServer,
      );
      const got = client.next(event);
      await sender.run((ctx, id, name) => void ctx.io.to(id).emit(name), client.id, event);
      await got;
      const heard = await receiver.run((ctx) => {
        ctx.store.stop();
        return ctx.store.heard;
      });
      expect([event, onServer, heard]).toEqual([event, onServer, 1]);
    }
  });
});

test("a listener of the engine that throws keeps back what has gathered no longer than until the next packet", async () => {
  const cluster = await start({ workers: 2 });
  const [receiver, sender] = [cluster.a, cluster.b];
  const client = await clients.connectTo(receiver);
  const thrown = receiver.next("thrown");
  await receiver.run((ctx) => {
    process.once("uncaughtException", () => ctx.emit("thrown"));
    (ctx.io.engine as unknown as NodeJS.EventEmitter).once("flush", () => {
      throw new Error("of the application");
    });
  });
  const emit = (from: number) =>
    sender.run(
      (ctx, id, first) => {
        for (const n of [first, first + 1]) ctx.io.to(id).emit("n", n);
        if (first > 1) ctx.io.to(id).emit("last");
      },
      client.id,
      from,
    );
  const last = client.next("last");
  await emit(1);
  await thrown;
  await emit(3);
  await last;
  expect(client.received("n")).toEqual([[1], [2], [3], [4]]);
});

test("a listener of a connection that throws when packets have left keeps nothing of them back", async () => {
  const { a: worker } = await start({ workers: 1 });
  const client = await clients.connectTo(worker);
  const thrown = worker.next("thrown");
  const last = client.next("last");
  await worker.run((ctx, id) => {
    process.once("uncaughtException", () => ctx.emit("thrown"));
    const socket = ctx.io.sockets.sockets.get(id);
    socket?.emit("n", 1);
    // The engine sends these together, when the first is written.
    socket?.conn.once("drain", () => {
      throw new Error("of the application");
    });
    socket?.emit("n", 2);
    socket?.emit("last");
  }, client.id);
  await Promise.all([thrown, last]);
  expect(client.received("n")).toEqual([[1], [2]]);
});

/** What an application may put its own in front of, to see or change what is sent. */
const REPLACED = ["write", "sendPacket", "flush", "transport.send"];

describe("packets of this worker's own application", () => {
  let worker: RemoteWorker;

  beforeEach(async () => {
    ({ a: worker } = await start({ workers: 1 }));
  });

  test("leave at once if they are the first of a turn, and together if not", async () => {
    const client = await clients.connectTo(worker);
    await watchWrites(worker, client.id);
    const last = client.next("last");
    const first = await worker.run((ctx, id) => {
      ctx.io.to(id).emit("n", Buffer.from("two frames"));
      const writes = [...ctx.store.writes];
      for (let i = 0; i < 20; i++) ctx.io.to(id).emit("n", i);
      ctx.io.to(id).emit("last");
      return writes;
    }, client.id);
    await last;
    expect(first).toEqual([2]);
    expect(await worker.run((ctx) => ctx.store.writes)).toEqual([2, 21]);
    expect(client.received("n").slice(1)).toEqual(Array.from({ length: 20 }, (_, i) => [i]));
  });

  test("keep their order with what goes to one socket, by every transport", async () => {
    for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
      const client = await clients.connectTo(worker, { transports });
      const last = client.next("last");
      await worker.run((ctx, id) => {
        const socket = ctx.io.sockets.sockets.get(id);
        for (let i = 0; i < 60; i += 3) {
          ctx.io.to(id).emit("n", i);
          socket?.emit("n", i + 1);
          ctx.io.to(id).emit("n", i + 2, Buffer.from("attached"));
        }
        socket?.emit("last");
      }, client.id);
      await last;
      expect(client.received("n").map(([n]) => n)).toEqual(Array.from({ length: 60 }, (_, i) => i));
    }
  });

  test.each(REPLACED)("go through a connection's %s() that the application has put there", async (name) => {
    const client = await clients.connectTo(worker);
    const got = client.next("n");
    const calls = await worker.run(
      (ctx, id, path) => {
        const conn = ctx.io.sockets.sockets.get(id)?.conn as unknown as Record<string, unknown>;
        const target = (path.startsWith("transport.") ? conn.transport : conn) as Record<string, unknown>;
        const field = path.replace("transport.", "");
        const original = target[field] as (...args: unknown[]) => unknown;
        let count = 0;
        target[field] = (...args: unknown[]) => {
          count++;
          return original.apply(target, args);
        };
        ctx.io.to(id).emit("n", 1);
        return count;
      },
      client.id,
      name,
    );
    expect(calls).toBe(1);
    expect(await got).toEqual([1]);
  });

  test("tell that they have been written, if somebody asks for it after them", async () => {
    const client = await clients.connectTo(worker);
    for (const [event, isServers] of [
      ["drain", false],
      ["drain", true],
    ] as const) {
      const heard = worker.run(
        (ctx, id, name, ofServer) => {
          const conn = ctx.io.sockets.sockets.get(id)?.conn;
          ctx.io.to(id).emit("n", 1);
          ctx.io.to(id).emit("n", 2);
          const source = (ofServer ? ctx.io.engine : conn) as unknown as NodeJS.EventEmitter;
          return new Promise((resolve) => source.once(name, () => resolve(name)));
        },
        client.id,
        event,
        isServers,
      );
      expect(await within(heard, `${event} of the ${isServers ? "server" : "connection"}`)).toBe(event);
    }
  });

  test("arrive if the client is disconnected in the same turn", async () => {
    const client = await clients.connectTo(worker);
    const gone = client.next("disconnect");
    await worker.run((ctx, id) => {
      for (const n of [1, 2, 3]) ctx.io.to(id).emit("n", n);
      ctx.io.sockets.sockets.get(id)?.disconnect(true);
    }, client.id);
    await gone;
    expect(client.received("n")).toEqual([[1], [2], [3]]);
  });
});

/** Keeps in `store.writes` how many chunks each write has that a client's socket makes from now on. */
async function watchWrites(worker: RemoteWorker, id: string): Promise<void> {
  await worker.run((ctx, sid) => {
    const socket = ctx.io.sockets.sockets.get(sid);
    if (!socket) throw new Error("no socket");
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
  }, id);
}
