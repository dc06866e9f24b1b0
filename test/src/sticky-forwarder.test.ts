/** Requests at the wrong worker: relayed or moved to the owner of their session. */

import { once } from "node:events";
import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import { connect } from "node:net";
import { type HttpAnswer, httpRequest, RawSocket, within } from "@holdfast/harness";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { startsClusters } from "./harness/after-each.js";
import type { TestCluster } from "./harness/cluster.js";

const start = startsClusters({
  workers: 3,
  adapter: false,
  setUpWorker: (ctx) => {
    ctx.httpServer.on("request", (req, res) => {
      if (!req.url?.startsWith("/socket.io/")) res.end("plain");
    });
    ctx.io.on("connection", (socket) => {
      socket.on("echo", (value, answer) => answer(value, ctx.cluster.worker?.id));
    });
  },
});

type Place = Pick<TestCluster, "port" | "url">;

function send(cluster: Place, path: string, options: RequestOptions = {}, body = ""): Promise<HttpAnswer> {
  return httpRequest(cluster.url + path, options, body);
}

const PATH = "/socket.io/?EIO=4&transport=polling";

/** Opens a polling session, with the connection that brings it to a worker by turns. */
async function open(cluster: Place, options: RequestOptions = {}): Promise<string> {
  const { text } = await send(cluster, PATH, options);
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  await post(cluster, sid, "40", options);
  const { text: connected } = await send(cluster, `${PATH}&sid=${sid}`, options);
  expect(connected).toMatch(/^40\{"sid"/);
  return sid;
}

async function post(cluster: Place, sid: string, body: string, options: RequestOptions = {}): Promise<void> {
  const { text } = await send(cluster, `${PATH}&sid=${sid}`, { ...options, method: "POST" }, body);
  expect(text).toBe("ok");
}

async function owners(cluster: TestCluster): Promise<Map<string, number>> {
  const lists = await Promise.all(
    cluster.workers.map((w) =>
      w.run((ctx) => Object.keys((ctx.io.engine as never as { clients: object }).clients)),
    ),
  );
  return new Map(lists.flatMap((list, i) => list.map((sid) => [sid, cluster.worker(i).workerId] as const)));
}

test("one keep-alive connection serves sessions of all workers, by turns", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = await Promise.all(Array.from({ length: 6 }, () => open(cluster)));
  const owner = await owners(cluster);
  expect(new Set(owner.values()).size).toBe(3);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  for (let round = 0; round < 3; round++) {
    for (const sid of sids) {
      await post(cluster, sid, `420["echo",${round}]`, { agent });
      const { text, headers, localPort } = await send(cluster, `${PATH}&sid=${sid}`, { agent });
      ports.add(localPort);
      expect(text).toBe(`430[${round},${owner.get(sid)}]`);
      expect(headers["content-type"]).toBe("text/plain; charset=UTF-8");
    }
  }
  expect(ports.size).toBe(1);
  agent.destroy();
});

test("pipelined requests of different sessions are answered in order", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = await Promise.all(Array.from({ length: 3 }, () => open(cluster)));
  const owner = await owners(cluster);
  const socket = new RawSocket(cluster.port);
  for (const sid of sids) {
    const body = '420["echo","x"]';
    socket.write(
      `POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    socket.write(`GET ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
  }
  const text = await socket.until((received) => (received.match(/430\["x",\d\]/g) ?? []).length === 3);
  expect(text.match(/430\["x",\d\]/g)).toEqual(sids.map((sid) => `430["x",${owner.get(sid)}]`));
  socket.close();
});

test("a WebSocket upgrade at the wrong worker moves to the owner, with what the client sends at once", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = await Promise.all(Array.from({ length: 3 }, () => open(cluster)));
  const owner = await owners(cluster);
  // A first request decides the worker of a connection; the upgrade follows on the same one.
  for (const sid of sids) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await send(cluster, "/plain", { agent });
    const socket = new WebSocket(`${cluster.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`, { agent });
    socket.on("error", () => {});
    await within(once(socket, "open"), "WebSocket");
    socket.send("2probe");
    expect(String((await within(once(socket, "message"), "probe"))[0])).toBe("3probe");
    socket.send("5");
    socket.send('421["echo","y"]');
    const messages: string[] = [];
    await within(
      new Promise<void>((resolve) =>
        socket.on("message", (data) => {
          messages.push(String(data));
          if (String(data).startsWith("43")) resolve();
        }),
      ),
      "echo",
    );
    expect(messages).toContain(`431["y",${owner.get(sid)}]`);
    socket.terminate();
    agent.destroy();
  }
});

test("a client that ends its side after a request gets what a single process would answer", async () => {
  /** Status and body of the answers on a connection whose last request comes with its end. */
  const ask = async (cluster: Place, request: string) => {
    const raw = new RawSocket(cluster.port);
    raw.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n");
    await raw.until("plain");
    raw.end(request);
    const answers = (await raw.whole()).split(/(?=HTTP\/1\.1 )/).slice(1);
    return answers.map((answer) => [answer.slice(0, 12), answer.split("\r\n\r\n")[1]]);
  };
  const get = (sid: string) => `GET ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const post = (sid: string, body: string) =>
    `POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const single = await start({ single: true, sticky: false });
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  for (const each of [single.worker(0), ...Array<Place>(4).fill(cluster)]) {
    const sid = await open(each);
    for (const headers of ["", "Connection: close\r\n"]) {
      const withFields = (request: string) => request.replace("Host: x\r\n", `Host: x\r\n${headers}`);
      const value = `"${"x".repeat(100_000)}"`;
      expect(await ask(each, withFields(post(sid, `420["echo",${value}]`)))).toEqual([
        ["HTTP/1.1 200", "ok"],
      ]);
      const [answer] = await ask(each, withFields(get(sid)));
      expect(answer?.[0]).toBe("HTTP/1.1 200");
      expect(answer?.[1]).toContain(`430[${value}`);
      const [refusal] = await ask(each, withFields(post("unknown", "3")));
      expect(refusal?.[0]).toBe("HTTP/1.1 400");
    }
    // Nothing waits for it: the connection ends, and the session with its poll.
    expect(await ask(each, get(sid))).toEqual([]);
    await within(
      (async () => {
        while ((await send(each, `${PATH}&sid=${sid}`, { method: "POST" }, "3")).status !== 400);
      })(),
      "end of the session",
    );
  }
});

test("the request and its answer go through unchanged", async () => {
  const cluster = await start({
    stickyOptions: { loadBalancingMethod: "round-robin" },
    io: { cors: { origin: "https://example.com", credentials: true }, cookie: true, maxHttpBufferSize: 1e7 },
  });
  const sid = await open(cluster);
  await cluster.a.run((ctx) => {
    ctx.io.engine.use((req: IncomingMessage, _: unknown, next: () => void) => {
      ctx.store.seen = { headers: req.rawHeaders, url: req.url, address: req.socket.remoteAddress };
      next();
    });
  });
  const headers = {
    "X-Odd-CASE": "a  b",
    Cookie: "a=1; b=2",
    Origin: "https://example.com",
    "Holdfast-Secret": "x",
  };
  const answers: HttpAnswer[] = [];
  for (let i = 0; i < 3; i++) {
    answers.push(await send(cluster, `${PATH}&sid=${sid}`, { method: "POST", headers }, "3"));
    const seen = await cluster.a.run((ctx) => ctx.store.seen);
    expect(seen.url).toBe(`${PATH}&sid=${sid}`);
    expect(seen.address).toBe("127.0.0.1");
    expect(seen.headers).toEqual(expect.arrayContaining(["X-Odd-CASE", "a  b", "Holdfast-Secret", "x"]));
  }
  for (const { headers, text } of answers) {
    expect(text).toBe("ok");
    expect(headers["access-control-allow-origin"]).toBe("https://example.com");
  }
  const big = "x".repeat(3e6);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) {
    await send(cluster, "/plain");
    await post(cluster, sid, `42${i}["echo","${big}"]`, { agent });
    const { text } = await send(cluster, `${PATH}&sid=${sid}`, { agent });
    expect(text).toBe(`43${i}["${big}",1]`);
  }
  agent.destroy();
});

test("a session whose owner is gone is unknown, for polls and for upgrades", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = await Promise.all(Array.from({ length: 3 }, () => open(cluster)));
  const owner = await owners(cluster);
  const victim = cluster.worker(0);
  const sid = sids.find((id) => owner.get(id) === victim.workerId) ?? "";
  await victim.kill();
  for (const method of ["GET", "POST", "PUT"]) {
    for (let i = 0; i < 3; i++) {
      const body = method === "GET" ? "" : "3";
      const { status, text } = await send(cluster, `${PATH}&sid=${sid}`, { method }, body);
      expect(status).toBe(400);
      expect(JSON.parse(text)).toEqual({ code: 1, message: "Session ID unknown" });
    }
  }
  const socket = new RawSocket(cluster.port);
  socket.write(
    `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n` +
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await socket.until("Session ID unknown");
});

test("a client that gives up its poll ends it at the owner", async () => {
  const cluster = await start({ stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sid = await open(cluster);
  const closed = cluster.a.run((ctx, id) => {
    const { clients } = ctx.io.engine as never as { clients: Record<string, NodeJS.EventEmitter> };
    return new Promise((resolve) => clients[id]?.on("close", resolve));
  }, sid);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await send(cluster, "/plain", { agent });
  const outgoing = request(`${cluster.url}${PATH}&sid=${sid}`, { agent });
  outgoing.on("error", () => {});
  outgoing.end();
  await cluster.a.run(async (ctx, id) => {
    type Client = { transport: NodeJS.EventEmitter & { writable: boolean } };
    const { transport } = (ctx.io.engine as never as { clients: Record<string, Client> }).clients[
      id
    ] as Client;
    if (!transport.writable) await new Promise((resolve) => transport.once("ready", resolve));
  }, sid);
  outgoing.destroy();
  expect(await closed).toBe("transport error");
  agent.destroy();
});

test("a body that is too large is refused while it comes, and the way to the owner stays sound", async () => {
  const cluster = await start({
    stickyOptions: { loadBalancingMethod: "round-robin" },
    io: { maxHttpBufferSize: 1_000 },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) {
    const sid = await open(cluster);
    for (const size of [2_000, 3e6]) {
      const socket = new RawSocket(cluster.port);
      socket.write(`POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
      const answer = socket.until(/^HTTP\/1.1 (413|400) /);
      const chunk = "4".repeat(1_000);
      for (let sent = 0; sent < size && !socket.socket.destroyed; sent += chunk.length) socket.write(chunk);
      await answer;
      socket.close();
    }
    const fresh = await open(cluster);
    await post(cluster, fresh, '420["echo","z"]', { agent });
    expect((await send(cluster, `${PATH}&sid=${fresh}`, { agent })).text).toMatch(/^430\["z",\d\]$/);
  }
  agent.destroy();
});

test("a chunked body and a slow reader of a large answer, across workers", async () => {
  const cluster = await start({
    stickyOptions: { loadBalancingMethod: "round-robin" },
    io: { maxHttpBufferSize: 2e7 },
  });
  const size = 8e6;
  for (let i = 0; i < 3; i++) {
    const sid = await open(cluster);
    await send(cluster, "/plain");
    const text = `420["echo","${"x".repeat(size)}"]`;
    const socket = new RawSocket(cluster.port);
    socket.write(
      `POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`,
    );
    for (let at = 0; at < text.length; at += 100_000) {
      const part = text.slice(at, at + 100_000);
      socket.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    }
    socket.write("0\r\n\r\n");
    await socket.until((answer) => answer.endsWith("ok"));
    socket.close();
    await send(cluster, "/plain");
    const reader = connect(cluster.port, "127.0.0.1");
    reader.write(`GET ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let received = 0;
    reader.on("data", (chunk) => {
      received += chunk.length;
      reader.pause();
      setImmediate(() => reader.resume());
    });
    await within(once(reader, "close"), "end of the answer");
    expect(received).toBeGreaterThan(size);
  }
});

test("a body whose length is told by fields of which some parsers make another one arrives as it does directly", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = [await open(cluster), await open(cluster)];
  const body = `420["echo","${"x".repeat(200_000)}"]`;
  // Newer versions of Node.js refuse it.
  const odd = (sid = "") =>
    `POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const plain = (sid = "") => `POST ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n6`;
  const [direct, relayed] = [new RawSocket(cluster.port), new RawSocket(cluster.port)];
  direct.write(odd(sids[1]));
  const expected = /^HTTP\/1.1 (200|400) /.exec(await direct.until(/^HTTP\/1.1 (200 .*ok|400 )/s))?.[1];
  relayed.write(plain(sids[0]));
  await relayed.until(/ok$/);
  relayed.write(odd(sids[1]));
  const answers = await relayed.until(/ok.*(\r\n\r\nok|HTTP\/1.1 4\d\d )/s);
  expect([...answers.matchAll(/HTTP\/1.1 (\d+) /g)].map(([, status]) => status)).toEqual(["200", expected]);
  for (const socket of [direct, relayed]) socket.close();
  if (expected !== "200") return;
  const { text } = await send(cluster, `${PATH}&sid=${sids[1]}`);
  expect(text.split("\x1e").map((packet) => packet.length)).toEqual([200_009, 200_009]);
});

test("a worker whose connection is on its way to a primary that is killed ends like the others", async () => {
  const cluster = await start({ workers: 2, stickyOptions: { loadBalancingMethod: "round-robin" } });
  const sids = [await open(cluster), await open(cluster)];
  const owner = await owners(cluster);
  const [worker] = cluster.workers;
  const elsewhere = sids.find((sid) => owner.get(sid) !== worker?.workerId);
  const raws = [new RawSocket(cluster.port), new RawSocket(cluster.port)];
  for (const raw of raws) {
    raw.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n");
    await raw.until("plain");
  }
  for (const each of cluster.workers)
    await each.run(async (ctx) => {
      const { subscribe } = await ctx.import("node:diagnostics_channel");
      subscribe("holdfast:sticky:move", () => {
        ctx.store.moved = true;
      });
    });
  await cluster.primary.stop();
  // By one of them it comes to the wrong worker, which gives the connection to the primary.
  for (const raw of raws)
    raw.write(
      `GET /socket.io/?EIO=4&transport=websocket&sid=${elsewhere} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
  await worker?.run((ctx) => ctx.until(() => ctx.store.moved));
  const all = Promise.all(cluster.workers.map(({ gone }) => gone));
  await cluster.primary.kill();
  await within(all, "end of the workers");
});
