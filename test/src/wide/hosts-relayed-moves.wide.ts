/** WebSockets that came by another host than their session's: a reload of either host disconnects nobody. */
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAcross, upgradeAcross } from "../harness/across-hosts.js";
import { closedAfterEach, startsSupervised } from "../harness/after-each.js";
import { clientFrame } from "../harness/raw-websocket.js";
import { type RecoveringClient, RecoveringClients } from "../harness/recovering-client.js";
import { fallSilent, numbers, speak, talk } from "../harness/speaking.js";

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
});
