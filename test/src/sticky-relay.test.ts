/** Relayed requests: to the application they are as they would be directly, and an owner's trouble is its own. */
import { once } from "node:events";
import { linkSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { within } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

const sockets = closedAfterEach({
  open: [] as Socket[],
  close() {
    for (const socket of this.open.splice(0)) socket.destroy();
  },
});

const start = startsClusters(
  { workers: 2, adapter: false, stickyOptions: { loadBalancingMethod: "round-robin" } },
  (cluster) => Promise.all(cluster.workers.map(tellId)),
);

const PATH = "/socket.io/?EIO=4&transport=polling";
const CRLF = "\r\n";

/** And nothing is closed for being idle: on a busy machine, tests take their time. */
async function tellId(worker: RemoteWorker): Promise<void> {
  await worker.run((ctx) => {
    ctx.httpServer.keepAliveTimeout = 0;
    ctx.httpServer.on("request", (req, res) => {
      if (req.url === "/id") res.end(`worker ${ctx.cluster.worker?.id}`);
    });
  });
}

const byId = (cluster: TestCluster, id: number): RemoteWorker => {
  const worker = cluster.workers.find(({ workerId }) => workerId === id);
  if (!worker) throw new Error(`no worker ${id}`);
  return worker;
};

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A client's connection that is kept alive, with raw requests on it, one after the other. */
class Client {
  readonly socket: Socket;
  #text = "";
  #onChange = () => {};

  constructor(cluster: TestCluster) {
    this.socket = connect(cluster.port, "127.0.0.1");
    sockets.open.push(this.socket);
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk) => {
      this.#text += chunk.toString("latin1");
      this.#onChange();
    });
    this.socket.on("close", () => this.#onChange());
  }

  get received(): string {
    return this.#text;
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** The next answer. */
  async answer(what = "answer", ms?: number): Promise<Answer> {
    const found = new Promise<Answer>((resolve, reject) => {
      this.#onChange = () => {
        const answer = this.#take();
        if (answer) resolve(answer);
        else if (this.socket.destroyed) reject(new Error(`closed before the ${what}: ${this.#text}`));
      };
      this.#onChange();
    });
    try {
      return await within(found, what, ms);
    } finally {
      this.#onChange = () => {};
    }
  }

  async ask(head: string, body = ""): Promise<Answer> {
    this.write(`${head}${CRLF}Host: x${CRLF}Content-Length: ${Buffer.byteLength(body)}${CRLF}${CRLF}${body}`);
    return this.answer(`answer to ${head.slice(0, 60)}`);
  }

  async closed(): Promise<string> {
    if (!this.socket.destroyed) await within(once(this.socket, "close"), "end of the connection");
    return this.#text;
  }

  #take(): Answer | undefined {
    const end = this.#text.indexOf(CRLF + CRLF);
    if (end < 0) return undefined;
    const head = this.#text.slice(0, end);
    const status = Number(head.slice(9, 12));
    const rest = this.#text.slice(end + 4);
    if (/^transfer-encoding: chunked/im.test(head)) {
      // Short answers come in one chunk.
      const chunk = /^[0-9a-f]+\r\n(.*?)\r\n0\r\n\r\n/is.exec(rest);
      if (!chunk) return undefined;
      this.#text = rest.slice(chunk[0].length);
      return { status, head, body: chunk[1] ?? "" };
    }
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (rest.length < length) return undefined;
    this.#text = rest.slice(length);
    return { status, head, body: rest.slice(0, length) };
  }
}

/** A connection to that worker. */
async function clientAt(cluster: TestCluster, workerId: number): Promise<Client> {
  for (let i = 0; i < 100; i++) {
    const client = new Client(cluster);
    if ((await client.ask("GET /id HTTP/1.1")).body === `worker ${workerId}`) return client;
    client.socket.destroy();
  }
  throw new Error(`no connection came to worker ${workerId}`);
}

/** A connected polling session of the worker that `client` is at. */
async function openSession(client: Client): Promise<string> {
  const { body } = await client.ask(`GET ${PATH} HTTP/1.1`);
  const { sid } = JSON.parse(body.slice(1)) as { sid: string };
  await client.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "40");
  expect((await client.ask(`GET ${PATH}&sid=${sid} HTTP/1.1`)).body).toMatch(/^40/);
  return sid;
}

/** A session of worker 1 and two connections: the session's own, and one at worker 2. */
async function stray(cluster: TestCluster): Promise<{ home: Client; away: Client; sid: string }> {
  const [home, away] = await Promise.all([clientAt(cluster, 1), clientAt(cluster, 2)]);
  return { home, away, sid: await openSession(home) };
}

/** Runs as an Engine.IO middleware of that worker: for requests with this field, in place of Engine.IO. */
async function answerInstead(
  worker: RemoteWorker,
  answer: (
    req: import("node:http").IncomingMessage,
    res: import("node:http").ServerResponse,
    ctx: WorkerContext,
  ) => void,
): Promise<void> {
  await worker.run((ctx, source) => {
    const instead = new Function(`return (${source});`)();
    type Next = () => void;
    ctx.io.engine.use((req: import("node:http").IncomingMessage, res: never, next: Next) =>
      req.headers["x-instead"] ? instead(req, res, ctx) : next(),
    );
  }, answer.toString());
}

const INSTEAD = `${CRLF}X-Instead: 1`;

/** Counts the requests that a worker gets from now on, and those whose connections have closed. */
async function countRequests(
  worker: RemoteWorker,
): Promise<(what: "came" | "left", count: number) => Promise<void>> {
  await worker.run((ctx) => {
    ctx.store.came = 0;
    ctx.store.left = 0;
    ctx.httpServer.on("request", (_, res) => {
      ctx.store.came++;
      res.once("close", () => {
        if (!res.writableFinished) ctx.store.left++;
      });
    });
  });
  return (what, count) =>
    worker.run(
      async (ctx, name, wanted) => {
        while (ctx.store[name] < wanted) await new Promise(setImmediate);
      },
      what,
      count,
    );
}

const descriptors = ({ pid }: RemoteWorker): number => readdirSync(`/proc/${pid}/fd`).length;

test("a busy owner's sessions live: 800 polls wait for it, over one connection", {
  timeout: 90_000,
}, async () => {
  // No poll is answered with a ping.
  const cluster = await start({ io: { pingInterval: 600_000 } });
  const owner = byId(cluster, 1);
  const home = await clientAt(cluster, 1);
  const sids: string[] = [];
  for (let i = 0; i < 800; i++) sids.push(await openSession(home));
  const away: Client[] = [];
  for (let i = 0; i < 800; i++) away.push(await clientAt(cluster, 2));
  const fence = await clientAt(cluster, 2);
  const before = { owner: descriptors(owner), relay: descriptors(byId(cluster, 2)) };
  await owner.stop();
  for (const [i, client] of away.entries())
    client.write(`GET ${PATH}&sid=${sids[i]} HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}`);
  await fence.ask("GET /id HTTP/1.1");
  const during = { owner: descriptors(owner), relay: descriptors(byId(cluster, 2)) };
  await owner.resume();
  const answers = Promise.all(away.map((client) => client.answer("answer to a poll")));
  await owner.run(async (ctx, all) => {
    type Client = { transport: { writable: boolean } };
    const { clients } = ctx.io.engine as never as { clients: Record<string, Client> };
    while (!all.every((sid) => clients[sid]?.transport.writable)) await new Promise(setImmediate);
    ctx.io.emit("hello");
  }, sids);
  expect(new Set((await answers).map(({ status, body }) => `${status} ${body}`))).toEqual(
    new Set(['200 42["hello"]']),
  );
  expect(during.owner - before.owner).toBeLessThan(10);
  expect(during.relay - before.relay).toBeLessThan(10);
  expect(cluster.output).toBe("");
});

test("forged session ids, pipelined, hold up nobody else's requests", async () => {
  const cluster = await start();
  const { home, away, sid } = await stray(cluster);
  const strangers = await Promise.all(Array.from({ length: 9 }, () => clientAt(cluster, 2)));
  // Of many more on one connection, Node.js stops reading when it has 16 KiB of answers that wait for the first.
  const each = 100;
  await byId(cluster, 1).stop();
  const forged = `GET ${PATH}&sid=${sid.slice(0, 10)}forged HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}`;
  const until = await countRequests(byId(cluster, 2));
  for (const stranger of strangers) stranger.write(forged.repeat(each));
  await until("came", strangers.length * each);
  const posted = away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3");
  await until("came", strangers.length * each + 1);
  await byId(cluster, 1).resume();
  expect(await posted).toMatchObject({ status: 200, body: "ok" });
  for (const stranger of strangers) {
    const statuses: number[] = [];
    for (let i = 0; i < each; i++) statuses.push((await stranger.answer()).status);
    expect(statuses.filter((status) => status === 400).length).toBeGreaterThanOrEqual(64);
    expect(new Set(statuses)).toEqual(new Set([400, 503]));
  }
  expect((await home.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
});

test("requests of clients that have gone do not reach the owner when it is back", async () => {
  const cluster = await start();
  const { home, sid } = await stray(cluster);
  const owner = byId(cluster, 1);
  const gone = await Promise.all(Array.from({ length: 20 }, () => clientAt(cluster, 2)));
  const last = await clientAt(cluster, 2);
  const until = await countRequests(byId(cluster, 2));
  // Without a link yet, they wait in the relaying worker.
  await owner.stop();
  const head = `POST ${PATH}&sid=${sid} HTTP/1.1${CRLF}Host: x${CRLF}Content-Length: 1${CRLF}${CRLF}`;
  for (const client of gone) client.write(`${head}3`);
  await until("came", 20);
  for (const client of gone) client.socket.resetAndDestroy();
  await until("left", 20);
  const answered = last.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3");
  await until("came", 21);
  await owner.resume();
  expect((await answered).status).toBe(200);
  expect((await home.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
  expect(await owner.run((ctx) => ctx.sticky.stats().forwardedIn)).toBe(1);
});

test.each(["GET", "POST", "PUT", "DELETE"])(
  "a request that ends its owner ends no other worker, and gets 502: %s",
  async (method) => {
    const cluster = await start({ workers: 3 });
    const { away, sid } = await stray(cluster);
    for (const worker of cluster.workers) await answerInstead(worker, () => process.exit(9));
    const victim = byId(cluster, 1);
    const answer = await away.ask(
      `${method} ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}`,
      method === "GET" ? "" : "3",
    );
    expect(answer.status).toBe(502);
    await within(victim.gone, "end of the owner");
    expect(cluster.workers).toHaveLength(2);
    // The connection goes on, and now the owner is gone before anything is sent.
    const after = await away.ask(`GET ${PATH}&sid=${sid} HTTP/1.1`);
    expect(after).toMatchObject({ status: 400, body: '{"code":1,"message":"Session ID unknown"}' });
  },
);

test("an upgrade that ends its owner ends no other worker, and its client's connection", async () => {
  const cluster = await start({ workers: 3 });
  const { away, sid } = await stray(cluster);
  for (const worker of cluster.workers) await answerInstead(worker, () => process.exit(9));
  const victim = byId(cluster, 1);
  const fields = [
    "Host: x",
    "X-Instead: 1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
  ];
  const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  const path = `/socket.io/?EIO=4&transport=websocket&sid=${sid}`;
  away.write([`GET ${path} HTTP/1.1`, ...fields, key, "", ""].join(CRLF));
  expect(await away.closed()).toMatch(/^HTTP\/1\.1 502 |^$/);
  await within(victim.gone, "end of the owner");
  expect(cluster.workers.map(({ workerId }) => workerId)).toEqual([2, 3]);
});

test("an owner that ends in the middle of its answer cuts it off", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  await answerInstead(byId(cluster, 1), (_, res) => {
    res.writeHead(200, { "Content-Length": 100 });
    res.write("half");
    setImmediate(() => setImmediate(() => process.exit(9)));
  });
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`);
  const owner = byId(cluster, 1);
  expect(await away.closed()).toMatch(/^HTTP\/1\.1 200 .*half$/s);
  await within(owner.gone, "end of the owner");
  expect(cluster.workers.map(({ workerId }) => workerId)).toEqual([2]);
});

test("an application that closes the connection closes the client's", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  await answerInstead(byId(cluster, 1), (req) => void req.socket.destroy());
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`);
  expect(await away.closed()).toBe("");
});

test("Connection: close of the application closes the client's connection", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  await answerInstead(byId(cluster, 1), (_, res) => {
    res.writeHead(200, { Connection: "close", "Content-Length": 2 }).end("ok");
  });
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`);
  expect(await away.closed()).toMatch(/\r\nConnection: close\r\n.*ok$/s);
});

/** What the application sees of a request, told by itself. */
const tellAll = (req: import("node:http").IncomingMessage, res: import("node:http").ServerResponse): void => {
  const { method, url, httpVersion, rawHeaders, headers } = req;
  const { remoteAddress, remoteFamily, localAddress, localPort } = req.socket;
  let bytes = 0;
  req.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  req.on("end", () => {
    const addresses = { remoteAddress, remoteFamily, localAddress, localPort };
    const kind = req.constructor.name;
    const seen = {
      method,
      url,
      httpVersion,
      rawHeaders,
      headers,
      addresses,
      bytes,
      trailers: req.trailers,
      kind,
    };
    const text = JSON.stringify(seen);
    res.writeHead(200, { "Content-Length": Buffer.byteLength(text) }).end(text);
  });
};

test("to the application, a relayed request is what it would be directly", async () => {
  const cluster = await start({
    workerModule: new URL("../dist/fixtures/http-options.js", import.meta.url).href,
  });
  const { home, away, sid } = await stray(cluster);
  await answerInstead(byId(cluster, 1), tellAll);
  const target = `${PATH}&sid=${sid}`;
  const chunked = `Transfer-Encoding: chunked${CRLF}${CRLF}`;
  const requests = {
    plain: `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`,
    "no host": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}${CRLF}`,
    "fields of the connection": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Connection: keep-alive, X-Own${CRLF}X-Own: 1${CRLF}TE: trailers${CRLF}Keep-Alive: 300${CRLF}${CRLF}`,
    "odd bytes": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}X-Latin: \xe9\xff${CRLF}x-ODD:   a  b  ${CRLF}X-Empty:${CRLF}${CRLF}`,
    "what only a lenient parser takes": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}X-Control: a\x01b${CRLF}${CRLF}`,
    "the same field again": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}X-A: 1${CRLF}X-A: 2${CRLF}Cookie: a=1${CRLF}Cookie: b=2${CRLF}${CRLF}`,
    "a large head": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Cookie: a=${"x".repeat(50_000)}${CRLF}${CRLF}`,
    "a body": `POST ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Content-Length: 5${CRLF}${CRLF}abcde`,
    "a body of another method": `DELETE ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Content-Length: 5${CRLF}${CRLF}abcde`,
    "a body with GET": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Content-Length: 5${CRLF}${CRLF}abcde`,
    chunks: `POST ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${chunked}3${CRLF}abc${CRLF}0${CRLF}${CRLF}`,
    trailers: `POST ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Trailer: X-T${CRLF}${chunked}1${CRLF}a${CRLF}0${CRLF}X-T: \xe9${CRLF}${CRLF}`,
    "HTTP/1.0": `GET ${target} HTTP/1.0${INSTEAD}${CRLF}Connection: keep-alive${CRLF}${CRLF}`,
    "HTTP/1.0 with a body": `POST ${target} HTTP/1.0${INSTEAD}${CRLF}Connection: keep-alive${CRLF}Content-Length: 1${CRLF}${CRLF}a`,
    "Expect: 100-continue": `POST ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Expect: 100-continue${CRLF}Content-Length: 1${CRLF}${CRLF}a`,
    // Newer versions of Node.js answer 431, and close the connection.
    "1,500 fields": `GET ${target} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${`X-N: 1${CRLF}`.repeat(1_500)}${CRLF}`,
  };
  let served = 0;
  const seen = async (client: Client, text: string): Promise<unknown> => {
    client.write(text);
    let answer = await client.answer();
    if (answer.status === 100) answer = await client.answer();
    if (answer.status === 200) served++;
    const length = answer.body && (JSON.parse(answer.body) as unknown);
    const fields = answer.head.split(CRLF).filter((line) => !line.startsWith("Date"));
    return [fields.filter((line) => !line.startsWith("Content-Length")), length];
  };
  for (const [name, text] of Object.entries(requests)) {
    expect([name, await seen(away, text)]).toEqual([name, await seen(home, text)]);
  }
  expect(served / 2).toBeGreaterThanOrEqual(Object.keys(requests).length - 1);
  expect(await byId(cluster, 2).run((ctx) => ctx.sticky.stats().relayed)).toBe(served / 2);
});

test("a trailer that only HTTP/1.1 has kills nobody over HTTP/1.0", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  // As it is right in plain Node.js: HTTP/1.0 gets none.
  await answerInstead(byId(cluster, 1), (req, res) => {
    if (req.httpVersion !== "1.1") return void res.end("none");
    res.setHeader("Trailer", "x-t");
    res.write("a");
    res.addTrailers({ "x-t": "1" });
    res.end();
  });
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.0${INSTEAD}${CRLF}${CRLF}`);
  expect(await away.closed()).toMatch(/none$/);
  expect(cluster.workers).toHaveLength(2);
  expect(cluster.output).toBe("");
});

test("an upload that its client gives up is given up at the owner", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  const owner = byId(cluster, 1);
  await answerInstead(owner, (req, _, ctx) => {
    req.once("data", () => ctx.emit("began"));
    req.once("close", () => ctx.emit("ended", { complete: req.complete, destroyed: req.socket.destroyed }));
  });
  const began = owner.next("began");
  const ended = owner.next("ended");
  away.write(
    `POST ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Content-Length: 1000${CRLF}${CRLF}begin`,
  );
  await began;
  away.socket.resetAndDestroy();
  expect(await ended).toEqual({ complete: false, destroyed: true });
});

test("a download that its client gives up is given up at the owner", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  const owner = byId(cluster, 1);
  await answerInstead(owner, (_, res, ctx) => {
    res.writeHead(200, { "Content-Length": 1_000_000_000 });
    const chunk = Buffer.alloc(65_536);
    const more = () => {
      while (res.write(chunk));
      res.once("drain", more);
    };
    more();
    res.once("close", () => ctx.emit("ended", { finished: res.writableFinished, destroyed: res.destroyed }));
  });
  const ended = owner.next("ended");
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`);
  await within(once(away.socket, "data"), "beginning of the answer");
  away.socket.destroy();
  expect(await ended).toEqual({ finished: false, destroyed: true });
});

test("the application may answer before the body comes", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  await answerInstead(
    byId(cluster, 1),
    (_, res) => void res.writeHead(403, { "Content-Length": 2 }).end("no"),
  );
  away.write(
    `POST ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}Content-Length: 5${CRLF}${CRLF}`,
  );
  expect(await away.answer()).toMatchObject({ status: 403, body: "no" });
  // The rest of the body belongs to the first request; the connection goes on behind it.
  away.write("abcde");
  expect((await away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
});

test("a worker whose server is closed finishes what it relays, and the session lives", async () => {
  const cluster = await start();
  const { home, away, sid } = await stray(cluster);
  const owner = byId(cluster, 1);
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}`);
  await owner.run(async (ctx, id) => {
    type Client = { transport: { writable: boolean } };
    const { clients } = ctx.io.engine as never as { clients: Record<string, Client> };
    while (!clients[id]?.transport.writable) await new Promise(setImmediate);
  }, sid);
  await byId(cluster, 2).run((ctx) => void ctx.httpServer.close());
  await owner.run((ctx) => void ctx.io.emit("still here"));
  expect((await away.answer("answer to the poll")).body).toBe('42["still here"]');
  expect((await home.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
});

test("an owner whose server is closed does not know the session, and says so", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  expect((await away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
  await byId(cluster, 1).run((ctx) => void ctx.httpServer.close());
  const { status, body } = await away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3");
  expect([status, body]).toEqual([400, '{"code":1,"message":"Session ID unknown"}']);
});

test("workers that have relayed to each other end by themselves", async () => {
  const cluster = await start();
  const { home, away, sid } = await stray(cluster);
  // A session that is open would keep its worker.
  expect((await away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "1")).status).toBe(200);
  home.socket.destroy();
  away.socket.destroy();
  const gone = Promise.all(cluster.workers.map((worker) => worker.gone));
  await Promise.all(cluster.workers.map((worker) => worker.run((ctx) => ctx.release())));
  await cluster.primary.run((ctx) => ctx.cluster.disconnect());
  await within(gone, "end of the workers");
});

/** The file of that worker's private socket. */
function socketOf(cluster: TestCluster, workerId: number): string {
  const [directory, ...others] = readdirSync(cluster.directory).filter((name) =>
    name.startsWith("holdfast-"),
  );
  if (directory === undefined || others.length > 0)
    throw new Error(`not one in ${readdirSync(cluster.directory)}`);
  return join(cluster.directory, directory, String(workerId));
}

test("as many as the system allows may wait at the private socket of a worker that stands still", async () => {
  const cluster = await start();
  const { away, sid } = await stray(cluster);
  const owner = byId(cluster, 1);
  await owner.stop();
  // Node.js's own limit is 511.
  const count = Math.min(1_000, Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8")));
  const waiting = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(socketOf(cluster, 1));
      sockets.open.push(socket);
      await within(once(socket, "connect"), "connection to the private socket");
      return socket;
    }),
  );
  const poll = away.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3");
  await owner.resume();
  expect(await poll).toMatchObject({ status: 200, body: "ok" });
  for (const socket of waiting) socket.destroy();
});

test.each([
  ["the worker that relays", 2],
  ["a third worker", 3],
])("a socket that leads to %s: requests wait until the owner has it back", async (_, wrong) => {
  const cluster = await start({ workers: 3 });
  const [owner, relaying, misled] = [1, 2, wrong].map((id) => byId(cluster, id)) as [
    RemoteWorker,
    RemoteWorker,
    RemoteWorker,
  ];
  const { home, away, sid } = await stray(cluster);
  await answerInstead(owner, (_, res) => void res.writeHead(200, { "Content-Length": 4 }).end("mine"));
  const before = cluster.workers.map(descriptors);
  // While it stands still it cannot notice.
  await owner.stop();
  rmSync(socketOf(cluster, 1));
  linkSync(socketOf(cluster, wrong), socketOf(cluster, 1));
  const refused = relaying.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    let refusals = 0;
    await new Promise<void>((resolve) => {
      subscribe("holdfast:sticky:failure", () => {
        refusals++;
        if (refusals === 3) resolve();
      });
    });
  });
  away.write(`GET ${PATH}&sid=${sid} HTTP/1.1${INSTEAD}${CRLF}Host: x${CRLF}${CRLF}`.repeat(50));
  await refused;
  for (const [i, worker] of cluster.workers.entries())
    expect(descriptors(worker)).toBeLessThan((before[i] ?? 0) + 10);
  expect(await misled.run((ctx) => ctx.sticky.stats().forwardedIn)).toBe(0);
  await cluster.primary.run((ctx) => {
    ctx.store.warned = new Promise((resolve) => {
      ctx.router.once("warning", ({ code }: { code: string }) => resolve(code));
    });
  });
  await owner.resume();
  for (let i = 0; i < 50; i++) expect(await away.answer()).toMatchObject({ status: 200, body: "mine" });
  expect(await cluster.primary.run((ctx) => ctx.store.warned)).toBe("HOLDFAST_ERR_PRIVATE_DIRECTORY");
  expect((await home.ask(`POST ${PATH}&sid=${sid} HTTP/1.1`, "3")).status).toBe(200);
  expect(await owner.run((ctx) => ctx.sticky.stats().forwardedIn)).toBe(50);
  expect(cluster.workers).toHaveLength(3);
  expect(cluster.output).toBe("");
});
