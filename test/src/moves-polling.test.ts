/** Sessions whose clients poll move between two polls; their requests follow them. */
import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { httpRequest, RawSocket } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import { openPolling, type RawPolling } from "./harness/raw-polling.js";
import { clientFrame, RawWebSocket } from "./harness/raw-websocket.js";
import { retire } from "./harness/retire.js";

const start = startsClusters(
  {
    workers: 1,
    moves: true,
    // And nothing is over for being slow: on a busy machine, workers take their time to start.
    io: { connectionStateRecovery: {}, upgradeTimeout: 600_000 },
    setUpWorker: (ctx) => {
      ctx.httpServer.keepAliveTimeout = 600_000;
      ctx.io.on("connection", (socket) => {
        socket.on("echo", (value) => socket.emit("echoed", value, ctx.cluster.worker?.id));
      });
    },
  },
  (cluster) => cluster.untilJoined(),
);
const clients = closedAfterEach(new Clients());
const agents = closedAfterEach({
  keepAlive: new Agent({ keepAlive: true }),
  other: new Agent({ keepAlive: true }),
  close() {
    this.keepAlive.destroy();
    this.other.destroy();
  },
});

/** An event that is answered. */
const ECHO = '42["echo",1]';
/** Over connections that are kept, to whichever worker. */
const POST = { method: "POST", agent: agents.other };

/** Has the primary count the sessions that have moved. */
async function countMoves({ primary }: TestCluster): Promise<void> {
  await primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.landed = 0;
    subscribe("holdfast:sticky:landed", () => ctx.store.landed++);
  });
}

function untilMoved({ primary }: TestCluster, sessions: number): Promise<unknown> {
  return primary.run((ctx, count) => ctx.until(() => ctx.store.landed >= count), sessions);
}

/** Polls until something comes that is no "noop" and no ping. */
async function nextPacket({ poll, post }: RawPolling): Promise<string> {
  for (;;) {
    const packets = await poll();
    if (packets.includes("2")) await post("3");
    const found = packets.find((packet) => packet !== "6" && packet !== "2");
    if (found !== undefined) return withoutOffset(found);
  }
}

/** A packet as it would be without connection state recovery. */
function withoutOffset(packet: string): string {
  return packet.replace(/,"[\w-]{4}0[0-9a-z]{9}"\]$/, "]");
}

test("requests in progress are finished, what waits goes along, and all that come later follow", async () => {
  const cluster = await start();
  const open = () => openPolling(cluster.url);
  const [waiting, idle, posting, half] = await Promise.all([open(), open(), open(), open()]);
  const get = { agent: agents.keepAlive };
  const held = httpRequest(waiting.url, get);
  await waiting.untilWaiting(cluster.a);
  const post = { method: "POST", agent: agents.other };
  const sent = await httpRequest(idle.url, post, '42["echo","before"]');
  await half.post('451-["echo",{"_placeholder":true,"num":0}]');
  const upload = beginPost(posting, '42["echo",', '"whole"]');
  await upload.hasBegun(cluster.a);

  const successor = await cluster.fork();
  await cluster.untilJoined();
  await countMoves(cluster);
  const retired = retire(cluster, cluster.a, successor);
  const answer = await held;
  expect([answer.status, answer.text]).toEqual([200, "6"]);
  await untilMoved(cluster, 3);
  // Over the connection that it had, which ends at the old worker.
  const next = httpRequest(waiting.url, get);
  await waiting.untilWaiting(successor);
  await waiting.post('42["echo","later"]');
  const later = await next;
  expect([withoutOffset(later.text), later.localPort]).toEqual([
    `42["echoed","later",${successor.workerId}]`,
    answer.localPort,
  ]);
  upload.finish();
  expect(await upload.answered).toEqual([200, "ok"]);
  expect(await retired).toMatchObject({ outcome: "done", moved: 4, lost: 0, closed: 0 });
  // Nothing of it is needed any more.
  await cluster.a.kill();

  const { workerId } = successor;
  // Over a connection that was idle: it has moved as well.
  expect((await httpRequest(half.url, post, "bAQID")).localPort).toBe(sent.localPort);
  expect(await nextPacket(half)).toBe(`451-["echoed",{"_placeholder":true,"num":0},${workerId}]`);
  expect(await nextPacket(idle)).toBe(`42["echoed","before",${cluster.a.workerId}]`);
  expect(await nextPacket(posting)).toBe(`42["echoed","whole",${cluster.a.workerId}]`);
  const { moves } = await cluster.primary.run((ctx) => ctx.router.stats());
  expect(moves).toMatchObject({ moved: 4, polling: 4, lost: 0, closed: 0 });
});

/** A request with data, of which the end comes later. */
function beginPost({ url, sid }: RawPolling, before: string, after: string) {
  const sent: ClientRequest = request(url, {
    method: "POST",
    agent: false,
    headers: { "content-length": before.length + after.length },
  });
  sent.write(before);
  const answered = once(sent, "response").then(async ([response]: IncomingMessage[]) => {
    const chunks = (await response?.toArray()) as Buffer[];
    return [response?.statusCode, Buffer.concat(chunks).toString()];
  });
  return {
    answered,
    hasBegun: (worker: RemoteWorker) =>
      worker.run(async (ctx, id) => {
        const all = ctx.io.engine as unknown as {
          clients: Record<string, { transport: { dataReq?: object } }>;
        };
        await ctx.until(() => all.clients[id]?.transport.dataReq !== undefined);
      }, sid),
    finish: () => sent.end(after),
  };
}

test("an upgrade is dropped before the client has heard that it works, and waited for after that", async () => {
  const cluster = await start();
  const [early, late] = await Promise.all([openPolling(cluster.url), openPolling(cluster.url)]);
  const [silent, answered] = await Promise.all([
    RawWebSocket.probe(cluster.port, early.sid),
    RawWebSocket.probe(cluster.port, late.sid),
  ]);
  answered.send(clientFrame("2probe"));
  await answered.untilMessage((message) => message === "3probe");
  const successor = await cluster.fork();
  await cluster.untilJoined();
  await countMoves(cluster);
  const retired = retire(cluster, cluster.a, successor);
  await untilMoved(cluster, 1);
  expect(await silent.untilClosed()).not.toBe("cut");
  answered.send(clientFrame("5"));
  expect(await retired).toMatchObject({ outcome: "done", moved: 2, lost: 0, closed: 0 });
  answered.send(clientFrame('42["echo",1]'));
  const echo = `42["echoed",1,${successor.workerId}]`;
  await answered.untilMessage((message) => withoutOffset(message) === echo);
  // The other one can try again, now that its session has come to rest.
  const again = await RawWebSocket.probe(cluster.port, early.sid);
  again.send(clientFrame("2probe"));
  await again.untilMessage((message) => message === "3probe");
  again.send(clientFrame("5"));
  again.send(clientFrame('42["echo",1]'));
  await again.untilMessage((message) => withoutOffset(message) === echo);
  for (const each of [silent, answered, again]) each.close();
  expect(cluster.output).toBe("");
});

test("a session that is upgraded until it is its turn moves with its WebSocket", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => {
        socket.on("echo", (value) => socket.emit("echoed", value, ctx.cluster.worker?.id));
      });
      // A client that joins it is not at rest, so that the others wait for their turn.
      ctx.io.of("/slow").use((_socket, next) => {
        ctx.store.letIn = next;
        ctx.emit("asked");
      });
    },
  });
  const first = await RawWebSocket.open(cluster.port);
  const { sid } = await openPolling(cluster.url);
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const asked = cluster.a.next("asked");
  first.send(clientFrame("40/slow,"));
  await asked;
  const retired = retire(cluster, cluster.a, successor, { window: 1 });
  await cluster.a.run(async (ctx) => {
    const { clients } = ctx.io.engine as unknown as {
      clients: Record<string, { transport: { socket?: { isPaused: boolean } } }>;
    };
    await ctx.until(() => Object.values(clients).some(({ transport }) => transport.socket?.isPaused));
  });
  const upgraded = await RawWebSocket.probe(cluster.port, sid);
  upgraded.send(clientFrame("2probe"));
  await upgraded.untilMessage((message) => message === "3probe");
  upgraded.send(clientFrame("5"));
  upgraded.send(clientFrame(ECHO));
  await upgraded.untilMessage((message) => withoutOffset(message).startsWith('42["echoed",1'));
  await cluster.a.run((ctx) => ctx.store.letIn());
  expect(await retired).toMatchObject({ outcome: "done", moved: 2, lost: 0, closed: 0 });
  await cluster.a.kill();
  for (const each of [first, upgraded]) {
    each.send(clientFrame('42["echo",2]'));
    await each.untilMessage((message) => withoutOffset(message) === `42["echoed",2,${successor.workerId}]`);
    each.close();
  }
});

test("a session that begins while a worker closes its last ones begins at the successor", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.httpServer.keepAliveTimeout = 600_000;
      ctx.httpServer.on("request", (req, res) => {
        if (req.url === "/where") res.end(`worker ${ctx.cluster.worker?.id}.`);
      });
    },
  });
  const { a } = cluster;
  const staying = await openPolling(cluster.url);
  const upload = beginPost(staying, '42["echo",', '"whole"]');
  // It is never complete.
  upload.answered.catch(() => {});
  await upload.hasBegun(a);
  const late = await RawSocket.open(cluster.port);
  late.write("GET /where HTTP/1.1\r\nHost: x\r\n\r\n");
  await late.until((text) => text.includes(`worker ${a.workerId}.`));
  late.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n");
  const successor = await cluster.fork();
  await cluster.untilJoined();
  const retired = retire(cluster, a, successor, { drainTimeout: 0, spread: 0 });
  await a.run(async (ctx, sid) => {
    const { clients } = ctx.io.engine as unknown as { clients: Record<string, { readyState: string }> };
    await ctx.until(() => clients[sid]?.readyState !== "open");
  }, staying.sid);
  late.write("\r\n");
  const opened = await late.until((text) => text.includes("pingTimeout"));
  const [, sid] = /"sid":"([^"]+)"/.exec(opened) as unknown as [string, string];
  expect(await retired).toMatchObject({ outcome: "done", closed: 1, lost: 0 });
  await a.kill();
  const url = `${cluster.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  expect((await httpRequest(url, POST, "40")).status).toBe(200);
  expect((await httpRequest(url, { agent: agents.other })).text).toMatch(/^40/);
  late.close();
});

test("requests find a session that has moved again and again, by whichever worker", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  const all = await Promise.all(
    Array.from({ length: 6 }, () =>
      clients.connect(cluster.url, { transports: ["polling"], agent: agents.keepAlive } as object),
    ),
  );
  const ends: string[] = [];
  for (const { socket } of all) socket.on("disconnect", (reason) => ends.push(reason));
  const where = async () => {
    const answers = all.map((client) => client.next("echoed"));
    for (const { socket } of all) socket.emit("echo", 1);
    return new Set((await Promise.all(answers)).map(([, workerId]) => workerId as number));
  };
  expect(await where()).toEqual(new Set([a.workerId, b.workerId]));
  let last = a;
  for (let i = 0; i < 2; i++) {
    const successor = await cluster.fork();
    await cluster.untilJoined();
    expect(await retire(cluster, last, successor)).toMatchObject({ outcome: "done", lost: 0, closed: 0 });
    await last.kill();
    expect(await where()).toEqual(new Set([successor.workerId, b.workerId]));
    last = successor;
  }
  // Its successor has been started after the first had gone.
  expect(await retire(cluster, b, last)).toMatchObject({ outcome: "done", lost: 0, closed: 0 });
  await b.kill();
  expect(await where()).toEqual(new Set([last.workerId]));
  expect(ends).toEqual([]);
});

test("while sessions move, an upgrade of one that is nowhere is refused, and does not go around between two workers", async () => {
  const cluster = await start();
  const { a } = cluster;
  const { id } = await clients.connect(cluster.url);
  const { sid } = await openPolling(cluster.url);
  const successor = await cluster.fork();
  await cluster.untilJoined();
  await countMoves(cluster);
  await a.run((ctx, socketId) => {
    const socket = ctx.io.sockets.sockets.get(socketId);
    if (socket) socket.data.symbol = Symbol("no encoded form");
  }, id);
  // One cannot move, so that it is not over yet when the other has.
  const retired = retire(cluster, a, successor, { drainTimeout: 600_000 });
  retired.catch(() => {});
  await untilMoved(cluster, 1);
  const raw = await RawSocket.open(cluster.port);
  raw.write(
    `GET /socket.io/?EIO=4&transport=websocket&sid=${sid.slice(0, -4)}none HTTP/1.1\r\nHost: localhost\r\n` +
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await raw.until("400 Bad Request");
  raw.close();
});

test("where a part of the sessions moves, clients that poll stay", async () => {
  const cluster = await start();
  const client = await clients.connect(cluster.url, { transports: ["polling"] });
  const other = await cluster.fork();
  await cluster.untilJoined();
  const result = await cluster.primary.run(
    (ctx, from, to) => ctx.router.moveSessions({ id: from }, { id: to }),
    cluster.a.workerId,
    other.workerId,
  );
  expect(result).toMatchObject({ outcome: "done", moved: 0, lost: 0, left: { polling: 1 } });
  const echoed = client.next("echoed");
  client.socket.emit("echo", 1);
  expect(await echoed).toEqual([1, cluster.a.workerId]);
});

test("connections that are idle go to the successor, however many there are", async () => {
  const count = 400;
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.httpServer.keepAliveTimeout = 60_000;
      ctx.httpServer.on("request", (req, res) => {
        if (req.url === "/where") res.end(`worker ${ctx.cluster.worker?.id}.`);
      });
    },
  });
  const idle = await Promise.all(Array.from({ length: count }, () => RawSocket.open(cluster.port)));
  const ask = () =>
    Promise.all(
      idle.map(async (raw) => {
        const before = raw.text.length;
        raw.write("GET /where HTTP/1.1\r\nHost: x\r\n\r\n");
        const text = await raw.until((received) => received.slice(before).includes("worker"));
        return text.slice(before).match(/worker \d+/)?.[0];
      }),
    );
  try {
    expect(new Set(await ask())).toEqual(new Set([`worker ${cluster.a.workerId}`]));
    const successor = await cluster.fork();
    await cluster.untilJoined();
    expect(await retire(cluster, cluster.a, successor)).toMatchObject({ outcome: "done" });
    expect(new Set(await ask())).toEqual(new Set([`worker ${successor.workerId}`]));
  } finally {
    for (const raw of idle) raw.close();
  }
});

test("what the successor does before it knows of a session is done to it, however quickly it is up there", async () => {
  const cluster = await start({
    setUpWorker: (ctx) => {
      ctx.io.on("connection", (socket) => void socket.join("room"));
    },
  });
  const polling = await openPolling(cluster.url);
  await cluster.a.run((ctx) => ctx.until(() => ctx.io.of("/").adapter.rooms.has("room")));
  const successor = await cluster.fork();
  await cluster.untilJoined();
  // It says that it is ready, and stands still while the hub gives it the session and the primary sends it the state.
  // Then it sends, before it has read either. The hub hears of that when the session is up: until then it stands still.
  await successor.run((ctx, primary) => {
    const GIVING = 23;
    const act = async () => {
      ctx.block(1_000);
      process.kill(primary, "SIGSTOP");
      const room = ctx.io.in("room");
      room.emit("news");
      ctx.store.answers = room.timeout(20_000).emitWithAck("question");
      ctx.store.sockets = room.fetchSockets();
      ctx.io.in("room").except("nobody's").socketsJoin("other");
      ctx.io.in("room").except("room").socketsJoin("excepted");
      const isUp = ctx.until(() => ctx.io.of("/").sockets.size === 1);
      await isUp.finally(() => process.kill(primary, "SIGCONT"));
    };
    process.on("message", (message: { "holdfast:sticky"?: [number] }) => {
      if (message["holdfast:sticky"]?.[0] === GIVING) setImmediate(act);
    });
  }, cluster.primary.pid);
  await retire(cluster, cluster.a, successor);
  const got: string[] = [];
  while (got.length < 2) got.push(...(await polling.poll()).filter((packet) => packet.startsWith("42")));
  const [news = "", question = ""] = got;
  expect([withoutOffset(news), question]).toEqual(['42["news"]', '420["question"]']);
  await polling.post('430["answer"]');
  const seen = await successor.run(async (ctx) => {
    const sockets = (await ctx.store.sockets) as { id: string; rooms: Set<string> }[];
    const [socket] = ctx.io.of("/").sockets.values();
    return {
      answers: await ctx.store.answers,
      sockets: sockets.map(({ id }) => id === socket?.id),
      rooms: [...(socket?.rooms ?? [])].filter((room) => room !== socket?.id),
    };
  });
  expect(seen).toEqual({ answers: ["answer"], sockets: [true], rooms: ["room", "other"] });
});
