/** What a client can rely on once it has heard that it is connected. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { openPolling } from "./harness/raw-polling.js";

describe("a client that has heard that it is connected", () => {
  let cluster: TestCluster;
  const clients = new Clients();
  let sender: RemoteWorker;
  let receiver: RemoteWorker;

  beforeEach(async () => {
    cluster = await TestCluster.start({ sticky: false, workers: 2 });
    [sender, receiver] = [cluster.worker(0), cluster.worker(1)];
  });
  afterEach(async () => {
    clients.close();
    await cluster.close();
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

describe("a client of a worker whose primary is silent", () => {
  let cluster: TestCluster;

  beforeEach(async () => {
    cluster = await TestCluster.start({ sticky: false, workers: 1 });
  });
  afterEach(() => cluster.close());

  test("hears that it is connected as soon as the primary knows, and the rest after that", async () => {
    const worker = cluster.worker(0);
    const url = worker.url;
    await worker.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.conn.once("close", () => ctx.emit("closed"));
        ctx.emit("connection");
      });
    });
    await cluster.primary.stop();
    const arrived = worker.next("connection");
    let heard = false;
    const opened = openPolling(url).finally(() => {
      heard = true;
    });
    await arrived;
    await worker.run((ctx) => void ctx.io.emit("news"));
    await worker.run((ctx) => ctx.io.disconnectSockets());
    expect(heard).toBe(false);
    await cluster.primary.resume();
    const client = await opened;
    expect(client.first.map((packet) => packet.slice(0, 2))).toEqual(["40", "42", "41"]);
    const closed = worker.next("closed");
    await client.close();
    await closed;
  });
});
