/** Sessions whose clients poll, while workers are killed or stand still. */
import { Agent } from "node:http";
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "../harness/after-each.js";
import { signalWhenLanded } from "../harness/landed.js";
import { openPolling } from "../harness/raw-polling.js";
import { retire } from "../harness/retire.js";

const start = startsClusters(
  {
    workers: 1,
    moves: true,
    // Nobody answers pings.
    io: { connectionStateRecovery: {}, pingInterval: 600_000 },
    setUpWorker: (ctx) => {
      ctx.httpServer.keepAliveTimeout = 600_000;
      ctx.io.on("connection", (socket) => {
        socket.on("echo", (value) => socket.emit("echoed", value));
      });
    },
  },
  (cluster) => cluster.untilJoined(),
);
const agent = new Agent({ keepAlive: true });
closedAfterEach({ close: () => agent.destroy() });

/** An event that is answered. */
const ECHO = '42["echo",1]';

test.each(["has got the rest", "gets them back"])(
  "what a successor has got before it stood still is found after another one %s",
  async (what) => {
    const cluster = await start();
    const { a } = cluster;
    const all = await Promise.all(Array.from({ length: 8 }, () => openPolling(cluster.url)));
    const [first, other] = [await cluster.fork(), await cluster.fork()];
    await cluster.untilJoined();
    await signalWhenLanded(cluster, first, "SIGSTOP", 2);
    const { outcome, moved, lost } = await retire(cluster, a, first, { window: 1 });
    expect(outcome).toBe("successor-silent");
    expect(moved).toBeLessThan(8);
    await first.resume();
    const found = async () => {
      const statuses = await Promise.all(
        all.map(async ({ url }) => (await httpRequest(url, { method: "POST", agent }, ECHO)).status),
      );
      return statuses.filter((status) => status === 200).length;
    };
    // The one on its way was given up, and may have come up all the same.
    const kept = await found();
    expect(kept).toBeGreaterThanOrEqual(8 - lost);
    const [from, to] = what === "has got the rest" ? [a, other] : [first, a];
    const again = retire(cluster, from, to);
    expect(await found()).toBe(kept);
    expect(await again).toMatchObject({ outcome: "done", lost: 0, closed: 0 });
    expect(await found()).toBe(kept);
    await from.kill();
    expect(await found()).toBe(kept);
  },
);

test("a worker that is killed when it has retired takes no request along, however many come over new connections", async () => {
  const cluster = await start({ workers: 2 });
  const sessions = await Promise.all(Array.from({ length: 100 }, () => openPolling(cluster.url)));
  const failures: string[] = [];
  let isOver = false;
  // Each has a connection of its own, as those of socket.io-client have.
  const goOn = async (url: string, method: "GET" | "POST") => {
    const body = method === "POST" ? ECHO : undefined;
    try {
      while (!isOver) {
        const { status } = await httpRequest(url, { method }, body);
        if (status !== 200) throw new Error(`status ${status}`);
        if (method === "POST") await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } catch (error) {
      failures.push(`${method}: ${(error as Error).message}`);
    }
  };
  const requests = sessions.flatMap(({ url }) => [goOn(url, "GET"), goOn(url, "POST")]);
  for (let reloads = 0; reloads < 2; reloads++) {
    for (const old of [...cluster.workers]) {
      const successor = await cluster.fork();
      await cluster.untilJoined();
      expect(await retire(cluster, old, successor)).toMatchObject({ outcome: "done", lost: 0 });
      await old.kill("SIGKILL");
    }
  }
  isOver = true;
  // So that no poll waits.
  await Promise.all(sessions.map(({ post }) => post(ECHO)));
  await Promise.all(requests);
  expect(failures).toEqual([]);
});
