/** Servers that are put together in other ways: another WebSocket engine, an adapter that is set twice. */
import { afterEach, expect, test } from "vitest";
import { Clients } from "./harness/clients.js";
import { expectTakenAlong } from "./harness/closing-broadcast.js";
import { TestCluster } from "./harness/cluster.js";

let cluster: TestCluster;
const clients = new Clients();

afterEach(async () => {
  clients.close();
  await cluster.close();
});

test("broadcasts of other workers reach clients of a WebSocket engine that is not ws", async () => {
  cluster = await TestCluster.start({ workers: 2, sticky: false });
  const port = await cluster.worker(0).run(async (ctx) => {
    const { WebSocketServer } = (await ctx.import("ws")) as typeof import("ws");
    const { Server } = (await ctx.import("socket.io")) as typeof import("socket.io");
    const { createAdapter } = (await ctx.import("@holdfast/adapter")) as typeof import("@holdfast/adapter");
    const { createServer } = (await ctx.import("node:http")) as typeof import("node:http");
    type Upgrade = Parameters<InstanceType<typeof WebSocketServer>["handleUpgrade"]>;
    // As those of other engines, its sockets have the methods of ws and nothing of its insides.
    class Engine extends WebSocketServer {
      override handleUpgrade(...[request, socket, head, done]: Upgrade): void {
        super.handleUpgrade(request, socket, head, (ws, ...rest) => {
          const shell = new Proxy(ws, {
            get(target, name) {
              if (String(name).startsWith("_")) return undefined;
              const value: unknown = Reflect.get(target, name);
              return typeof value === "function" ? value.bind(target) : value;
            },
          });
          done(shell, ...rest);
        });
      }
    }
    const httpServer = createServer();
    const io = new Server(httpServer, { wsEngine: Engine as never });
    io.adapter(createAdapter({ scope: "other" }));
    await new Promise<void>((done) => void httpServer.listen({ port: 0, exclusive: true }, done));
    return (httpServer.address() as { port: number }).port;
  });
  await cluster.worker(1).run(async (ctx) => {
    const { Server } = (await ctx.import("socket.io")) as typeof import("socket.io");
    const { createAdapter } = (await ctx.import("@holdfast/adapter")) as typeof import("@holdfast/adapter");
    ctx.store.other = new Server();
    ctx.store.other.adapter(createAdapter({ scope: "other" }));
    await ctx.store.other.of("/").adapter.serverCount();
  });
  const client = await clients.connect(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
  const got = Promise.all([client.next("text"), client.next("binary")]);
  await cluster.worker(1).run((ctx) => {
    ctx.store.other.emit("text", "grüße", { a: [1] });
    ctx.store.other.emit("binary", Buffer.from([0, 1, 255]));
  });
  expect(await got).toEqual([["grüße", { a: [1] }], [Buffer.from([0, 1, 255])]]);
});

test.each([
  { recovery: false, negotiated: true },
  { recovery: false, negotiated: false },
  { recovery: true, negotiated: true },
  { recovery: true, negotiated: false },
])(
  "WebSocket clients hear all where messages are compressed: $recovery, $negotiated",
  async ({ recovery, negotiated }) => {
    const io = { perMessageDeflate: { threshold: 0 }, ...(recovery && { connectionStateRecovery: {} }) };
    cluster = await TestCluster.start({ workers: 2, sticky: false, io });
    await cluster.untilJoined();
    const [own, other] = [cluster.worker(0), cluster.worker(1)];
    // While it connects, the engine has more to send, so that frames that are made already go through it.
    await own.run((ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.emit("welcome", "grüße");
        ctx.io.emit("welcome", Buffer.from([0, 1, 255]));
      });
    });
    const client = await clients.connectTo(own, {
      transports: ["websocket"],
      perMessageDeflate: negotiated as never,
    });
    const lost: string[] = [];
    client.socket.on("disconnect", (reason) => lost.push(reason));
    for (const worker of [own, other]) {
      const got = Promise.all([client.next("text"), client.next("binary")]);
      await worker.run((ctx) => {
        ctx.io.emit("text", "grüße");
        ctx.io.emit("binary", Buffer.from([0, 1, 255]));
      });
      expect(await got).toEqual([["grüße"], [Buffer.from([0, 1, 255])]]);
    }
    expect(client.received("welcome")).toEqual([["grüße"], [Buffer.from([0, 1, 255])]]);
    expect(lost).toEqual([]);
  },
);

test("a second adapter for the same server takes the first one's place", async () => {
  cluster = await TestCluster.start({ workers: 2, sticky: false });
  await cluster.untilJoined();
  const servers = await cluster.worker(0).run(async (ctx) => {
    const { createAdapter } = (await ctx.import("@holdfast/adapter")) as typeof import("@holdfast/adapter");
    ctx.io.adapter(createAdapter({ requestsTimeout: 20_000 }));
    return ctx.io.of("/").adapter.serverCount();
  });
  expect(servers).toBe(2);
  const client = await clients.connectTo(cluster.worker(0));
  const got = client.next("m");
  await cluster.worker(1).run((ctx) => void ctx.io.emit("m", 1));
  expect(await got).toEqual([1]);
  expect(await cluster.worker(1).run((ctx) => ctx.io.fetchSockets().then((all) => all.length))).toBe(1);
  expect(cluster.output).toBe("");
});

test("a server that is attached twice treats the clients of both alike", async () => {
  cluster = await TestCluster.start({ workers: 2, sticky: false, io: { perMessageDeflate: true } });
  const [receiver, sender] = [cluster.worker(0), cluster.worker(1)];
  const url = await receiver.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const second = createServer();
    ctx.io.attach(second);
    await new Promise<void>((done) => void second.listen({ port: 0, exclusive: true }, done));
    return `http://127.0.0.1:${(second.address() as { port: number }).port}`;
  });
  await cluster.untilJoined();
  for (const client of [await clients.connect(url), await clients.connectTo(receiver)]) {
    await expectTakenAlong(sender, receiver, client);
  }
});
