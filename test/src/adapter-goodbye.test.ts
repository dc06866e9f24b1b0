/** A hub that goes says so, on every link: nobody waits for it, and a new one finds everybody. */
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

let cluster: TestCluster;
const start = startsClusters({ sticky: false, setUpWorker: keepWarnings }, async (started) => {
  cluster = started;
  await cluster.untilJoined();
});
const clients = closedAfterEach(new Clients());

function keepWarnings({ store, emit }: WorkerContext): void {
  store.warnings = [];
  process.on("warning", ({ message }) => {
    store.warnings.push(message);
    emit("warning", message);
  });
}

/**
 * The ways to a hub, and what workers say when it has gone. A new hub of a primary invites them, so they are alone at
 * once; a hub process is looked for, and only who has not found it for two seconds is alone.
 */
const WAYS = [
  {
    link: "pipe",
    alone: "HOLDFAST_ERR_LINK_LOST",
    closed: [expect.stringContaining("the primary has closed it")],
    died: [],
  },
  {
    link: "ipc",
    alone: "HOLDFAST_ERR_LINK_LOST",
    closed: [expect.stringContaining("the primary has closed it")],
    died: [],
  },
  {
    link: "unix",
    alone: "HOLDFAST_ERR_NO_HUB",
    closed: [expect.stringContaining("The link to the hub is gone"), expect.stringContaining("Start one")],
    died: [expect.stringContaining("The link to the hub is gone"), expect.stringContaining("Start one")],
  },
] as const;

/** What still works in a worker whose hub is gone; each waits for nobody. */
async function expectAlone(worker: RemoteWorker, code: string): Promise<void> {
  const client = await clients.connectTo(worker);
  const local = client.next("local");
  const alone = await worker.run(async (ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    await socket?.join("a room");
    ctx.io.to("a room").emit("local");
    return [
      await ctx.io.of("/").adapter.serverCount(),
      await ctx.io.fetchSockets().catch((error: { code: string }) => error.code),
      await ctx.io.serverSideEmitWithAck("x").catch((error: { code: string }) => error.code),
    ];
  }, client.id);
  await local;
  expect(alone).toEqual([1, code, code]);
}

function warningsOf(worker: RemoteWorker): Promise<string[]> {
  return worker.run((ctx) => ctx.store.warnings);
}

for (const { link, alone, closed, died } of WAYS) {
  describe(`over ${link}`, () => {
    test("close(): what was sent before arrives, nobody waits any longer, and a new hub takes everybody in", async () => {
      const { a, b } = await start({
        hubOptions: { link },
        adapterOptions: { requestsTimeout: 1_000_000 },
      });
      const all = [await clients.connectTo(a), await clients.connectTo(b)];
      const asked = b.next("asked");
      await b.run((ctx) => void ctx.io.on("never", () => ctx.emit("asked")));
      await a.run((ctx) => {
        ctx.store.request = ctx.io
          .serverSideEmitWithAck("never")
          .catch((error: { code: string }) => error.code);
      });
      await asked;

      const byes = all.map((client) => client.next("bye"));
      const warned = [a.next("warning"), b.next("warning")];
      const code = await cluster.primary.run(async (ctx) => {
        // Its first words are its last.
        ctx.hub.emitter().emit("bye");
        await ctx.closeHub();
        try {
          ctx.hub.emitter();
        } catch (error) {
          return (error as { code: string }).code;
        }
        return "no error";
      });
      expect(code).toBe("HOLDFAST_ERR_CLOSED");
      await Promise.all(byes);
      expect(
        await within(
          a.run((ctx) => ctx.store.request),
          "end of the request",
        ),
      ).toBe("HOLDFAST_ERR_LINK_LOST");
      for (const worker of [a, b]) await expectAlone(worker, alone);
      for (const message of await Promise.all(warned)) expect(message).toEqual(closed[0]);

      // Without a link of its own, one that the workers were not forked for.
      await cluster.primary.run((ctx, options) => ctx.openHub(options), link === "unix" ? { link } : {});
      await cluster.untilJoined();
      const again = all.map((client) => client.next("again"));
      await a.run((ctx) => void ctx.io.emit("again"));
      await Promise.all(again);
      // Each once.
      for (const worker of [a, b]) expect(await warningsOf(worker)).toEqual(closed);
    });

    test("the goodbye comes behind everything that waits", async () => {
      const { a, b } = await start({ hubOptions: { link } });
      const client = await clients.connectTo(b);
      const last = client.next("last");
      await b.stop();
      await a.run(async (ctx) => {
        for (let n = 0; n < 200; n++) ctx.io.emit("n", n, "x".repeat(10_000));
        ctx.io.emit("last");
        await ctx.io.of("/").adapter.serverCount();
      });
      const warned = [a.next("warning"), b.next("warning")];
      await cluster.primary.run((ctx) => ctx.closeHub());
      await warned[0];
      await b.resume();
      await last;
      expect(client.received("n").map(([n]) => n)).toEqual(Array.from({ length: 200 }, (_, n) => n));
      expect(await warned[1]).toEqual(closed[0]);
      await expectAlone(b, alone);
    });

    test("a primary that dies is a hub that has gone", async () => {
      const { a, b } = await start({ hubOptions: { link } });
      for (const worker of [a, b]) {
        // node:cluster ends workers whose primary is gone, unless they are said to be on their way out.
        await worker.run((ctx) => {
          const { worker: self } = ctx.cluster;
          if (self) self.exitedAfterDisconnect = true;
          ctx.store.gone = new Promise((resolve) => process.once("disconnect", () => resolve(undefined)));
        });
      }
      await b.run((ctx) => void ctx.io.once("never", () => ctx.emit("asked")));
      const asked = b.next("asked");
      const request = a
        .run((ctx) => ctx.io.serverSideEmitWithAck("never"))
        .catch((error: { code: string }) => error.code);
      await asked;
      await cluster.primary.kill("SIGKILL");
      for (const worker of [a, b]) await worker.run((ctx) => ctx.store.gone);
      expect(await within(request, "end of the request")).toBe("HOLDFAST_ERR_LINK_LOST");
      for (const worker of [a, b]) await expectAlone(worker, alone);
      // From their primary they know it by node:cluster; nobody needs to hear it twice.
      for (const worker of [a, b]) expect(await warningsOf(worker)).toEqual(died);
    });
  });
}

test("over ipc, a worker whose link the hub has given up is told, and comes back", async () => {
  const { a, b } = await start({ hubOptions: { link: "ipc" } });
  const client = await clients.connectTo(b);
  const warned = a.next("warning");
  const left = cluster.primary.next("leave");
  await cluster.primary.run((ctx) => void ctx.hub.once("leave", () => ctx.emit("leave")));
  await a.run(() => {
    process.send?.({ "holdfast:adapter": "frames", data: Buffer.alloc(4).toString("base64") });
  });
  await left;
  expect(await warned).toContain("The link to the hub is gone");
  await cluster.untilJoined();
  const reached = client.next("again");
  await a.run((ctx) => void ctx.io.emit("again"));
  await reached;
  await cluster.waitForOutput("[HOLDFAST_ERR_BROKEN_FRAME]");
});
