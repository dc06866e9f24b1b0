/** Hostile input against live clusters: they survive it, go on serving, and keep their memory. */

import { chmodSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { httpRequest, RawSocket, runProgram, within } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import type { TestCluster } from "./harness/cluster.js";
import type { Context } from "./harness/context.js";

/** The first round fills caches and compiles; what grows after it would grow for ever. */
const WARM_UP = 2_000;
/** The whole number belongs to `npm run test:tools`. */
const WHOLE = process.env.HOLDFAST_WIDE === "1";
const CONNECTIONS = WHOLE ? 18_000 : 2_000;
/** They have to be open at once, and then wait for the time limit. */
const [SILENT, HEAD_TIMEOUT] = WHOLE ? [10_000, 30_000] : [2_000, 10_000];

const start = startsClusters({
  adapter: false,
  setUpWorker: (ctx) =>
    ctx.httpServer.on("request", (req, res) => {
      if (!req.url?.startsWith("/socket.io/")) res.end("plain");
    }),
});

/** A new client is served as if nothing had happened. */
async function expectService(cluster: TestCluster): Promise<string> {
  const { text } = await httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`);
  return (JSON.parse(text.slice(1)) as { sid: string }).sid;
}

async function attack(cluster: TestCluster, bytes: Buffer | string, reset: boolean): Promise<string> {
  const raw = await RawSocket.open(cluster.port);
  if (reset) raw.reset(bytes);
  else raw.end(bytes);
  return raw.whole();
}

const stats = (cluster: TestCluster): Promise<PrimaryStats> =>
  cluster.primary.run((ctx) => ctx.router.stats());

/** Resident memory of all processes after a collection, in MB. */
async function memory(cluster: TestCluster): Promise<number> {
  const measure = async (ctx: Context) => {
    const { setFlagsFromString } = await ctx.import("node:v8");
    const { runInNewContext } = await ctx.import("node:vm");
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    for (let i = 0; i < 3; i++) {
      collect();
      await new Promise(setImmediate);
    }
    return process.memoryUsage().heapUsed / 1e6;
  };
  const each = await Promise.all([
    cluster.primary.run(measure),
    ...cluster.workers.map((worker) => worker.run(measure)),
  ]);
  return each.reduce((a, b) => a + b, 0);
}

const HEAD = "POST /socket.io/?EIO=4&transport=polling&sid=";

const HOSTILE: ((sid: string, i: number) => Buffer | string)[] = [
  () => Buffer.from(Array.from({ length: 64 }, () => Math.floor(Math.random() * 256))),
  () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  () => `GET /${"a".repeat(20_000)}`,
  () => `GET / HTTP/1.1\r\n${"X-Flood: 1\r\n".repeat(2_000)}\r\n`,
  (sid) =>
    `${HEAD}${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n`,
  (sid) => `${HEAD}${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n3GET /evil`,
  (sid) => `${HEAD}${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n3`,
  (sid) => `${HEAD}${sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  (sid) =>
    `${HEAD}${sid} HTTP/1.1\r\nHost: x\r\nConnection: Content-Length, Host\r\nContent-Length: 1\r\n\r\n3`,
  (sid, i) =>
    `${HEAD}${sid.slice(0, 6)}${String(i).padStart(4, "A").slice(-4)}xx HTTP/1.1\r\nHost: x\r\n\r\n`,
  (sid, i) =>
    `GET /socket.io/?EIO=4&transport=polling&sid=${sid.slice(0, i % 20)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  () => "GET /?sid=%00%ff%&sid&sid=&=sid&&&&&& HTTP/1.1\r\nHost: x\r\n\r\n",
  (sid) => `GET /${sid} HTTP/1.1\nHost: x\n\n`,
  () => '{"holdfast:sticky":[19,"default",1,"x"]}\n',
  () => "/secret/default/127.0.0.1/80/tcp/socket.io/ HTTP/1.1\r\n\r\n",
];

test(`${WARM_UP + CONNECTIONS} hostile connections of every kind, whole and reset at any byte`, {
  timeout: 240_000,
}, async () => {
  const cluster = await start({ stickyOptions: { headTimeout: 2_000 } });
  const sid = await expectService(cluster);
  const round = async (count: number, from: number): Promise<void> => {
    let next = from;
    const lane = async (): Promise<void> => {
      while (next < from + count) {
        const i = next++;
        const make = HOSTILE[i % HOSTILE.length] ?? HOSTILE[0];
        const made = make?.(sid, i) ?? "";
        const bytes = typeof made === "string" ? Buffer.from(made, "latin1") : made;
        const reset = i % 3 === 0;
        await attack(cluster, reset ? bytes.subarray(0, 1 + (i % bytes.length)) : bytes, reset);
      }
    };
    await Promise.all(Array.from({ length: 50 }, lane));
  };
  await round(WARM_UP, 0);
  await expectService(cluster);
  const before = await memory(cluster);
  await round(CONNECTIONS, WARM_UP);
  await expectService(cluster);
  await cluster.primary.run(async (ctx) => {
    await ctx.until(() => (ctx.router.stats() as PrimaryStats).pending === 0);
  });
  const after = await memory(cluster);
  expect(after - before).toBeLessThan(6);
  expect(cluster.workers).toHaveLength(2);
  expect(cluster.output).toBe("");
});

test(`${SILENT} silent connections are closed at the time limit; new clients are served meanwhile`, {
  timeout: 120_000,
}, async () => {
  const cluster = await start({ stickyOptions: { headTimeout: HEAD_TIMEOUT } });
  const sockets: RawSocket[] = [];
  for (let batch = 0; batch < SILENT / 100; batch++) {
    const opening = Array.from({ length: 100 }, () => RawSocket.open(cluster.port));
    sockets.push(...(await Promise.all(opening)));
  }
  await expectService(cluster);
  expect((await stats(cluster)).pending).toBeGreaterThan(0.9 * SILENT);
  const closed = sockets.map((socket) => socket.closed);
  await within(Promise.all(closed), "end of the silent connections", 60_000);
  const { pending, refused } = await stats(cluster);
  expect(pending).toBe(0);
  expect(refused.silent).toBe(SILENT);
  await expectService(cluster);
});

test("with too many pending connections the one that has been silent longest goes", async () => {
  const cluster = await start({ stickyOptions: { maxPendingConnections: 10 } });
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 15; i++) sockets.push(await RawSocket.open(cluster.port));
  await expectService(cluster);
  const evicted = sockets.slice(0, 5).map((socket) => socket.closed);
  await within(Promise.all(evicted), "eviction");
  expect((await stats(cluster)).refused.evicted).toBeGreaterThanOrEqual(5);
  for (const socket of sockets) socket.close();
});

test("every value of the owner's mark, forged, gets a plain answer", async () => {
  const cluster = await start();
  const sid = await expectService(cluster);
  for (const mark of [
    "AAAA",
    "AAAB",
    "AAAC",
    "AAAD",
    "____",
    "----",
    "AAA ",
    "%41%41%41%42",
    "\xff\xff\xff\xff",
  ]) {
    const target = `/socket.io/?EIO=4&transport=polling&sid=${sid.slice(0, 6)}${mark}forged`;
    const answer = await attack(
      cluster,
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      false,
    );
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
  }
  await expectService(cluster);
});

test("the private sockets are closed to other users and to peers without the secret", async () => {
  const cluster = await start();
  const { directory: home } = cluster;
  await expectService(cluster);
  const [name = ""] = readdirSync(home).filter((entry) => entry.startsWith("holdfast-"));
  const directory = join(home, name);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const path = join(directory, "1");
  for (const target of ["/", "/secret/default/1.2.3.4/1/tcp/socket.io/?EIO=4&transport=polling"]) {
    for (const upgrade of ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n"]) {
      const socket = await RawSocket.open(path);
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`);
      expect(await socket.whole()).toBe("");
    }
  }
  if (process.getuid?.() !== 0) return;
  // As root, another user can be tried in earnest.
  const script = `require("net").connect(${JSON.stringify(path)}).on("connect",()=>console.log("in")).on("error",(e)=>console.log(e.code))`;
  chmodSync(home, 0o755);
  const nobody = { uid: 65_534, gid: 65_534, cwd: "/" };
  const { stdout } = await runProgram(process.execPath, ["-e", script], nobody);
  expect(stdout.trim()).toBe("EACCES");
});
