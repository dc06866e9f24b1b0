/** What happens to requests and broadcasts when workers die, fall silent, come late or are set up wrongly. */
import { httpRequest, within } from "@holdfast/harness";
import type { PrimaryStats } from "@holdfast/sticky";
import { describe, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../packages/adapter/dist/wire/frame.js";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type TestCluster, untilServers } from "./harness/cluster.js";
import { LINKS } from "./harness/links.js";
import { waitForNothingLong } from "./harness/long-timers.js";

const start = startsClusters({ sticky: false, workers: 3 }, (cluster) => cluster.untilJoined());
const startWithoutHub = startsClusters({ sticky: false, workers: 0, hub: false });
const clients = closedAfterEach(new Clients());

for (const link of LINKS) {
  const hubOptions = { link };

  describe(`over ${link}`, () => {
    test("a killed worker settles fetchSockets at once with the others' answers", async () => {
      const { a, b, c } = await start({ hubOptions, adapterOptions: { requestsTimeout: 1_000_000 } });
      const client = await clients.connectTo(c);
      await b.stop();
      const sockets = a.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id));
      // The stopped worker has been asked, for this answer comes behind the question on the same link.
      await a.run((ctx) => ctx.io.in("nowhere").fetchSockets());
      await b.kill("SIGKILL");
      expect(await within(sockets, "sockets of the others")).toEqual([client.id]);
    });

    test("a killed worker settles serverSideEmit with acknowledgement at once", async () => {
      const cluster = await start({ hubOptions, adapterOptions: { requestsTimeout: 1_000_000 } });
      const { a, b } = cluster;
      for (const worker of cluster.workers) {
        await worker.run(
          (ctx) => void ctx.io.on("pid", (answer: (pid: number) => void) => answer(process.pid)),
        );
      }
      await b.stop();
      const answers = a.run((ctx) => ctx.io.serverSideEmitWithAck("pid"));
      // The stopped worker has been asked, for this answer comes behind the question on the same link.
      await a.run((ctx) => ctx.io.in("nowhere").fetchSockets());
      await b.kill("SIGKILL");
      expect(await within(answers, "answers of the others")).toEqual([cluster.worker(1).pid]);
    });

    test("a killed worker settles a broadcast with acknowledgement at once, its answers kept", async () => {
      const { a, b, c } = await start({ hubOptions });
      const [answering, silent, other] = [
        await clients.connectTo(b),
        await clients.connectTo(b),
        await clients.connectTo(c),
      ];
      const asked = silent.next("ask");
      answering.socket.on("ask", (answer: (value: string) => void) => answer("b"));
      other.socket.on("ask", (answer: (value: string) => void) => answer("c"));
      const answers = a.run((ctx) => ctx.io.timeout(1_000_000).emitWithAck("ask"));
      await asked;
      await b.run(async (ctx, id) => {
        const socket = ctx.io.sockets.sockets.get(id);
        const { acks } = socket as unknown as { acks: ReadonlyMap<number, unknown> };
        await ctx.until(() => acks.size === 0);
        // The answer has gone to the hub before this.
        await socket?.join("fence");
      }, answering.id);
      await b.kill("SIGKILL");
      const got = (await within(answers, "answers of the others")) as string[];
      expect(got.sort()).toEqual(["b", "c"]);
    });

    test("a silent worker ends requests at requestsTimeout, named, with the answers that came", async () => {
      const cluster = await start({ hubOptions, adapterOptions: { requestsTimeout: 3_000 } });
      const { a, b, c } = cluster;
      for (const worker of cluster.workers) {
        await worker.run(
          (ctx) => void ctx.io.on("pid", (answer: (pid: number) => void) => answer(process.pid)),
        );
      }
      const client = await clients.connectTo(c);
      await b.stop();
      const [fetched, emitted] = await a.run(async (ctx) => {
        const shape = (error: { code: string; missing: unknown; message: string; responses: unknown[] }) => ({
          code: error.code,
          missing: error.missing,
          message: error.message,
          responses: error.responses.map((value) => (value as { id?: string }).id ?? value),
        });
        return [
          await ctx.io.fetchSockets().catch(shape),
          await ctx.io.serverSideEmitWithAck("pid").catch(shape),
        ];
      });
      await b.resume();
      const missing = [{ id: expect.any(Number), workerId: b.workerId, pid: b.pid }];
      expect(fetched).toEqual({
        code: "HOLDFAST_ERR_REQUEST_TIMEOUT",
        missing,
        message: `No answer within 3000 ms from worker ${b.workerId} (pid ${b.pid}).`,
        responses: [client.id],
      });
      expect(emitted).toMatchObject({ code: "HOLDFAST_ERR_REQUEST_TIMEOUT", missing, responses: [c.pid] });
    });

    test("io.timeout() overrides requestsTimeout for fetchSockets", async () => {
      const { a, b } = await start({ hubOptions, adapterOptions: { requestsTimeout: 1_000_000 } });
      await b.stop();
      const error = await a.run((ctx) => ctx.io.timeout(300).fetchSockets()).catch((thrown) => thrown);
      await b.resume();
      expect(error.message).toContain("within 300 ms");
    });

    test.each(["2147483648", "1e12", "Infinity"])("io.timeout(%s) waits for fetchSockets", async (ms) => {
      const { a, b } = await start({ hubOptions, workers: 2 });
      const client = await clients.connectTo(b);
      const found = await a.run(async (ctx, ms) => {
        const sockets = await ctx.io.timeout(Number(ms)).fetchSockets();
        return sockets.map(({ id }) => id);
      }, ms);
      expect(found).toEqual([client.id]);
    });

    test("what a worker broadcast before it was killed arrives", async () => {
      const { a, b } = await start({ hubOptions, workers: 2 });
      const client = await clients.connectTo(a);
      await a.run((ctx) => ctx.io.sockets.sockets.values().next().value?.join("r"));
      const last = client.next("last");
      await b
        .run(async (ctx) => {
          for (let i = 0; i < 1000; i++) ctx.io.to("r").emit("n", i);
          ctx.io.to("r").emit("last");
          // One turn, so that the frames are with the system, and a message behind those that go over IPC.
          await new Promise(setImmediate);
          await new Promise((done) => process.send?.({}, undefined, undefined, done));
          // Then the hardest end.
          process.kill(process.pid, "SIGKILL");
          await new Promise(() => {});
        })
        .catch(() => {});
      await last;
      expect(client.received("n")).toEqual(Array.from({ length: 1000 }, (_, i) => [i]));
    });

    test("members come and go with their processes", async () => {
      const cluster = await start({ hubOptions });
      const { a, b } = cluster;
      await cluster.primary.run((ctx) => {
        ctx.hub.on("leave", (member: { workerId: number }) => ctx.emit("leave", member.workerId));
        ctx.hub.on("join", (member: { workerId: number }) => ctx.emit("join", member.workerId));
      });
      const left = cluster.primary.next("leave");
      await b.kill("SIGKILL");
      expect(await left).toBe(b.workerId);
      await untilServers([a], 2);
      const joined = cluster.primary.next("join");
      const fresh = await cluster.fork();
      expect(await joined).toBe(fresh.workerId);
      await untilServers([a], 3);
      const client = await clients.connectTo(fresh);
      const got = client.next("hello");
      await a.run((ctx) => void ctx.io.emit("hello", 1));
      await got;
    });

    // On a socket, each hello has connections of its own.
    const whereOneLinkLasts = link === "unix" ? () => {} : test;
    whereOneLinkLasts(
      "a worker that says hello twice is one member, and its requests are answered",
      async () => {
        const cluster = await start({ hubOptions });
        const { a, b } = cluster;
        const client = await clients.connectTo(b);
        const lost = b.next("warning");
        await b.run((ctx) => void process.once("warning", ({ message }) => ctx.emit("warning", message)));
        // As after a stall, when the end of the pipe is noticed before the invitation.
        await cluster.primary.run((ctx, id) => {
          for (let i = 0; i < 2; i++) ctx.cluster.workers?.[id]?.send({ "holdfast:adapter": "invite" });
        }, b.workerId);
        expect(await lost).toContain("The link to the hub is gone");
        await untilServers([b], 3);
        await untilServers([a], 3);
        for (const worker of [a, b]) {
          const found = worker.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id));
          expect(await within(found, "sockets", 10_000)).toEqual([client.id]);
        }
        const got = client.next("hello");
        await a.run((ctx, id) => void ctx.io.to(id).emit("hello"), client.id);
        await got;
      },
    );

    test("io.close() takes the worker out; a new server in the same process comes back", async () => {
      const { a, b } = await start({ hubOptions });
      await b.run((ctx) => ctx.io.close());
      await untilServers([a], 2);
      await b.run(async (ctx) => {
        const { Server } = await ctx.import("socket.io");
        const { createAdapter } = await ctx.import("@holdfast/adapter");
        ctx.store.io = new Server({ adapter: createAdapter(ctx.adapterOptions) });
        ctx.store.heard = new Promise((resolve) => ctx.store.io.on("back", resolve));
      });
      await untilServers([a], 3);
      await a.run((ctx) => void ctx.io.serverSideEmit("back", "again"));
      expect(await b.run((ctx) => ctx.store.heard)).toBe("again");
    });

    test("closing the adapter settles its requests with an error", async () => {
      const { a, b } = await start({ hubOptions });
      await b.stop();
      const error = await a.run(async (ctx) => {
        const request = ctx.io.fetchSockets().catch((thrown: { code: string }) => thrown.code);
        await new Promise(setImmediate);
        await ctx.io.close();
        await ctx.io.of("/").adapter.close();
        return request;
      });
      await b.resume();
      expect(error).toBe("HOLDFAST_ERR_CLOSED");
    });
  });
}

test("an event listener that throws is uncaught in its worker, and the link goes on", async () => {
  const { a, b } = await start({ workers: 2 });
  await b.run((ctx) => {
    ctx.store.uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
    ctx.store.heard = new Promise((resolve) => ctx.io.once("next", resolve));
    ctx.io.on("bad", () => {
      throw new Error("from the listener");
    });
  });
  await a.run((ctx) => {
    ctx.io.serverSideEmit("bad");
    ctx.io.serverSideEmit("next", 1);
  });
  expect(await b.run(async (ctx) => (await ctx.store.uncaught).message)).toBe("from the listener");
  expect(await b.run((ctx) => ctx.store.heard)).toBe(1);
});

test("a connection's listener that throws is uncaught in its worker, and neither link nor clients notice", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  const [one, two] = [await clients.connectTo(b), await clients.connectTo(b)];
  await b.run((ctx, id) => {
    ctx.store.uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
    ctx.io.sockets.sockets.get(id)?.conn.once("flush", () => {
      throw new Error("from the listener");
    });
  }, one.id);
  const lasts = [one, two].map((client) => client.next("last"));
  await a.run((ctx) => void ctx.io.emit("first"));
  expect(await b.run(async (ctx) => (await ctx.store.uncaught).message)).toBe("from the listener");
  await a.run((ctx) => void ctx.io.emit("last"));
  await Promise.all(lasts);
  for (const client of [one, two]) expect(client.received("first")).toEqual([[]]);
  const links = await cluster.primary.run((ctx) =>
    ctx.hub.stats().members.map(({ link }: { link: string }) => link),
  );
  expect(links).toEqual(["pipe", "pipe"]);
});

describe("socketsJoin() that a worker could not carry out leaves no interest behind", () => {
  /** Frames that the hub sends to worker b for a broadcast of worker a to a room that nobody is in. */
  async function strayFrames(cluster: TestCluster, room: string): Promise<number> {
    const { a: from, b: to } = cluster;
    const framesOut = () =>
      cluster.primary.run(
        (ctx, id) =>
          ctx.hub.stats().members.find(({ workerId }: { workerId: number }) => workerId === id).framesOut,
        to.workerId,
      );
    // Its answers come from behind everything that the worker had to tell the hub.
    await untilServers([to], 2);
    const before = await framesOut();
    await from.run((ctx, name) => void ctx.io.to(name).emit("nobody"), room);
    await untilServers([from], 2);
    return (await framesOut()) - before;
  }

  test("because a listener threw", async () => {
    const cluster = await start({ workers: 2 });
    const { a, b } = cluster;
    await clients.connectTo(b);
    await b.run((ctx) => {
      ctx.store.uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
      ctx.io.of("/").adapter.once("join-room", () => {
        throw new Error("from the listener");
      });
    });
    await a.run((ctx) => void ctx.io.socketsJoin("x"));
    await b.run(async (ctx) => void (await ctx.store.uncaught));
    await a.run(async (ctx) => {
      ctx.io.socketsLeave("x");
      await ctx.io.fetchSockets();
    });
    expect(await strayFrames(cluster, "x")).toBe(0);
  });

  test("because it closed the namespace meanwhile", async () => {
    const cluster = await start({ workers: 2 });
    const { a, b } = cluster;
    for (const worker of [a, b]) {
      await worker.run((ctx) => {
        const { adapter } = ctx.io.of("/closing");
        return ctx.until(async () => (await adapter.serverCount()) > 0);
      });
    }
    const stopping = b.next("stopping");
    const closed = b.run((ctx) => {
      ctx.io.of("/closing").adapter.close();
      ctx.emit("stopping");
      // Before the hub hears of it.
      process.kill(process.pid, "SIGSTOP");
    });
    await stopping;
    await b.halted();
    await a.run(async (ctx) => {
      ctx.io.of("/closing").socketsJoin("y");
      await ctx.io.of("/closing").adapter.serverCount();
    });
    await b.resume();
    await closed;
    // Claims are settled one after the other: none may be left over.
    await a.run(async (ctx) => {
      ctx.io.socketsJoin("x");
      await ctx.io.fetchSockets();
    });
    expect(await strayFrames(cluster, "x")).toBe(0);
  });
});

test("more rooms in one turn than a message holds are reported in several", async () => {
  const cluster = await start({ workers: 2, hubOptions: { maxMessageBytes: 65_536 } });
  const { a, b } = cluster;
  const client = await clients.connectTo(b);
  await b.run(async (ctx) => {
    const rooms = Array.from({ length: 50_000 }, (_, i) => `room-${i}`);
    await ctx.io.sockets.sockets.values().next().value?.join(rooms);
  });
  const got = [client.next("first"), client.next("last")];
  await a.run((ctx) => {
    ctx.io.to("room-0").emit("first");
    ctx.io.to("room-49999").emit("last");
  });
  await Promise.all(got);
  // Of so many, a few may share a key by chance.
  expect(await cluster.primary.run((ctx) => ctx.hub.stats().rooms)).toBeGreaterThan(49_980);
});

test("socketsJoin takes more rooms than a frame has keys", async () => {
  const { a, b } = await start({ workers: 2 });
  const client = await clients.connectTo(b);
  const got = client.next("last");
  await a.run((ctx) => {
    const rooms = Array.from({ length: 70_000 }, (_, i) => `room-${i}`);
    ctx.io.socketsJoin(rooms);
    ctx.io.to("room-69999").emit("last");
    ctx.io.to(rooms).emit("all");
  });
  await got;
  expect(client.received("last")).toHaveLength(1);
});

test("opening the pipes leaves later imports through symbolic links alone", async () => {
  const { a } = await start({ workers: 1 });
  // Its own imports are found only where the link that pnpm made leads to.
  const keys = await a.run(async (ctx) => Object.keys(await ctx.import("socket.io-client")));
  expect(keys).toContain("io");
});

test("two servers of one process need different scopes, and are apart with them", async () => {
  const { a, b } = await start({ workers: 2 });
  const results = [];
  for (const worker of [a, b]) {
    results.push(
      await worker.run(async (ctx) => {
        const { Server } = await ctx.import("socket.io");
        const { createAdapter } = await ctx.import("@holdfast/adapter");
        let code: unknown;
        try {
          new Server({ adapter: createAdapter() });
        } catch (error) {
          code = (error as { code: string }).code;
        }
        ctx.store.admin = new Server({ adapter: createAdapter({ scope: "admin" }) });
        ctx.store.events = [];
        ctx.io.on("which", () => ctx.store.events.push("public"));
        ctx.store.admin.on("which", () => ctx.store.events.push("admin"));
        return code;
      }),
    );
  }
  expect(results).toEqual(Array(2).fill("HOLDFAST_ERR_NAMESPACE_TAKEN"));
  await a.run(async (ctx) => {
    const { adapter } = ctx.store.admin.of("/");
    await ctx.until(async () => (await adapter.serverCount()) === 2);
    ctx.store.admin.serverSideEmit("which");
    // An answer over the same link: what was sent before has arrived there.
    await ctx.store.admin.fetchSockets();
  });
  expect(await b.run((ctx) => ctx.store.events)).toEqual(["admin"]);
});

test("two clusters side by side do not hear each other", async () => {
  const [one, other] = await Promise.all([start({ workers: 2 }), start({ workers: 2 })]);
  const mine = await clients.connectTo(one.b);
  const theirs = await clients.connectTo(other.b);
  const got = mine.next("hello");
  await one.a.run((ctx) => void ctx.io.emit("hello"));
  await got;
  const fence = theirs.next("fence");
  await other.a.run((ctx) => void ctx.io.emit("fence"));
  await fence;
  expect(theirs.received("hello")).toEqual([]);
});

test("a worker whose servers are closed ends by itself", async () => {
  const cluster = await start({ workers: 2 });
  const { a, b } = cluster;
  const exit = cluster.primary.next("exit");
  await cluster.primary.run((ctx) => {
    ctx.cluster.on("exit", (worker, code, signal) => ctx.emit("exit", [worker.id, code, signal]));
  });
  await b.run((ctx) => {
    void ctx.io.close().then(() => {
      ctx.cluster.worker?.disconnect();
      ctx.release();
    });
  });
  expect(await exit).toEqual([b.workerId, 0, null]);
  await untilServers([a], 1);
});

test("close() of the hub is idempotent and leaves workers delivering locally, told why", async () => {
  const cluster = await start({ workers: 2 });
  const { a } = cluster;
  const client = await clients.connectTo(a);
  const warned = a.next("warning");
  await a.run((ctx) => void process.on("warning", (warning) => ctx.emit("warning", warning.message)));
  await cluster.primary.run(async (ctx) => {
    await ctx.hub.close();
    await ctx.hub.close();
  });
  expect(await warned).toContain("The link to the hub is gone");
  const got = client.next("local");
  await a.run((ctx) => void ctx.io.emit("local"));
  await got;
  expect(await a.run((ctx) => ctx.io.of("/").adapter.serverCount())).toBe(1);
});

describe("misuse", () => {
  test("setupPrimary() in a worker, and twice", async () => {
    const cluster = await start({ workers: 1 });
    const { a } = cluster;
    const codeOf = (error: { code: string }) => error.code;
    const inWorker = await a
      .run(async (ctx) => {
        const { setupPrimary } = await ctx.import("@holdfast/adapter");
        setupPrimary();
      })
      .catch(codeOf);
    const twice = await cluster.primary
      .run(async (ctx) => {
        const { setupPrimary } = await ctx.import("@holdfast/adapter");
        setupPrimary();
      })
      .catch(codeOf);
    expect([inWorker, twice]).toEqual(["HOLDFAST_ERR_NOT_PRIMARY", "HOLDFAST_ERR_ALREADY_SET_UP"]);
  });

  test("a primary whose hub does not answer: an error that says what to call, and requests that fail with it", async () => {
    const cluster = await startWithoutHub();
    // It says that it has a hub, and has none.
    await cluster.primary.run(() => {
      process.env.HOLDFAST_HUB = String(process.pid);
    });
    const [a, b] = [await cluster.fork(), await cluster.fork()];
    const error = await a.run((ctx) => ctx.io.fetchSockets()).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "HOLDFAST_ERR_NO_HUB" });
    expect(error.message).toContain("Call setupPrimary() of @holdfast/adapter in the primary");
    await cluster.waitForOutput("[HOLDFAST_ERR_NO_HUB]");
    const client = await clients.connectTo(a);
    const got = client.next("local");
    const result = await a.run(async (ctx) => {
      ctx.io.emit("local");
      return [
        await ctx.io.of("/").adapter.serverCount(),
        await ctx.io.fetchSockets().catch((error: { code: string }) => error.code),
        await ctx.io.timeout(5_000).to("nobody").emitWithAck("x"),
        await ctx.io.sockets.sockets.values().next().value?.join("r"),
      ];
    });
    await got;
    expect(result).toEqual([1, "HOLDFAST_ERR_NO_HUB", [], undefined]);

    // A hub that opens late invites the workers, over the IPC channel.
    await cluster.primary.run(async (ctx) => {
      const { setupPrimary } = await ctx.import("@holdfast/adapter");
      ctx.store.hub = setupPrimary();
    });
    await untilServers([a], 2);
    await untilServers([b], 2);
    const late = client.next("late");
    await b.run((ctx) => void ctx.io.to("r").emit("late"));
    await late;
    const links = await cluster.primary.run((ctx) =>
      ctx.store.hub.stats().members.map((member: { link: string }) => member.link),
    );
    expect(links).toEqual(["ipc", "ipc"]);
  });

  test("ends that speak different protocols are told so", async () => {
    const cluster = await start({ workers: 1 });
    const { a } = cluster;
    await cluster.primary.run((ctx) => {
      ctx.cluster.on("message", (_worker, message) => {
        const kind = (message as Record<string, unknown>)["holdfast:adapter"];
        if (kind === "hello") ctx.emit("hello", message);
      });
    });
    const refusal = await a.run(
      () =>
        new Promise((resolve) => {
          process.on("message", (message: Record<string, unknown>) => {
            if (message["holdfast:adapter"] === "refusal") resolve(message);
          });
          process.send?.({ "holdfast:adapter": "hello", protocol: 999, version: "9.9.9" });
        }),
    );
    expect(refusal).toEqual({
      "holdfast:adapter": "refusal",
      protocol: PROTOCOL_VERSION,
      version: expect.any(String),
    });
    const warning = await a.run(
      (ctx) =>
        new Promise((resolve) => {
          process.once("warning", (error) => resolve([(error as { code?: string }).code, error.message]));
          process.emit(
            "message",
            { "holdfast:adapter": "refusal", protocol: 999, version: "9.9.9" },
            undefined,
          );
          void ctx;
        }),
    );
    expect(warning).toEqual([
      "HOLDFAST_ERR_VERSION_MISMATCH",
      expect.stringContaining("The primary runs @holdfast/adapter 9.9.9 (protocol 999)"),
    ]);
  });
});

test("over ipc, a killed worker to which a connection was on its way is gone when its channel has ended", async () => {
  const cluster = await start({
    hubOptions: { link: "ipc" },
    sticky: "@holdfast/sticky",
    workers: 2,
    stickyOptions: { loadBalancingMethod: "round-robin" },
  });
  await cluster.a.stop();
  await cluster.primary.run(waitForNothingLong);
  const asked = [1, 2].map(() => httpRequest(`${cluster.url}/socket.io/?EIO=4&transport=polling`));
  await cluster.primary.run((ctx) =>
    ctx.until(() => (ctx.router.stats() as PrimaryStats).workers.every((worker) => worker.handedOver === 1)),
  );
  await cluster.a.kill("SIGKILL");
  await cluster.primary.run((ctx) => ctx.until(() => ctx.hub.stats().members.length === 1));
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
});
