/** WebSockets that came by another host than their session's: no reload disconnects them, over TLS and while something fails. */
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAcross, upgradeAcross } from "../harness/across-hosts.js";
import { closedAfterEach, startsSupervised } from "../harness/after-each.js";
import { ADDRESS_CERTIFICATE, ADDRESS_KEY, AUTHORITY } from "../harness/host-certificates.js";
import { clientFrame } from "../harness/raw-websocket.js";
import { type RecoveringClient, RecoveringClients } from "../harness/recovering-client.js";
import { fallSilent, numbers, speak, talk } from "../harness/speaking.js";
import type { Supervised } from "../harness/supervised.js";

const { start } = startsSupervised();
const clients = closedAfterEach(new RecoveringClients());

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis?.close());

describe.skipIf(findRedisServer() === undefined)("two hosts", () => {
  test("either host reloads, or both at once: nobody is disconnected, and nothing is lost or comes twice", async () => {
    const backplane = { url: redis.url, app: "moves", lease: 30_000, timeout: 20_000 };
    const hosts = await Promise.all([start({ backplane }), start({ backplane })]);
    const [here, there] = hosts;
    const all: RecoveringClient[] = [];
    for (let i = 0; i < 3; i++) {
      all.push(await connectAcross(clients, here, there), await connectAcross(clients, there, here));
    }
    let isOver = false;
    const talks = all.map((client) => talk(client, () => isOver));
    await speak(here);
    // Each host has three sessions, and the connections of three others.
    const results = [
      await here.reload(),
      await there.reload(),
      ...(await Promise.all([here.reload(), there.reload()])),
    ];
    const said = await fallSilent(here);
    isOver = true;
    const counts = await Promise.all(talks);
    expect(results).toMatchObject(Array.from({ length: 4 }, () => ({ workers: 2, moved: 6, closed: 0 })));
    await Promise.all(all.map((client) => client.has("said", said - 1)));
    for (const [i, client] of all.entries()) {
      expect(client.connects).toHaveLength(1);
      expect(client.of("said")).toEqual(numbers(said));
      expect(client.of("echoed")).toEqual(numbers(counts[i] ?? 0, 1));
    }
  });

  test("a slow reader gets everything that was not sent, byte by byte, and what it sends may be cut anywhere", async () => {
    const PACKETS = 40;
    const LENGTH = 256 * 1024;
    const backplane = { url: redis.url, app: "slow", lease: 30_000, timeout: 20_000 };
    const options = { workers: 1 };
    const [here, there] = await Promise.all([start({ backplane, options }), start({ backplane, options })]);
    const client = await upgradeAcross(here, there.port);
    const said = clientFrame('420["echo",1]');
    client.pause();
    client.send(said.subarray(0, 3));
    await here.worker(0).run(
      (ctx, packets, length) => {
        for (let i = 0; i < packets; i++) ctx.io.local.emit("data", i, Buffer.alloc(length, i + 1));
      },
      PACKETS,
      LENGTH,
    );
    expect(await here.reload()).toMatchObject({ moved: 1, closed: 0 });
    client.send(said.subarray(3, 9));
    expect(await there.reload()).toMatchObject({ moved: 1, closed: 0 });
    client.send(said.subarray(9));
    client.resume();
    await client.untilMessage((message) => message.startsWith('42["echoed",1'));
    const attachments = client.messages.filter((message) => typeof message !== "string");
    expect(attachments.map(({ length }) => length)).toEqual(new Array(PACKETS).fill(LENGTH));
    expect(attachments.every((bytes, i) => bytes.equals(Buffer.alloc(LENGTH, i + 1)))).toBe(true);
    client.close();
  });

  test("the other host is stopped: the reload ends all the same, and whoever was closed recovers", async () => {
    const backplane = { url: redis.url, app: "stopped", lease: 60_000, timeout: 20_000 };
    const options = { workers: 1, drainTimeout: 3_000 };
    const [here, there] = await Promise.all([start({ backplane, options }), start({ backplane, options })]);
    const across = await connectAcross(clients, here, there);
    const back = await connectAcross(clients, there, here);
    const own = await clients.connect(here.url);
    const stopped = [there.primary.pid, ...there.pids];
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const result = await here.reload();
    const returns = [across, back].map((client) => client.connected());
    for (const pid of stopped) process.kill(pid, "SIGCONT");
    expect(result).toMatchObject({ workers: 1, moved: 1, closed: 2 });
    expect(await Promise.all(returns)).toEqual([across, back].map(({ id }) => ({ id, recovered: true })));
    for (const { socket } of [across, back]) expect(await socket.emitWithAck("echo", 1)).toBe(1);
    expect(own.connects).toHaveLength(1);
  });

  test("the worker that gets the sessions is killed in the middle of it: nobody misses anything", async () => {
    const backplane = { url: redis.url, app: "killed", lease: 30_000, timeout: 20_000 };
    const options = { workers: 1, restartDelay: 1 };
    const [here, there] = await Promise.all([start({ backplane, options }), start({ backplane, options })]);
    const all: RecoveringClient[] = [];
    for (let i = 0; i < 6; i++) all.push(await connectAcross(clients, here, there));
    await speak(there);
    here.home.start({ signalAtMoves: "SIGKILL" });
    const error = await here.reload().catch((reason) => reason);
    expect(error).toMatchObject({ code: "HOLDFAST_ERR_WORKER_FAILED" });
    const said = await fallSilent(there);
    await Promise.all(all.map((client) => client.has("said", said - 1)));
    for (const client of all) {
      expect(client.of("said")).toEqual(numbers(said));
      expect(client.connects.slice(1).map(({ recovered }) => recovered)).not.toContain(false);
    }
    here.home.start({});
    expect(await here.reload()).toMatchObject({ workers: 1, moved: 6, closed: 0 });
  });
});

test.skipIf(findRedisServer() === undefined)(
  "three hosts that speak TLS to each other, all of which reload at once: nobody is disconnected, and nothing is lost",
  async () => {
    const backplane = { url: redis.url, app: "three", lease: 60_000, timeout: 20_000 };
    const hostTls = { key: ADDRESS_KEY, cert: ADDRESS_CERTIFICATE, ca: AUTHORITY };
    const options = { workers: 1, sticky: { hostAddress: "127.0.0.1", hostTls } };
    const hosts = await Promise.all(Array.from({ length: 3 }, () => start({ backplane, options })));
    const all: RecoveringClient[] = [];
    for (const [i, here] of hosts.entries())
      for (const there of hosts) if (there !== hosts[i]) all.push(await connectAcross(clients, here, there));
    let isOver = false;
    const talks = all.map((client) => talk(client, () => isOver));
    const [first] = hosts as [Supervised, ...Supervised[]];
    await speak(first);
    for (let reloads = 0; reloads < 2; reloads++) {
      const results = await Promise.all(hosts.map((host) => host.reload()));
      // Each host has two sessions, and the connections of two others.
      expect(results).toMatchObject(hosts.map(() => ({ workers: 1, moved: 4, closed: 0 })));
    }
    const said = await fallSilent(first);
    isOver = true;
    const counts = await Promise.all(talks);
    await Promise.all(all.map((client) => client.has("said", said - 1)));
    for (const [i, client] of all.entries()) {
      expect(client.connects).toHaveLength(1);
      expect(client.of("said")).toEqual(numbers(said));
      expect(client.of("echoed")).toEqual(numbers(counts[i] ?? 0, 1));
    }
  },
);
