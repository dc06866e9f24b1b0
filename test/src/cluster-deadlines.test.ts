/** How long workers may take: times that are told while others run, and the greatest there are. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";

const { start, home } = startsSupervised();
/** Longer than a test. */
const LONG_MS = 600_000;
const GREATEST_MS = 2 ** 31 - 1;

test("stop() holds for a worker that has longer, because a reload replaces it", async () => {
  const cluster = await start({ options: { workers: 1, drainTimeout: LONG_MS, signals: false } });
  const worker = cluster.worker(0);
  const asked = worker.next("asked");
  await worker.run((ctx) => {
    ctx.httpServer.removeAllListeners("request").on("request", () => ctx.emit("asked"));
  });
  const answer = fetch(cluster.url).catch(() => "cut off");
  await asked;
  const stopping = cluster.primary.run(async (ctx) => {
    const handle = await ctx.cluster();
    await new Promise<void>((resolve) => {
      handle.on("reload:progress", ({ step }) => step === "draining" && resolve());
      handle.reload().catch(() => {});
    });
    return handle.stop({ timeout: 1_000 });
  });
  expect(await answer).toBe("cut off");
  expect(await stopping).toMatchObject({ killed: 0 });
});

test("the greatest times kill nobody", async () => {
  const options = { drainTimeout: GREATEST_MS, stopTimeout: GREATEST_MS, signals: false };
  const cluster = await start({ options });
  expect(await cluster.reload()).toMatchObject({ killed: 0 });
  const stopped = await cluster.primary.run(async (ctx) => (await ctx.cluster()).stop());
  expect(stopped).toMatchObject({ killed: 0 });
});

test("a worker that joins after it was told to end is told again, and is not ready", async () => {
  const own = home();
  const path = join(own.directory, "gate");
  const gate = createServer().listen(path);
  const cluster = await start({
    home: own,
    options: { drainTimeout: LONG_MS, restartDelay: 1, minUptime: 0, signals: false },
  });
  own.start({ waitsAt: path, tellsOfTerm: true });
  const waiting = once(gate, "connection") as Promise<[Socket]>;
  process.kill(cluster.worker(1).pid, "SIGKILL");
  const [socket] = await waiting;
  const scaled = cluster.primary.run(async (ctx) => {
    const handle = await ctx.cluster();
    const ready: number[] = [];
    handle.on("worker:ready", ({ slot }) => ready.push(slot));
    return { ...(await handle.scale(1)), ready };
  });
  expect(String((await once(socket, "data"))[0])).toBe("SIGTERM");
  socket.destroy();
  expect(await scaled).toMatchObject({ killed: 0, ready: [] });
  gate.close();
});
