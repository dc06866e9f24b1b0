/** A router that takes over from one that is being closed, and counts what its workers have. */
import { Agent } from "node:http";
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";

const start = startsClusters({ workers: 1, adapter: false });
const agents: Agent[] = closedAfterEach(
  Object.assign([], {
    close(this: Agent[]) {
      for (const agent of this.splice(0)) agent.destroy();
    },
  }),
);

test("a late connection is counted, also where its worker sets another server up before it hears of the router", async () => {
  const cluster = await start();
  const { a, primary } = cluster;
  const isBusy = a.next("busy");
  const isReady = a.run(async (ctx) => {
    const { createServer } = await ctx.import("node:http");
    const { Server } = await ctx.import("socket.io");
    const { setupWorker } = await ctx.import("@holdfast/sticky");
    ctx.httpServer.keepAliveTimeout = 600_000;
    // Behind its question whose the late connection is.
    const { send } = process;
    process.send = function (
      this: NodeJS.Process,
      message: { "holdfast:sticky"?: number[] },
      ...rest: never[]
    ) {
      const isSent = send?.call(this, message, ...rest) ?? false;
      // The kind of that question, as docs/protocol.md has it.
      if (message["holdfast:sticky"]?.[0] !== 20 || ctx.store.second) return isSent;
      ctx.store.second = setupWorker(new Server(createServer()), { name: "second" });
      return isSent;
    };
    ctx.emit("busy");
    await new Promise(setImmediate);
    // So long that a connection that comes first is late, and not so long that the router takes it back.
    const end = performance.now() + 1_500;
    while (performance.now() < end);
  });
  await isBusy;
  const agent = new Agent({ keepAlive: true });
  agents.push(agent);
  const answer = httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`, { agent });
  await primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    await ctx.until(() => ctx.router.stats().workers[0]?.handedOver === 1);
    // The worker goes on meanwhile, and what it says is read behind the takeover.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const end = performance.now() + 1_200;
    while (performance.now() < end);
    void ctx.router.close();
    ctx.store.second = setupPrimary(ctx.httpServer);
  });
  await isReady;
  expect((await answer).status).toBe(200);
  const count = (expected: number) =>
    primary.run(
      (ctx, open) => ctx.until(() => ctx.store.second.stats().workers[0]?.connections === open),
      expected,
    );
  await count(1);
  agent.destroy();
  expect(await count(0)).toBe(true);
});
