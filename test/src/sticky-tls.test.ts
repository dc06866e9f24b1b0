/** TLS that ends in the workers, beside plain HTTP on another port of the same cluster. */

import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { type RequestOptions, request } from "node:https";
import { connect, type Socket as NetSocket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { within } from "@holdfast/harness";
import type { Socket } from "socket.io-client";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { CERTIFICATE, KEY } from "./harness/certificate.js";
import { type ClientOptions, Clients } from "./harness/clients.js";
import type { TestCluster } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";

const start = startsClusters({ workers: 3, adapter: false });
const clients = closedAfterEach(new Clients());

/** A cluster with a second port, on which the workers' `https.Server`s (or http2's) take connections. */
async function startTls(
  stickyOptions: object,
  kind: "https" | "http2",
  config: ClusterConfig = {},
): Promise<{ cluster: TestCluster; port: number }> {
  const cluster = await start(config);
  const port = await cluster.primary.run(async (ctx, options) => {
    const { createServer } = await ctx.import("node:net");
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    const server = createServer();
    setupPrimary(server, { name: "tls", ...options });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as import("node:net").AddressInfo).port;
  }, stickyOptions);
  await Promise.all(
    cluster.workers.map((worker) =>
      worker.run(
        async (ctx, key, cert, which) => {
          const https = await ctx.import("node:https");
          const http2 = await ctx.import("node:http2");
          const { Server } = await ctx.import("socket.io");
          const { setupWorker } = await ctx.import("@holdfast/sticky");
          const server =
            which === "https"
              ? https.createServer({ key, cert, ca: cert, requestCert: true, rejectUnauthorized: false })
              : http2.createSecureServer({ key, cert, allowHTTP1: true });
          const io = new Server(server);
          setupWorker(io, { name: "tls" });
          for (const each of [io, ctx.io]) {
            each.on("connection", (socket) => {
              socket.on("who", (answer) =>
                answer(ctx.cluster.worker?.id, socket.handshake.address, socket.handshake.secure),
              );
            });
          }
          ctx.store.tls = io;
        },
        KEY,
        CERTIFICATE,
        kind,
      ),
    ),
  );
  return { cluster, port };
}

async function client(url: string, options: ClientOptions): Promise<Socket> {
  return (await clients.connect(url, { rejectUnauthorized: false, ...options })).socket;
}

const who = (socket: Socket): Promise<[number, string, boolean]> =>
  within(
    new Promise((resolve) =>
      socket.emit("who", (...answer: unknown[]) => resolve(answer as [number, string, boolean])),
    ),
    "answer",
  );

for (const loadBalancingMethod of ["least-connection", "hash", "round-robin"]) {
  for (const kind of ["https", "http2"] as const) {
    test(`HTTPS and WSS with ${kind}, ${loadBalancingMethod}`, async () => {
      const { cluster, port } = await startTls({ loadBalancingMethod }, kind);
      for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
        const sockets = await Promise.all(
          Array.from({ length: 5 }, () => client(`https://127.0.0.1:${port}`, { transports })),
        );
        for (const socket of sockets) {
          const [, address, secure] = await who(socket);
          expect([address, secure]).toEqual(["127.0.0.1", true]);
          if (transports.length === 1) continue;
          if (socket.io.engine.transport.name === "polling") {
            await within(new Promise((resolve) => socket.io.engine.once("upgrade", resolve)), "upgrade");
          }
        }
      }
      const plain = await client(cluster.url, { transports: ["polling"] });
      expect((await who(plain))[2]).toBe(false);
    });
  }
}

/** Addresses of the loopback network, which `hash` spreads over all workers. */
const ADDRESSES = Array.from({ length: 12 }, (_, i) => `127.0.0.${i + 1}`);
const PATH = "/socket.io/?EIO=4&transport=polling";

async function fetchFrom(
  address: string,
  port: number,
  path: string,
  options: RequestOptions = {},
  body = "",
): Promise<string> {
  const text = new Promise<string>((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        path,
        localAddress: address,
        rejectUnauthorized: false,
        agent: false,
        ...options,
      },
      (response) => {
        let received = "";
        response.on("data", (chunk) => {
          received += chunk;
        });
        response.on("end", () => resolve(received));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(text, `answer to ${path}`);
}

for (const kind of ["https", "http2"] as const) {
  test(`polls and upgrades that reach the wrong worker over TLS are relayed, ${kind}`, async () => {
    const { cluster, port } = await startTls({}, kind);
    const sid = (JSON.parse((await fetchFrom("127.0.0.1", port, PATH)).slice(1)) as { sid: string }).sid;
    expect(await fetchFrom("127.0.0.1", port, `${PATH}&sid=${sid}`, { method: "POST" }, "40")).toBe("ok");
    expect(await fetchFrom("127.0.0.1", port, `${PATH}&sid=${sid}`)).toMatch(/^40/);
    for (const address of ADDRESSES) {
      const body = '420["who"]';
      expect(await fetchFrom(address, port, `${PATH}&sid=${sid}`, { method: "POST" }, body)).toBe("ok");
      expect(await fetchFrom(address, port, `${PATH}&sid=${sid}`)).toMatch(/^430\[\d,"127.0.0.1",true\]$/);
    }
    for (const [i, address] of ADDRESSES.entries()) {
      const socket = new WebSocket(
        `wss://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket&sid=${sid}`,
        {
          rejectUnauthorized: false,
          localAddress: address,
        },
      );
      await within(once(socket, "open"), "WebSocket");
      socket.send("2probe");
      expect(String((await within(once(socket, "message"), "probe"))[0])).toBe("3probe");
      if (i < ADDRESSES.length - 1) {
        socket.terminate();
        // Engine.IO allows one probe at a time: the next starts when the owner has seen this one's end.
        await Promise.all(
          cluster.workers.map((worker) =>
            worker.run(async (ctx, id) => {
              type Client = { upgrading: boolean };
              const { clients } = ctx.store.tls.engine as { clients: Record<string, Client> };
              await ctx.until(() => !clients[id]?.upgrading);
            }, sid),
          ),
        );
        continue;
      }
      socket.send("5");
      socket.send('421["who"]');
      const answer = new Promise((resolve) =>
        socket.on("message", (data) => String(data).startsWith("431") && resolve(String(data))),
      );
      expect(await within(answer, "answer")).toMatch(/^431\[\d,"127.0.0.1",true\]$/);
      socket.terminate();
    }
  });
}

test("polls of HTTP/2 clients are relayed", async () => {
  const { port } = await startTls({}, "http2");
  const sid = (JSON.parse((await fetchFrom("127.0.0.1", port, PATH)).slice(1)) as { sid: string }).sid;
  expect(await fetchFrom("127.0.0.1", port, `${PATH}&sid=${sid}`, { method: "POST" }, "40")).toBe("ok");
  expect(await fetchFrom("127.0.0.1", port, `${PATH}&sid=${sid}`)).toMatch(/^40/);
  for (const address of ADDRESSES) {
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      rejectUnauthorized: false,
      createConnection: () =>
        connectTls({
          host: "127.0.0.1",
          port,
          localAddress: address,
          rejectUnauthorized: false,
          ALPNProtocols: ["h2"],
        } as never),
    } as never);
    const fetch = async (body?: string): Promise<[number, string]> => {
      const stream = session.request({
        ":path": `${PATH}&sid=${sid}`,
        ":method": body === undefined ? "GET" : "POST",
      });
      stream.end(body);
      const [headers] = (await within(once(stream, "response"), "answer")) as [Record<string, unknown>];
      let text = "";
      for await (const chunk of stream) text += chunk;
      return [Number(headers[":status"]), text];
    };
    expect(await fetch('420["who"]')).toEqual([200, "ok"]);
    const [status, text] = await fetch();
    expect(status).toBe(200);
    expect(text).toMatch(/^430\[\d,"127.0.0.1",true\]$/);
    session.destroy();
  }
});

test("a ClientHello in pieces", async () => {
  const { port } = await startTls({}, "https");
  const raw: NetSocket = connect(port, "127.0.0.1").setNoDelay(true);
  const slow = new Duplex({
    write(chunk: Buffer, _, done) {
      (async () => {
        for (const byte of chunk) {
          raw.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
      })().then(() => done(), done);
    },
    read() {},
  });
  raw.on("data", (chunk) => slow.push(chunk));
  raw.on("close", () => slow.push(null));
  const tls = connectTls({ socket: slow, rejectUnauthorized: false });
  await within(once(tls, "secureConnect"), "handshake");
  tls.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const [answer] = (await within(once(tls, "data"), "answer")) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
  tls.destroy();
  raw.destroy();
});

test("to the application, a relayed request over TLS tells the same of its client, with a certificate and without", async () => {
  const { cluster, port } = await startTls({}, "https");
  await Promise.all(
    cluster.workers.map((worker) =>
      worker.run((ctx) => {
        type Request = import("node:http").IncomingMessage;
        type Response = import("node:http").ServerResponse;
        const tell = (req: Request, res: Response, next: () => void) => {
          if (!req.headers["x-tell"]) return next();
          const socket = req.socket as import("node:tls").TLSSocket & { servername?: unknown };
          const { encrypted, authorized, authorizationError, alpnProtocol, servername } = socket;
          const short = socket.getPeerCertificate();
          const long = socket.getPeerCertificate(true);
          const seen = {
            ...{ encrypted, authorized, authorizationError, alpnProtocol, servername },
            protocol: socket.getProtocol(),
            cipher: socket.getCipher(),
            reused: socket.isSessionReused(),
            short: [Object.keys(short).length, short.subject, short.fingerprint256, short.raw?.length],
            issuer: [long.issuerCertificate?.subject, long.issuerCertificate === long],
            x509: socket.getPeerX509Certificate()?.subject,
          };
          res.end(JSON.stringify(seen));
        };
        ctx.store.tls.engine.use(tell);
      }),
    ),
  );
  const { sid } = JSON.parse((await fetchFrom("127.0.0.1", port, PATH)).slice(1)) as { sid: string };
  for (const identity of [{}, { key: KEY, cert: CERTIFICATE }]) {
    const told = new Set<string>();
    for (const address of ADDRESSES) {
      const headers = { "x-tell": "1" };
      told.add(await fetchFrom(address, port, `${PATH}&sid=${sid}`, { ...identity, headers }));
    }
    const [seen = "{}", ...others] = [...told];
    expect(others).toEqual([]);
    const name = "key" in identity ? "CN=localhost" : undefined;
    expect(JSON.parse(seen)).toMatchObject({ encrypted: true, ...(name && { x509: name }) });
  }
  const relayed = await Promise.all(
    cluster.workers.map((worker) => worker.run((ctx) => ctx.sticky.stats().relayed)),
  );
  expect(relayed.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(4);
});
