/** The relay with both ends in one process: what an owner or a client does wrong hurts nobody else. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import { PrivateServer } from "../../dist/worker/private-server.js";
import { Relay } from "../../dist/worker/relay.js";

const releases: (() => unknown)[] = [];

afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

interface Pair {
  readonly owner: Server;
  readonly front: Server;
  readonly relay: Relay;
  readonly port: number;
  readonly http2Port: number;
}

/** A front that relays all it gets, and an owner that serves it. @param options of both */
async function pair(serve: RequestListener, options: ServerOptions = {}): Promise<Pair> {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  releases.push(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "1");
  const owner = createServer(options, serve);
  const privateServer = new PrivateServer(
    { secret: "secret", numberOf: () => 1 },
    (name) => (name === "default" ? owner : undefined),
    new AwaitedStreams(),
  );
  const listener = createNetServer({ allowHalfOpen: true }, (socket) => privateServer.accept(socket));
  await listening(listener.listen(path));
  const door = () => ({ number: 1, path, secret: "secret" });
  const host = { door, mayLive: async () => false, onTrouble: () => {} };
  const relay = new Relay(host, () => {}, { way: undefined });
  const forward = (request: IncomingMessage, response: ServerResponse) =>
    relay.request(1, "default", request, response, () => void response.writeHead(400).end("here"));
  const front = createServer(options, forward);
  front.on("upgrade", (request, socket, head) =>
    relay.upgrade(1, "default", request, socket, head, () => socket.destroy()),
  );
  const http2Front = createHttp2Server(forward as never);
  await Promise.all([listening(front.listen(0, "127.0.0.1")), listening(http2Front.listen(0, "127.0.0.1"))]);
  releases.push(() => {
    relay.close();
    listener.close();
    front.close();
    front.closeAllConnections();
    http2Front.close();
  });
  const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;
  return { owner, front, relay, port: portOf(front), http2Port: portOf(http2Front) };
}

async function listening(server: { once: NodeJS.EventEmitter["once"] }): Promise<void> {
  await once(server as NodeJS.EventEmitter, "listening");
}

/** Sends `text`, and once `next` may be asked for, that; gives all that comes until the end. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(text, "latin1");
  return everything(socket);
}

async function everything(socket: Socket): Promise<string> {
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  await once(socket, "close");
  return received;
}

const CRLF = "\r\n";
const anyText = fc.string({ unit: "binary-ascii", maxLength: 12 });
const anyLine = fc.oneof(
  fc.constantFrom(
    ...["Content-Length: 3", "Content-Length: 0", "Content-Length: 99", "Content-Length: x", "Trailer: x"],
    ...[
      "Transfer-Encoding: chunked",
      "Transfer-Encoding: gzip, chunked",
      "Connection: close",
      "Connection: x",
    ],
    ...["Keep-Alive: timeout=1", "Upgrade: h2c", "Set-Cookie: a=1", ": x", "x", " folded", "a b: c", ""],
    ...["Date: \x01", "X: \xff", "Status: 1", ":status: 200", "Content-Type: text/plain"],
  ),
  fc.tuple(anyText, anyText).map(([name, value]) => `${name}: ${value}`),
);
const anyStatus = fc.oneof(
  fc.constantFrom(
    "200 OK",
    "204 No Content",
    "304 Not Modified",
    "100 Continue",
    "101 Switching",
    "103 Early",
  ),
  fc.constantFrom("999 \x00", "000 x", "200 \xff\xfe", "600", "20 x", "200"),
);
const anyBody = fc.oneof(fc.constantFrom("", "abc", "3\r\nabc\r\n0\r\n\r\n", "0\r\nX: y\r\n\r\n"), anyText);
/** Mostly what looks like an answer: bytes at random would all fall at the first hurdle. */
const anyAnswer = fc.oneof(
  { arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)), weight: 1 },
  {
    arbitrary: fc
      .tuple(anyStatus, fc.array(anyLine, { maxLength: 5 }), anyBody)
      .map(([status, lines, body]) =>
        Buffer.from(
          `HTTP/1.1 ${status}${CRLF}${lines.map((line) => line + CRLF).join("")}${CRLF}${body}`,
          "latin1",
        ),
      ),
    weight: 6,
  },
);
const anyEnd = fc.constantFrom("end" as const, "destroy" as const);

/** An owner whose application writes past its own response. */
async function oddOwner(): Promise<Pair & { next(answer: Buffer, end: "end" | "destroy"): void }> {
  let odd: { answer: Buffer; end: "end" | "destroy" } | undefined;
  const both = await pair((request, response) => {
    if (request.url === "/fine" || !odd) return void response.end("fine");
    request.socket.write(odd.answer);
    request.socket[odd.end]();
  });
  return {
    ...both,
    next: (answer, end) => {
      odd = { answer, end };
    },
  };
}

test.each(["1.0", "1.1"])(
  "whatever an owner answers, nothing throws, and the client is not left alone, HTTP/%s",
  async (version) => {
    const owner = await oddOwner();
    const method = fc.constantFrom("GET", "HEAD", "POST");
    await fc.assert(
      fc.asyncProperty(anyAnswer, anyEnd, method, async (answer, end, verb) => {
        owner.next(answer, end);
        const head = `HTTP/${version}${CRLF}Host: x${CRLF}Connection: close${CRLF}`;
        const received = await exchange(owner.port, `${verb} / ${head}Content-Length: 0${CRLF}${CRLF}`);
        if (received !== "") expect(received).toMatch(/^HTTP\/1\.1 [1-9]\d\d /);
        expect(await exchange(owner.port, `GET /fine ${head}${CRLF}`)).toMatch(/fine$/);
      }),
      { numRuns: 400 },
    );
  },
  60_000,
);

test("after an odd answer, the next request of the connection gets its own answer or none", async () => {
  const owner = await oddOwner();
  await fc.assert(
    fc.asyncProperty(anyAnswer, anyEnd, async (answer, end) => {
      owner.next(answer, end);
      const received = await exchange(
        owner.port,
        `GET / HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}GET /fine HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${CRLF}`,
      );
      // The first was answered, or the connection is gone; either way, there is nothing behind the second.
      const second = received.lastIndexOf("HTTP/1.1 200 OK");
      if (received.endsWith("fine"))
        expect(received.slice(second)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nfine$/s);
    }),
    { numRuns: 300 },
  );
}, 60_000);

test("whatever an owner answers, an HTTP/2 client gets an answer or the end of its stream", async () => {
  const owner = await oddOwner();
  const session = connectHttp2(`http://127.0.0.1:${owner.http2Port}`);
  session.on("error", () => {});
  releases.push(() => session.destroy());
  const ask = async (path: string): Promise<[unknown, string]> => {
    const stream = session.request({ ":path": path });
    let status: unknown;
    let text = "";
    stream.on("response", (headers) => {
      status = headers[":status"];
    });
    // The end of the stream is an answer, too.
    stream.on("error", () => {});
    stream.on("data", (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => stream.once("close", resolve));
    return [status, text];
  };
  await fc.assert(
    fc.asyncProperty(anyAnswer, anyEnd, async (answer, end) => {
      owner.next(answer, end);
      await ask("/");
      expect(await ask("/fine")).toEqual([200, "fine"]);
    }),
    { numRuns: 300 },
  );
}, 60_000);

const anyField = fc.oneof(
  fc.constantFrom(
    ...[
      "Expect: 100-continue",
      "TE: trailers",
      "Trailer: X-T",
      "Connection: close",
      "Connection: keep-alive, x",
    ],
    ...[
      "Connection: Content-Length, Host",
      "Keep-Alive: x",
      "Proxy-Connection: x",
      "X: \xff",
      "x-ODD:  a ",
      "X:",
    ],
    ...["Cookie: a=1", "Cookie: b=2", "Content-Type: a", "Content-Type: b", "Upgrade: h2c", "Origin: x"],
  ),
  fc.nat(1_500).map((count) => Array.from({ length: count }, (_, i) => `X-${i}: ${i}`).join(CRLF)),
);
/** What a strict parser refuses, or Node.js itself answers. */
const anyOddField = fc.oneof(
  fc.constantFrom(
    ...[
      "Expect: x",
      "Expect: 100-continue, x",
      "Host: y",
      "Host: ",
      " folded",
      "X: a\r\n folded",
      "\tfolded",
    ],
    ...[
      "X: a\x01b",
      ": x",
      "a b: c",
      "X",
      ":path: /",
      "X: a\nY: b",
      "Content-Length: 0",
      "Content-Length: -1",
    ],
    ...["Transfer-Encoding: gzip", "Transfer-Encoding: chunked, identity", "Content-Length: 3, 3"],
    ...["Transfer-Encoding:", "Proxy-Connection: Upgrade\t", "Connection: \x01\r\n , upgrade"],
  ),
  fc.tuple(anyText, anyText).map(([name, value]) => `${name}: ${value}`),
);
const anyUpgrade = fc
  .tuple(
    fc.constantFrom(
      ...["Upgrade", "upgrade, close", "keep-alive, Upgrade", "keep-alive, Upgrade\t"],
      ...["Upgrade, Sec-WebSocket-Key", "Upgrade\r\n\tfolded", "UPGRADE"],
    ),
    fc.constantFrom("websocket", "", "h2c", "websocket, \xff", "WebSocket/13", "x".repeat(5_000)),
    anyText,
  )
  .map(([connection, upgrade, first]) => ({
    fields: [`Connection: ${connection}`, `Upgrade: ${upgrade}`],
    body: first,
  }));
const anySized = fc
  .tuple(fc.constantFrom(0, 1, 3, 70_000), fc.constantFrom(-1, 0, 0, 0, 5))
  .map(([length, more]) => ({
    fields: [`Content-Length: ${length}`],
    body: "x".repeat(Math.max(0, length + more)),
  }));
const anyChunks = fc.constantFrom(
  ...["3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nX-T: \xff\r\nX-T: y\r\n\r\n", "3;x=y\r\nabc\r\n0\r\n\r\n"],
  ...[
    "0\r\nContent-Length: 9\r\n\r\n",
    "0\r\n\r\n",
    `11170\r\n${"x".repeat(70_000)}\r\n0\r\n\r\n`,
    "0\r\nodd one\r\n\r\n",
  ],
  ...[
    "3\r\nabcdef",
    "zz\r\n",
    "-1\r\n",
    "ffffffffffffffffff\r\na",
    "3\nabc\n0\n\n",
    '3;x="y\r\nabc\r\n',
    "3\r\nab",
  ],
  "0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
);
const anyFraming = fc.oneof(
  fc.constant({ fields: [], body: "" }),
  anySized,
  anyChunks.map((body) => ({ fields: ["Transfer-Encoding: chunked"], body })),
  anyUpgrade,
);
const anyRequest = fc
  .record({
    method: fc.constantFrom(
      ...["GET", "POST", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"],
    ),
    target: fc.constantFrom("/", "/early", "/?a=\xff", "http://x/early", "http://y:1/", "*", "//x", "?"),
    version: fc.constantFrom("1.1", "1.1", "1.0"),
    fields: fc.array(anyField, { maxLength: 3 }),
    odd: fc.option(anyOddField, { freq: 3 }),
    framing: anyFraming,
  })
  .map(({ method, target, version, fields, odd, framing }) => {
    const lines = [`${method} ${target} HTTP/${version}`, "Host: x", ...fields, ...framing.fields];
    if (odd !== null) lines.splice(1 + (odd.length % lines.length), 0, odd);
    return lines.join(CRLF) + CRLF + CRLF + framing.body;
  });

test.each([
  ["strict", false],
  ["lenient", true],
])(
  "whatever a client sends, nothing throws, it is answered or closed, and nothing is left of it, %s parsers",
  async (_, insecureHTTPParser) => {
    const thrown: unknown[] = [];
    const onThrown = (error: unknown) => void thrown.push(error);
    process.on("uncaughtExceptionMonitor", onThrown).on("warning", onThrown);
    releases.push(() => process.off("uncaughtExceptionMonitor", onThrown).off("warning", onThrown));
    const { owner, front, relay, port } = await pair(
      (request, response) => {
        if (request.url?.includes("early")) return void response.end("early");
        request.resume().on("end", () => response.end("fine"));
      },
      { insecureHTTPParser },
    );
    const streams = new Set<Socket>();
    const counts = { run: 0, request: 0, upgrade: 0 };
    const [due, strays] = [new Map<string, number>(), [] as string[]];
    for (const event of ["request", "upgrade"] as const) {
      const count = ({ method, url, headers }: IncomingMessage, more: number) => {
        const key = `${event} ${method} ${url} ${headers.run}`;
        if (due.set(key, (due.get(key) ?? 0) + more).get(key) === -1) strays.push(key);
      };
      front.prependListener(event, (request) => count(request, 1));
      owner
        .prependListener(event, (request) => count(request, -1))
        .prependListener(event, () => counts[event]++);
    }
    const keep = (socket: Socket) => {
      if (!streams.has(socket)) streams.add(socket.once("close", () => streams.delete(socket)));
    };
    owner.on("request", ({ socket }: IncomingMessage) => keep(socket));
    owner.on("upgrade", (request: IncomingMessage, socket: Socket) => {
      keep(socket.on("error", () => {}));
      if (request.headers.upgrade !== "websocket")
        return void socket.resume().end(`HTTP/1.1 400 No${CRLF}${CRLF}`);
      socket.write(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}`);
      socket.pipe(socket);
    });
    const cut = fc.option(fc.nat(400), { nil: undefined, freq: 1 });
    const end = fc.constantFrom("end" as const, "reset" as const);
    await fc.assert(
      fc.asyncProperty(anyRequest, cut, fc.nat(400), end, async (whole, cutAt, pauseAt, how) => {
        const text = whole.replace(CRLF, `${CRLF}Run: ${++counts.run}${CRLF}`).slice(0, cutAt);
        const socket = connect(port, "127.0.0.1").on("error", () => {});
        let answer = "";
        socket.setEncoding("latin1").on("data", (chunk) => {
          answer += chunk;
        });
        const closed = new Promise((resolve) => socket.once("close", resolve));
        socket.write(text.slice(0, pauseAt), "latin1");
        await new Promise(setImmediate);
        const rest = Buffer.from(text.slice(pauseAt), "latin1");
        if (how === "end") socket.end(rest);
        else socket.write(rest, () => socket.resetAndDestroy());
        await closed;
        if (answer !== "") expect(answer).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
        const fine = `POST / HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}Content-Length: 1${CRLF}${CRLF}x`;
        expect(await exchange(port, fine)).toMatch(/fine$/);
        // No part of a request becomes another one behind the relay.
        expect(strays).toEqual([]);
        expect(thrown).toEqual([]);
      }),
      { numRuns: 500 },
    );
    const open = () => new Promise<number>((resolve) => front.getConnections((_, count) => resolve(count)));
    await expect.poll(open).toBe(0);
    await expect.poll(() => streams.size).toBe(0);
    expect(relay.carried("default")).toEqual([]);
    expect(counts.request).toBeGreaterThan(540);
    expect(counts.upgrade).toBeGreaterThan(3);
  },
  90_000,
);

test("what the fields mean that Node.js drops for their number is kept: bodies and upgrades", async () => {
  const { owner, port } = await pair((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += chunk;
    });
    request.on("end", () => response.end(`${request.method} ${request.url} ${text}`));
  });
  owner.on("upgrade", (request: IncomingMessage, socket: Socket) => {
    socket.end(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}${request.method} ${request.url}`).resume();
  });
  const many = `X: 1${CRLF}`.repeat(1_100);
  const next = `GET /next HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${CRLF}`;
  const ask = (head: string, fields: string, rest: string) =>
    exchange(port, `${head}${CRLF}Host: x${CRLF}${many}${fields}${CRLF}${CRLF}${rest}`);
  const sized = await ask("POST / HTTP/1.1", "Content-Length: 3", `abc${next}`);
  if (sized.startsWith("HTTP/1.1 431 ")) return; // So do newer versions of Node.js, and drop none.
  expect(sized).toMatch(/\r\nPOST \/ abcHTTP.*\r\nGET \/next $/s);
  const chunked = await ask(
    "POST / HTTP/1.1",
    "Transfer-Encoding: chunked",
    `3${CRLF}abc${CRLF}0${CRLF}${CRLF}${next}`,
  );
  expect(chunked).toMatch(/\r\nPOST \/ abcHTTP.*\r\nGET \/next $/s);
  expect(await ask("POST / HTTP/1.0", "Content-Length: 3", "abc")).toMatch(/\r\nPOST \/ abc$/);
  expect(await ask("GET / HTTP/1.1", "X: 2", next)).toMatch(/\r\nGET \/ HTTP.*\r\nGET \/next $/s);
  const upgraded = await ask("GET / HTTP/1.1", `Connection: Upgrade${CRLF}Upgrade: x`, next);
  expect(upgraded).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n\r\nGET \/$/);
});

test("an ordinary request that has as many fields as are kept stays what it is", async () => {
  const { owner, front, port } = await pair(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    response.end(`${request.headers["content-length"]} ${body}`);
  });
  owner.on("upgrade", ({ headers: { connection, upgrade } }: IncomingMessage, socket: Socket) => {
    socket.end(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}${connection} ${upgrade}`).resume();
  });
  front.maxHeadersCount = 3;
  const ask = (fields: string, rest: string) =>
    exchange(
      port,
      `POST / HTTP/1.1${CRLF}Host: x${CRLF}${fields}${CRLF}X: 1${CRLF}Connection: close${CRLF}${CRLF}${rest}`,
    );
  const empty = await ask("Content-Length: 0", "");
  if (empty.startsWith("HTTP/1.1 431 ")) return;
  expect(empty).toMatch(/\r\nundefined $/);
  expect(await ask("Content-Length: 3", "abc")).toMatch(/\r\nundefined abc$/);
  const upgrade = `GET / HTTP/1.1${CRLF}Host: x${CRLF}X: 1${CRLF}Connection: Upgrade${CRLF}Upgrade: websocket${CRLF}${CRLF}`;
  expect(await exchange(port, upgrade)).toMatch(/\r\n\r\nUpgrade websocket$/);
});

test("an HTTP/2 client gets all values of a field, and no field of HTTP/1", async () => {
  const { http2Port } = await pair((_, response) => {
    response.setHeader("Set-Cookie", ["a=1", "b=2"]);
    response.writeHead(200, { Connection: "close", "Keep-Alive": "timeout=5" });
    response.end("x");
  });
  const session = connectHttp2(`http://127.0.0.1:${http2Port}`);
  releases.push(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  expect(headers).toMatchObject({ ":status": 200, "set-cookie": ["a=1", "b=2"] });
  expect(Object.keys(headers)).not.toContain("keep-alive");
  stream.resume();
  await once(stream, "close");
});

test("trailers go both ways", async () => {
  const { port } = await pair((request, response) => {
    request.resume().on("end", () => {
      response.writeHead(200, { Trailer: "x-seen" });
      response.write("body");
      response.addTrailers({ "x-seen": String(request.trailers["x-sent"]) });
      response.end();
    });
  });
  const received = await exchange(
    port,
    `POST / HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}Trailer: x-sent${CRLF}` +
      `Transfer-Encoding: chunked${CRLF}${CRLF}1${CRLF}a${CRLF}0${CRLF}x-sent: there and back${CRLF}${CRLF}`,
  );
  expect(received).toMatch(/\r\n4\r\nbody\r\n0\r\nx-seen: there and back\r\n\r\n$/);
});

test("bodies of any size arrive byte by byte, both ways, however they are framed", async () => {
  const { port } = await pair((request, response) => void request.pipe(response));
  const size = fc.constantFrom(1, 1_000, 65_536, 300_000, 1_000_000);
  await fc.assert(
    fc.asyncProperty(size, fc.boolean(), fc.nat(255), async (bytes, isChunked, seed) => {
      const sent = Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 31 + seed) & 255));
      const socket = connect(port, "127.0.0.1");
      const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes}`;
      socket.write(`POST / HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${framing}${CRLF}${CRLF}`);
      if (isChunked) socket.write(bytes.toString(16) + CRLF);
      socket.write(sent);
      if (isChunked) socket.write(`${CRLF}0${CRLF}${CRLF}`);
      const received = await everything(socket);
      let body = received.slice(received.indexOf(CRLF + CRLF) + 4);
      let whole = "";
      // The owner's answer has no length, so it comes in chunks.
      for (;;) {
        const end = body.indexOf(CRLF);
        const length = Number.parseInt(body.slice(0, end), 16);
        if (length === 0) break;
        whole += body.slice(end + 2, end + 2 + length);
        body = body.slice(end + 4 + length);
      }
      expect(whole === sent.toString("latin1")).toBe(true);
    }),
    { numRuns: 40 },
  );
}, 60_000);

test("a slow reader holds up its own answer only, and costs no memory", async () => {
  const total = 200_000_000;
  let written = 0;
  const { port } = await pair((request, response) => {
    if (request.url !== "/much") return void response.end("quick");
    const chunk = Buffer.alloc(100_000);
    const more = () => {
      while (written < total) {
        written += chunk.length;
        if (!response.write(chunk)) return void response.once("drain", more);
      }
      response.end();
    };
    more();
  });
  const slow = connect(port, "127.0.0.1");
  slow.write(`GET /much HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}`);
  await once(slow, "readable");
  slow.pause();
  for (let i = 0; i < 20; i++) {
    const quick = await exchange(port, `GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${CRLF}`);
    expect(quick).toMatch(/quick$/);
  }
  // What the window, the kernel's buffers and the streams' take.
  expect(written).toBeLessThan(20_000_000);
  slow.destroy();
});

test("connections that it carries for other workers are told apart", async () => {
  const { owner, relay, port } = await pair(() => {});
  owner.on("upgrade", (_request, socket) => {
    socket.on("error", () => {}).write(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}`);
  });
  const clients = await Promise.all(
    [1, 2].map(async () => {
      const client = connect(port, "127.0.0.1").on("error", () => {});
      client.write(`GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: Upgrade${CRLF}Upgrade: x${CRLF}${CRLF}`);
      await once(client, "data");
      return client;
    }),
  );
  expect(new Set(relay.carried("default").map(({ id }) => id)).size).toBe(2);
  for (const client of clients) client.destroy();
});

test("the connection of a client that does not read is there until it is cut", async () => {
  const { owner, front, relay, port } = await pair(() => {});
  owner.on("upgrade", (_request, socket) => {
    socket.on("error", () => {}).write(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}`);
    socket.write(Buffer.alloc(32 * 2 ** 20));
  });
  const upgraded = once(front, "upgrade");
  const client = connect(port, "127.0.0.1")
    .pause()
    .on("error", () => {});
  client.write(`GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: Upgrade${CRLF}Upgrade: x${CRLF}${CRLF}`);
  const [, connection] = (await upgraded) as [IncomingMessage, Socket];
  await expect.poll(() => connection.writableNeedDrain).toBe(true);
  const carried = relay.carried("default");
  expect(carried).toHaveLength(1);
  for (const session of carried) session.close();
  expect([relay.carried("default").length, connection.destroyed]).toEqual([1, false]);
  const closed = once(connection, "close");
  for (const session of carried) session.cut();
  await closed;
  expect(relay.carried("default")).toEqual([]);
  client.destroy();
});

test("an upgrade at a server that ends is refused: its client would have to begin anew soon", async () => {
  const { owner, relay, port } = await pair(() => {});
  owner.on("upgrade", (_request, socket) => socket.end(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}`));
  const upgrade = `GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: Upgrade${CRLF}Upgrade: x${CRLF}${CRLF}`;
  expect(await exchange(port, upgrade)).toMatch(/^HTTP\/1.1 101 /);
  relay.leave("default");
  expect(await exchange(port, upgrade)).toMatch(/^HTTP\/1.1 503 /);
});

test("the end of the first of several relays is told to the owner behind all of them", async () => {
  const [first, second] = [await pair(() => {}), await pair(() => {})];
  first.owner.on("upgrade", (request, socket, head) =>
    second.relay.upgrade(1, "default", request, socket, head, () => socket.destroy()),
  );
  second.owner.on("upgrade", (_request, socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols${CRLF}${CRLF}`);
    socket.once("leaving", () => socket.end("bye"));
  });
  const client = connect(first.port, "127.0.0.1");
  client.write(`GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: Upgrade${CRLF}Upgrade: x${CRLF}${CRLF}`);
  await once(client, "readable");
  first.relay.leave("default");
  expect(await everything(client)).toMatch(/^HTTP\/1.1 101 .*bye$/s);
});

test("what an application keeps with a connection is not seen by another client's request", async () => {
  const { port } = await pair((request, response) => {
    const socket = request.socket as Socket & { user?: string };
    if (request.headers.user) socket.user = String(request.headers.user);
    response.end(`user ${socket.user}`);
  });
  const kept = connect(port, "127.0.0.1");
  const answers: string[] = [];
  kept.on("data", (chunk) => answers.push(...(String(chunk).match(/user \w+/g) ?? [])));
  const ask = async (field: string) => {
    kept.write(`GET / HTTP/1.1${CRLF}Host: x${CRLF}${field}${CRLF}`);
    await once(kept, "data");
  };
  await ask(`User: anna${CRLF}`);
  for (let i = 0; i < 5; i++) {
    const other = await exchange(port, `GET / HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${CRLF}`);
    expect(other).toMatch(/user undefined$/);
  }
  await ask("");
  expect(answers).toEqual(["user anna", "user anna"]);
  kept.destroy();
});

test("idle connections that the owner closes cost no request, of whatever method", async () => {
  const { owner, port } = await pair((request, response) => {
    request.resume().on("end", () => response.end("fine"));
  });
  owner.keepAliveTimeout = 1;
  (owner as { keepAliveTimeoutBuffer?: number }).keepAliveTimeoutBuffer = 0;
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  for (let i = 1; i <= 200; i++) {
    const body = i % 2 === 0 ? "" : "body";
    socket.write(
      `${body === "" ? "GET" : "POST"} / HTTP/1.1${CRLF}Host: x${CRLF}Content-Length: ${body.length}${CRLF}${CRLF}${body}`,
    );
    while ((text.match(/\r\n\r\nfine|fine$/g) ?? []).length < i) await once(socket, "data");
    // About as long as the owner waits, so that both ends meet in between.
    for (const until = performance.now() + (i % 5); performance.now() < until; )
      await new Promise(setImmediate);
  }
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(Array.from({ length: 200 }, () => "HTTP/1.1 200"));
  socket.destroy();
});

test("of too many pipelined requests, those beyond get 503, and the connection goes on", async () => {
  const waiting: ServerResponse[] = [];
  const { port } = await pair((request, response) => {
    if (request.url !== "/held") return void response.end("fine");
    waiting.push(response);
    if (waiting.length === 64) for (const each of waiting) each.end("held");
  });
  const request = (path: string) => `GET ${path} HTTP/1.1${CRLF}Host: x${CRLF}`;
  const received = await exchange(
    port,
    `${`${request("/held")}${CRLF}`.repeat(100)}${request("/")}Connection: close${CRLF}${CRLF}`,
  );
  expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual([
    ...Array.from({ length: 64 }, () => "HTTP/1.1 200"),
    ...Array.from({ length: 37 }, () => "HTTP/1.1 503"),
  ]);
  expect(received.match(/Retry-After: 1\r\n/g)).toHaveLength(37);
});

test("no listener is left behind by large and slow answers, or by many requests of one connection", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on("warning", onWarning);
  releases.push(() => void process.off("warning", onWarning));
  const { port } = await pair((_, response) => {
    const chunk = Buffer.alloc(50_000);
    for (let i = 0; i < 100; i++) response.write(chunk);
    response.end();
  });
  const socket = connect(port, "127.0.0.1");
  for (let i = 0; i < 15; i++) socket.write(`GET / HTTP/1.1${CRLF}Host: x${CRLF}${CRLF}`);
  let received = 0;
  for await (const chunk of socket) {
    received += (chunk as Buffer).length;
    await new Promise(setImmediate);
    if (received > 15 * 5_000_000) break;
  }
  expect(warnings).toEqual([]);
});
