/** TLS between hosts: certificates that are checked in both directions, and what is told where they do not fit. */
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { findRedisServer, httpRequest, RawSocket, RedisServer, within } from "@holdfast/harness";
import type { HostTlsOptions, PrimaryStats } from "@holdfast/sticky";
import { afterEach, describe, expect, test } from "vitest";
import {
  HostCall,
  type HostCallError,
  type HostIdentity,
} from "../../packages/sticky/dist/hosts/host-call.js";
import { hostTls } from "../../packages/sticky/dist/hosts/host-tls.js";
import { HostHandshakes } from "../../packages/sticky/dist/primary/host-handshakes.js";
import { HostPort } from "../../packages/sticky/dist/primary/host-port.js";
import { resolveHostTls } from "../../packages/sticky/dist/primary/resolve-host-tls.js";
import { encodeGreeting, proofKey } from "../../packages/sticky/dist/wire/host-proof.js";
import { closedAfterEach } from "./harness/after-each.js";
import { CERTIFICATE, KEY } from "./harness/certificate.js";
import { Clients } from "./harness/clients.js";
import { TestCluster, untilServers } from "./harness/cluster.js";
import {
  ADDRESS_CERTIFICATE,
  ADDRESS_KEY,
  AUTHORITY,
  NAME_CERTIFICATE,
  NAME_KEY,
} from "./harness/host-certificates.js";
import { openPolling } from "./harness/raw-polling.js";
import { RoundRobin } from "./harness/round-robin.js";

const LOOPBACK = "127.0.0.1";
const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === "::1"),
);
const PATH = "/socket.io/?EIO=4&transport=polling";

const ADDRESS: HostTlsOptions = { key: ADDRESS_KEY, cert: ADDRESS_CERTIFICATE, ca: AUTHORITY };
const NAME: HostTlsOptions = {
  key: NAME_KEY,
  cert: NAME_CERTIFICATE,
  ca: AUTHORITY,
  servername: "hosts.test",
};
/** Trusts the others, and is trusted by nobody. */
const STRANGER: HostTlsOptions = { key: KEY, cert: CERTIFICATE, ca: [AUTHORITY, CERTIFICATE] };

const clients = closedAfterEach(new Clients());
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

describe("a host port", () => {
  const key = proofKey("secret");

  function identityOf(name: string, tls: HostTlsOptions | undefined): HostIdentity {
    const credentials = resolveHostTls(tls, LOOPBACK);
    return { name, key, tls: credentials && hostTls(credentials) };
  }

  /** @param path of the private socket of the only worker */
  async function openPort(tls?: HostTlsOptions, host = LOOPBACK, path?: string) {
    let hostPort: HostPort | undefined;
    const port = await new Promise<number>((resolve, reject) => {
      const place = { host, port: 0, tls: resolveHostTls(tls, LOOPBACK) };
      hostPort = new HostPort(place, {
        identity: () => identityOf("there", tls),
        doorOf: () =>
          path === undefined ? "gone" : { number: 1, path, secret: "private", lives: () => true },
        onListening: resolve,
        onError: reject,
      });
    });
    const opened = hostPort as HostPort;
    ends.push(() => opened.close());
    return { hostPort: opened, port, host };
  }

  interface Place {
    readonly host: string;
    readonly port: number;
  }

  async function callAs(
    identity: HostIdentity,
    { host, port }: Place,
    isTls = true,
  ): Promise<Socket | HostCallError> {
    return new Promise((resolve) => {
      const made = new HostCall(identity, { name: "there", host, port, isTls }, 1, resolve);
      ends.push(() => made.abort());
    });
  }

  const call = (where: Place, isTls: boolean, tls?: HostTlsOptions) =>
    callAs(identityOf("here", tls), where, isTls);

  /** Somebody has answered who knows the secret. */
  const REACHED = /no such worker/;

  test.each<[string, HostTlsOptions | undefined, HostTlsOptions | undefined, RegExp]>([
    ["certificates for addresses", ADDRESS, ADDRESS, REACHED],
    ["certificates for one name", NAME, NAME, REACHED],
    ["a host that nobody trusts", ADDRESS, STRANGER, /TLS: self-signed certificate/],
    ["a caller that nobody trusts", STRANGER, ADDRESS, /does not trust this host's certificate/],
    ["a host without the name that is asked for", NAME, ADDRESS, /TLS: .*altnames/],
    ["a host without TLS", ADDRESS, undefined, /without TLS.* hostTls/],
    ["a caller without TLS", undefined, ADDRESS, /it speaks TLS.* hostTls/],
  ])("%s", async (_, caller, host, text) => {
    const where = await openPort(host);
    const why = text === REACHED ? "gone" : "trouble";
    const error = await call(where, host !== undefined, caller);
    expect(error).toMatchObject({ why, message: expect.stringMatching(text) as string });
  });

  test("a caller that has a certificate, and not the name that the host asks for, is not trusted", async () => {
    const credentials = resolveHostTls(ADDRESS, LOOPBACK);
    if (!credentials) throw new Error("none");
    // Of the host, it asks no more than that.
    const tls = hostTls({ ...credentials, servername: "hosts.test" });
    const error = await callAs({ name: "here", key, tls }, await openPort(NAME));
    expect(error).toMatchObject({
      why: "trouble",
      message: expect.stringContaining("does not trust") as string,
    });
  });

  test.skipIf(!hasIpv6)("over IPv6", async () => {
    expect(await call(await openPort(ADDRESS, "::1"), true, ADDRESS)).toMatchObject({ why: "gone" });
  });

  test("what one side has said last reaches the other, however much it is", async () => {
    const path = join(process.env.TMPDIR ?? "/tmp", `hf-tls-${process.pid}`);
    const size = 3_000_000;
    const worker = createServer({ allowHalfOpen: true }, (socket) => {
      let count = 0;
      socket.on("data", (chunk) => {
        count += chunk.length;
      });
      socket.once("end", () => socket.end(Buffer.concat([Buffer.from(`${count} `), Buffer.alloc(size, 7)])));
    }).listen(path);
    await once(worker, "listening");
    ends.push(() => worker.close());
    const where = await openPort(ADDRESS, LOOPBACK, path);
    const socket = await call(where, true, ADDRESS);
    if (socket instanceof Error) throw socket;
    ends.push(() => socket.destroy());
    socket.allowHalfOpen = true;
    socket.end(Buffer.alloc(size, 5));
    let got = Buffer.alloc(0);
    for await (const chunk of socket) got = Buffer.concat([got, chunk as Buffer]);
    const [count = ""] = String(got.subarray(0, 20)).split(" ");
    expect(Number(count)).toBeGreaterThan(size);
    expect(got.length).toBe(count.length + 1 + size);
  });

  test("strangers who shake no hands keep nobody out, and are let go", async () => {
    const where = await openPort(ADDRESS);
    const silent = await Promise.all(Array.from({ length: 300 }, () => RawSocket.open(where)));
    const words = [
      encodeGreeting({ nonce: Buffer.alloc(32, 5), name: "plain" }),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    ];
    for (const word of words) {
      const stranger = new RawSocket(where);
      stranger.write(word);
      expect(await stranger.whole()).toBe("");
    }
    expect(await call(where, true, ADDRESS)).toMatchObject({ why: "gone" });
    await Promise.race(silent.slice(0, 44).map(({ closed }) => closed));
    expect(where.hostPort.strangers).toBeGreaterThan(2);
    where.hostPort.close();
    await Promise.all(silent.map(({ closed }) => closed));
  });

  /** @returns what connections are given to, and what settles when so many handshakes have failed */
  function openHandshakes(timeoutMs: number, failures: number) {
    const credentials = resolveHostTls(ADDRESS, LOOPBACK);
    if (!credentials) throw new Error("none");
    let failed = 0;
    let tell = () => {};
    const told = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const handshakes = new HostHandshakes(credentials, failures, timeoutMs, {
      onSecure: () => {},
      onFailed: () => {
        if (++failed === failures) tell();
      },
    });
    ends.push(() => handshakes.close());
    return { handshakes, told };
  }

  async function listen(server: Server) {
    await once(server.listen(0, LOOPBACK), "listening");
    ends.push(() => server.close());
    return { host: LOOPBACK, port: (server.address() as AddressInfo).port };
  }

  /** The head of a record. */
  const BEGINNING = Buffer.from([0x16, 3, 1, 2, 0]);

  test("a handshake that is not finished in time is ended, also if bytes keep coming", async () => {
    const { handshakes, told } = openHandshakes(100, 2);
    const where = await listen(createServer((socket) => handshakes.add(socket)));
    const [silent, slow] = await Promise.all([RawSocket.open(where), RawSocket.open(where)]);
    slow.write(BEGINNING);
    const more = setInterval(() => slow.write(Buffer.of(1)), 20);
    ends.push(() => clearInterval(more));
    await within(Promise.all([silent.closed, slow.closed, told]), "the end of both");
  });

  test("connections that are reset by the time they are taken are not kept, however many they are", async () => {
    const { handshakes, told } = openHandshakes(60_000, 20);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const where = await listen(server);
    for (let i = 0; i < 20; i++) {
      const [caller, [socket]] = [connect(where), await once(server, "connection")];
      caller.write(BEGINNING);
      await once(caller.resetAndDestroy(), "close");
      handshakes.add(socket);
    }
    await within(told, "the end of all");
  });
});

test.each<[string, object, RegExp]>([
  ["no key", { ...ADDRESS, key: undefined }, /"key" must be in PEM/],
  ["the path of a key", { ...ADDRESS, key: "/etc/key.pem" }, /not its path/],
  [
    "a key that is not the certificate's",
    { ...ADDRESS, key: NAME_KEY },
    /key is not that of the certificate/,
  ],
  ["a key in place of a certificate", { ...ADDRESS, cert: ADDRESS_KEY }, /"cert" there is no certificate/],
  ["no authority", { ...ADDRESS, ca: [] }, /"ca" must be in PEM/],
  ["an authority that cannot be read", { ...ADDRESS, ca: AUTHORITY.replace("M", "~") }, /"ca" there is/],
  [
    "a certificate for somebody else",
    { ...NAME, servername: undefined },
    /not for 127.0.0.1, but for DNS:hosts.test/,
  ],
  ["a name that is an address", { ...ADDRESS, servername: LOOPBACK }, /"servername" .*must be a host name/],
  ["something unknown", { ...ADDRESS, ciphers: "x" }, /no option "ciphers"/],
])("hostTls with %s is refused at once", (_, options, text) => {
  const wrong = () => resolveHostTls(options as HostTlsOptions, LOOPBACK);
  expect(wrong).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" }));
  expect(wrong).toThrow(text);
  expect(wrong).not.toThrow(/PRIVATE KEY/);
});

test("hostTls takes Buffers, several authorities in one text, and a key with a passphrase", () => {
  const key = createPrivateKey(ADDRESS_KEY);
  const encrypted = key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" });
  const given = {
    key: Buffer.from(encrypted),
    cert: Buffer.from(ADDRESS_CERTIFICATE),
    ca: `${AUTHORITY}\n${CERTIFICATE}`,
  };
  const wanted = { key: String(encrypted), cert: ADDRESS_CERTIFICATE, ca: [given.ca], passphrase: "secret" };
  expect(resolveHostTls({ ...given, passphrase: "secret" }, LOOPBACK)).toEqual(wanted);
  expect(() => resolveHostTls({ ...given, passphrase: "wrong" }, LOOPBACK)).toThrow(/key .*cannot be read/);
});

describe.skipIf(findRedisServer() === undefined)("hosts", () => {
  const statsOf = (host: TestCluster) => host.primary.run((ctx) => ctx.router.stats() as PrimaryStats);

  async function startHost(
    url: string,
    hostAddress: string,
    tls: HostTlsOptions | undefined,
  ): Promise<TestCluster> {
    const host = await TestCluster.start({
      workers: 1,
      joinsHosts: true,
      backplane: { url, app: "test", lease: 60_000 },
      stickyOptions: { hostAddress, ...(tls && { hostTls: tls }) },
      setUpWorker: ({ io }) => {
        io.on("connection", (socket) => {
          socket.on("echo", (value, answer) => answer(value));
        });
      },
    });
    ends.push(() => host.close());
    return host;
  }

  test("relay over TLS, also when a host ends; one without it and they tell of each other, and nothing hangs", async () => {
    const redis = await RedisServer.start({ keepsData: false });
    ends.push(() => redis.close());
    const [one, two, plain] = (await Promise.all([
      startHost(redis.url, LOOPBACK, ADDRESS),
      startHost(redis.url, hasIpv6 ? "::1" : LOOPBACK, ADDRESS),
      startHost(redis.url, LOOPBACK, undefined),
    ])) as [TestCluster, TestCluster, TestCluster];
    await untilServers([...one.workers, ...two.workers, ...plain.workers], 3);
    for (const host of [one, two, plain]) {
      await host.primary.run((ctx) => ctx.until(() => ctx.router.stats().hosts.others.length === 2));
    }
    const balancer = await RoundRobin.open(one.port, two.port);
    ends.push(() => balancer.close());
    const kinds = [["polling"], ["websocket"], ["polling", "websocket"]];
    const all = await Promise.all(
      [...kinds, ...kinds].map((transports) => clients.connect(balancer.url, { transports })),
    );
    for (const value of ["text", "x".repeat(200_000)]) {
      for (const { socket } of all) expect(await socket.emitWithAck("echo", value)).toBe(value);
    }
    for (const [here, there] of [
      [one, two],
      [two, one],
    ] as const) {
      const { sid } = await openPolling(there.url);
      expect((await httpRequest(`${here.url}${PATH}&sid=${sid}`, { method: "POST" }, "3")).status).toBe(200);
      expect((await statsOf(there)).hosts?.links).toBeGreaterThan(0);
    }
    // Each finds out by itself, before any request.
    await Promise.all([one, two, plain].map((host) => host.waitForOutput("HOLDFAST_ERR_HOST_UNREACHABLE")));
    const { sid } = await openPolling(one.url);
    expect((await httpRequest(`${plain.url}${PATH}&sid=${sid}`)).status).toBe(503);
    const onlyOne = await openPolling(two.url);
    await two.close();
    expect((await httpRequest(`${one.url}${PATH}&sid=${onlyOne.sid}`)).status).toBe(400);
  });

  test("get other certificates while they run: they reach each other with these, and keep the sessions", async () => {
    const redis = await RedisServer.start({ keepsData: false });
    ends.push(() => redis.close());
    const start = (tls: HostTlsOptions) => startHost(redis.url, LOOPBACK, tls);
    const [one, two] = await Promise.all([start(ADDRESS), start(ADDRESS)]);
    const knows = (host: TestCluster, others: number) =>
      host.primary.run((ctx, n) => ctx.until(() => ctx.router.stats().hosts.others.length === n), others);
    await Promise.all([knows(one, 1), knows(two, 1)]);
    const before = await openPolling(two.url);
    const poll = async (host: TestCluster, sid: string) =>
      (await httpRequest(`${host.url}${PATH}&sid=${sid}`, { method: "POST" }, "3")).status;
    expect(await poll(one, before.sid)).toBe(200);
    const renew = (host: TestCluster, tls: HostTlsOptions) =>
      host.primary.run((ctx, hostTls) => ctx.router.renewHostTls(hostTls), tls);
    await expect(renew(one, { ...NAME, servername: "others.test" })).rejects.toThrow(
      /is not for others\.test/,
    );
    for (const host of [one, two]) await renew(host, NAME);
    expect(await poll(one, before.sid)).toBe(200);
    // It asks all others for the name, which only the new certificates have; and they ask it.
    const three = await start(NAME);
    await Promise.all([knows(one, 2), knows(two, 2), knows(three, 2)]);
    for (const [here, there] of [
      [three, one],
      [two, three],
    ] as const) {
      const { sid } = await openPolling(there.url);
      expect(await poll(here, sid)).toBe(200);
    }
  });
});
