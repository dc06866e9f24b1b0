/** What a client can rely on once it has heard that it is connected. */
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { openPolling } from "./harness/raw-polling.js";
import { RawWebSocket } from "./harness/raw-websocket.js";

describe("a client that has heard that it is connected", () => {
  const start = startsClusters({ sticky: false });
  const clients = closedAfterEach(new Clients());
  let sender: RemoteWorker;
  let receiver: RemoteWorker;

  beforeEach(async () => {
    ({ a: sender, b: receiver } = await start());
  });

  for (const transport of ["websocket", "polling"]) {
    test(`is reached by its id and its rooms, however busy its worker is (${transport})`, async () => {
      await receiver.run((ctx) => {
        ctx.io.on("connection", (socket) => {
          void socket.join(`room of ${socket.id}`);
          // Nothing that this worker puts off can have happened when the client knows its id.
          const end = Date.now() + 300;
          while (Date.now() < end);
        });
      });
      const client = await clients.connectTo(receiver, { transports: [transport] });
      const last = client.next("last");
      await sender.run((ctx, id) => {
        ctx.io.to(id).emit("by id");
        ctx.io.to(`room of ${id}`).emit("by room");
        ctx.io.emit("last");
      }, client.id);
      await last;
      expect(client.received("by id")).toEqual([[]]);
      expect(client.received("by room")).toEqual([[]]);
    });
  }

  test("hears that first, whatever was sent to everybody meanwhile", async () => {
    await receiver.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        ctx.io.emit("to all");
        socket.emit("hello");
      });
    });
    const client = await openPolling(receiver.url);
    const [connect, ...rest] = client.first;
    expect(connect).toMatch(/^40/);
    expect(rest).toEqual(['42["to all"]', '42["hello"]']);
    await client.close();
  });
});

describe("what migrating.md says that clients notice", () => {
  const start = startsClusters({ sticky: false, workers: 1 });
  const KINDS = [
    ["with this adapter", {}],
    ["without it", { adapter: false }],
  ] as const;

  /** What a client has heard until "last", without offsets. */
  const until = async (client: RawWebSocket): Promise<string[]> => {
    await client.untilMessage((message) => message.startsWith('42["last"'));
    const kinds = client.messages.map((message) => String(message).replace(/^40.*$/s, "CONNECT"));
    return kinds.slice(1).map((text) => text.replace(/^42\["(\w+)".*$/s, "$1"));
  };

  test.each(KINDS)("volatile packets of a connection handler, %s", async (kind, how) => {
    const cluster = await start(how);
    const [server] = cluster.workers;
    await server?.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.volatile.emit("volatile");
        socket.emit("last");
      });
    });
    const client = await RawWebSocket.open(server?.port ?? 0);
    const expected = kind === "with this adapter" ? ["CONNECT", "volatile", "last"] : ["CONNECT", "last"];
    expect(await until(client)).toEqual(expected);
    client.close();
  });

  test.each(KINDS)("what a client has missed, %s", async (kind, how) => {
    const cluster = await start({ ...how, io: { connectionStateRecovery: {} } });
    const [server] = cluster.workers;
    const before = await RawWebSocket.open(server?.port ?? 0);
    await server?.run((ctx) => void ctx.io.emit("known"));
    const [connect, known] = await Promise.all(
      ["40", '42["known"'].map((start) => before.untilMessage((message) => message.startsWith(start))),
    );
    const { pid } = JSON.parse(String(connect).slice(2)) as { pid: string };
    const [, offset] = JSON.parse(String(known).slice(2)) as [string, string];
    before.close();
    await server?.run(async (ctx) => {
      await ctx.until(() => ctx.io.sockets.sockets.size === 0);
      ctx.io.emit("missed");
    });
    const client = await RawWebSocket.open(server?.port ?? 0, `40${JSON.stringify({ pid, offset })}`);
    await server?.run((ctx) => void ctx.io.emit("last"));
    const expected = ["CONNECT", "missed", "last"];
    if (kind !== "with this adapter") expected.splice(0, 2, "missed", "CONNECT");
    expect(await until(client)).toEqual(expected);
    client.close();
  });
});

describe("a client of a worker whose primary is silent", () => {
  const start = startsClusters({ sticky: false, workers: 1 });

  test("hears that it is connected as soon as the primary knows, and the rest after that", async () => {
    const { primary, a: worker } = await start();
    await worker.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.conn.once("close", () => ctx.emit("closed"));
        ctx.emit("connection");
      });
    });
    await primary.stop();
    const arrived = worker.next("connection");
    let heard = false;
    const opened = openPolling(worker.url).finally(() => {
      heard = true;
    });
    await arrived;
    await worker.run((ctx) => void ctx.io.emit("news"));
    await worker.run((ctx) => ctx.io.disconnectSockets());
    expect(heard).toBe(false);
    await primary.resume();
    const client = await opened;
    expect(client.first.map((packet) => packet.slice(0, 2))).toEqual(["40", "42", "41"]);
    const closed = worker.next("closed");
    await client.close();
    await closed;
  });
});

test("a worker that stands still while its primary answers has a hub all the same, and warns of nothing", async () => {
  const cluster = await TestCluster.start({
    sticky: false,
    workers: 1,
    // Longer than a worker waits for an answer.
    setUpWorker: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500),
  });
  onTestFinished(() => cluster.close());
  await cluster.untilJoined();
  expect(cluster.output).toBe("");
});
