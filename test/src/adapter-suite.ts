/**
 * The adapter's behaviour on a real cluster, as a function of how the cluster is set up.
 * Workers have a port each, so that a test chooses where a client is.
 */
import { within } from "@holdfast/harness";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Clients, type TestClient } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { ClusterConfig } from "./harness/context.js";

export function adapterSuite(name: string, config: ClusterConfig): void {
  describe(name, () => {
    let cluster: TestCluster;
    const clients = new Clients();
    let a: TestClient;
    let b: TestClient;
    let c: TestClient;
    let workerA: RemoteWorker;
    let workerB: RemoteWorker;
    let workerC: RemoteWorker;

    beforeAll(async () => {
      cluster = await TestCluster.start({ sticky: false, workers: 3, ...config });
      ({ a: workerA, b: workerB, c: workerC } = cluster);
      await cluster.untilJoined();
    });

    afterAll(async () => {
      clients.close();
      await cluster?.close();
    });

    /** One client on each worker; their sockets have been joined by the hub's word. */
    async function connectAll(path = "/"): Promise<void> {
      [a, b, c] = await Promise.all([
        clients.connectTo(workerA, {}, path),
        clients.connectTo(workerB, {}, path),
        clients.connectTo(workerC, {}, path),
      ]);
      // A worker's own join is known to the hub before this answer, which comes the same way.
      for (const worker of cluster.workers) {
        await worker.run(async (ctx, nsp) => {
          await Promise.all([...ctx.io.of(nsp).sockets.values()].map((socket) => socket.join(socket.id)));
        }, path);
      }
    }

    afterEach(() => {
      clients.close();
      expect(cluster.output).toBe("");
    });

    /** Everybody gets the fence, sent behind what was sent before: what has not come by then never comes. */
    async function fence(from: RemoteWorker, ...receivers: TestClient[]): Promise<void> {
      const arrived = receivers.map((client) => client.next("fence"));
      await from.run((ctx) => void ctx.io.emit("fence"));
      await Promise.all(arrived);
    }

    /** Waits until a namespace has this many sockets on all workers. */
    async function untilSockets(count: number): Promise<void> {
      await workerA.run(
        (ctx, expected) => ctx.until(async () => (await ctx.io.fetchSockets()).length === expected),
        count,
      );
    }

    describe("broadcast", () => {
      test("reaches the clients of all workers", async () => {
        await connectAll();
        const all = [a, b, c].map((client) => client.next("hello"));
        await workerA.run((ctx) => void ctx.io.emit("hello", 1, "2", { 3: ["4"] }));
        expect(await Promise.all(all)).toEqual(Array(3).fill([1, "2", { 3: ["4"] }]));
      });

      test("carries binary, nested", async () => {
        await connectAll();
        const all = [a, b, c].map((client) => client.next("hello"));
        await workerA.run(
          (ctx) =>
            void ctx.io.emit("hello", Buffer.from([0, 1, 255]), { deep: [new Uint8Array([128, 0, 10])] }),
        );
        const expected = [Buffer.from([0, 1, 255]), { deep: [Buffer.from([128, 0, 10])] }];
        expect(await Promise.all(all)).toEqual(Array(3).fill(expected));
      });

      test("carries text beyond ASCII and of every frame size", async () => {
        await connectAll();
        for (const text of ["é\u2028😀", "x".repeat(200), "é".repeat(40_000), "y".repeat(70_000)]) {
          const got = c.next("text");
          await workerA.run((ctx, value) => void ctx.io.emit("text", value), text);
          expect(await got).toEqual([text]);
        }
      });

      test("reaches clients that use long-polling", async () => {
        const polling = await clients.connectTo(workerB, { transports: ["polling"] });
        const got = polling.next("hello");
        await workerB.run((ctx) => Promise.all([...ctx.io.sockets.sockets.values()].map((s) => s.join("p"))));
        await workerA.run((ctx) => void ctx.io.to("p").emit("hello", "é", Buffer.from([1, 2])));
        expect(await got).toEqual(["é", Buffer.from([1, 2])]);
      });

      test("goes to rooms, each client once, and leaves out the excepted", async () => {
        await connectAll();
        await workerA.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join(["one", "two"]), a.id);
        await workerB.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("two"), b.id);
        await workerC.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join(["two", "not"]), c.id);
        await workerC.run((ctx) => void ctx.io.to("one").to(["two"]).except("not").emit("rooms"));
        await fence(workerC, a, b, c);
        expect([a, b, c].map((client) => client.received("rooms").length)).toEqual([1, 1, 0]);
      });

      test("keeps room names that are numbers apart from text", async () => {
        await connectAll();
        await workerA.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join(7 as never), a.id);
        await workerB.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("7"), b.id);
        await workerC.run((ctx) => void ctx.io.to(7 as never).emit("number"));
        await fence(workerC, a, b);
        expect([a, b].map((client) => client.received("number").length)).toEqual([1, 0]);
      });

      test("excludes the sender's socket with socket.broadcast", async () => {
        await connectAll();
        await workerA.run((ctx, id) => void ctx.io.sockets.sockets.get(id)?.broadcast.emit("others"), a.id);
        await fence(workerA, a, b, c);
        expect([a, b, c].map((client) => client.received("others").length)).toEqual([0, 1, 1]);
      });

      test("stays on the worker with local", async () => {
        await connectAll();
        await workerA.run((ctx) => void ctx.io.local.emit("here"));
        await fence(workerA, a, b, c);
        expect([a, b, c].map((client) => client.received("here").length)).toEqual([1, 0, 0]);
      });

      test("accepts volatile and compress", async () => {
        await connectAll();
        const got = [b.next("v"), c.next("z")];
        await workerA.run((ctx) => void ctx.io.volatile.emit("v", 1));
        await workerA.run((ctx) => void ctx.io.compress(false).emit("z", 2));
        expect(await Promise.all(got)).toEqual([[1], [2]]);
      });

      test("reaches a socket of another worker by its id", async () => {
        await connectAll();
        const got = c.next("private");
        await workerA.run((ctx, id) => void ctx.io.to(id).emit("private", "you"), c.id);
        expect(await got).toEqual(["you"]);
        await fence(workerA, a, b);
        expect([a, b].map((client) => client.received("private").length)).toEqual([0, 0]);
      });

      test("keeps the order of one worker, local and remote", async () => {
        await connectAll();
        await workerA.run((ctx) => {
          for (let i = 0; i < 500; i++) ctx.io.emit("n", i);
        });
        await fence(workerA, a, b, c);
        const expected = Array.from({ length: 500 }, (_, i) => [i]);
        for (const client of [a, b, c]) expect(client.received("n")).toEqual(expected);
      });

      test("tells outgoing listeners on every worker", async () => {
        await connectAll();
        await workerB.run((ctx, id) => {
          ctx.store.heard = new Promise((resolve) => {
            ctx.io.sockets.sockets.get(id)?.onAnyOutgoing((...args) => resolve(args));
          });
        }, b.id);
        await workerA.run((ctx) => void ctx.io.to(["x", "y"]).emit("not to me"));
        await workerA.run((ctx, id) => void ctx.io.to(id).emit("heard", { x: 1 }, Buffer.from("b")), b.id);
        expect(await workerB.run((ctx) => ctx.store.heard)).toEqual(["heard", { x: 1 }, Buffer.from("b")]);
      });

      test("carries a message of 5 MB", async () => {
        await connectAll();
        const got = c.next("large");
        await workerA.run((ctx) => void ctx.io.emit("large", Buffer.alloc(5_000_000, 7)));
        const [large] = (await got) as [Buffer];
        expect(large.equals(Buffer.alloc(5_000_000, 7))).toBe(true);
      });

      test("refuses a message over the limit at the sender", async () => {
        const error = await workerA.run((ctx) => {
          try {
            ctx.io.emit("too large", Buffer.alloc(33 * 2 ** 20));
            return undefined;
          } catch (thrown) {
            return (thrown as { code: string }).code;
          }
        });
        expect(error).toBe("HOLDFAST_ERR_MESSAGE_TOO_LARGE");
      });
    });

    describe("acknowledgements", () => {
      test("come from the clients of all workers", async () => {
        await connectAll();
        for (const [client, value] of [
          [a, 1],
          [b, Buffer.from([2])],
          [c, { three: 3 }],
        ] as const) {
          client.socket.on("ask", (_question: string, answer: (value: unknown) => void) => answer(value));
        }
        const answers = await workerA.run((ctx) => ctx.io.timeout(20_000).emitWithAck("ask", "?"));
        expect(answers).toHaveLength(3);
        expect(answers).toEqual(expect.arrayContaining([1, Buffer.from([2]), { three: 3 }]));
      });

      test("come from rooms that no worker but the sender's has", async () => {
        await connectAll();
        await workerA.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("mine"), a.id);
        a.socket.on("ask", (answer: (value: string) => void) => answer("a"));
        const ask = (room: string) =>
          workerA.run((ctx, to) => ctx.io.timeout(20_000).to(to).emitWithAck("ask"), room);
        expect(await ask("mine")).toEqual(["a"]);
        expect(await ask("nobody's")).toEqual([]);
      });

      test("stay local with local", async () => {
        await connectAll();
        a.socket.on("ask", (answer: (value: string) => void) => answer("a"));
        expect(await workerA.run((ctx) => ctx.io.local.timeout(20_000).emitWithAck("ask"))).toEqual(["a"]);
      });

      test("that are missing end at io.timeout() with the others' answers", async () => {
        await connectAll();
        b.socket.on("ask", (answer: (value: string) => void) => answer("b"));
        const result = await workerA.run(
          (ctx) =>
            new Promise((resolve) => {
              // Long enough for the answer of a busy worker.
              ctx.io.timeout(3_000).emit("ask", (error: Error | null, answers: unknown[]) => {
                resolve([error?.message, answers]);
              });
            }),
        );
        expect(result).toEqual(["operation has timed out", ["b"]]);
      });

      test("reach RemoteSocket.emit() as a single answer", async () => {
        await connectAll();
        c.socket.on("ask", (answer: (value: string) => void) => answer("c"));
        const answer = await workerA.run(async (ctx, id) => {
          const [remote] = await ctx.io.in(id).fetchSockets();
          return new Promise((resolve) => {
            remote?.timeout(20_000).emit("ask", (_error: unknown, value: unknown) => resolve(value));
          });
        }, c.id);
        expect(answer).toBe("c");
      });
    });

    describe("fetchSockets", () => {
      test("finds the sockets of all workers with id, rooms, data and handshake", async () => {
        await connectAll();
        await workerB.run(async (ctx, id) => {
          const socket = ctx.io.sockets.sockets.get(id);
          if (!socket) throw new Error("no socket");
          socket.data.name = "B";
          await socket.join("r");
        }, b.id);
        const found = await workerA.run(async (ctx) =>
          (await ctx.io.fetchSockets()).map(({ id, rooms, data, handshake }) => ({
            id,
            rooms: [...rooms],
            data,
            eio: handshake.query.EIO,
          })),
        );
        expect(found.map(({ id }) => id).sort()).toEqual([a.id, b.id, c.id].sort());
        expect(found.find(({ id }) => id === b.id)).toEqual({
          id: b.id,
          rooms: [b.id, "r"],
          data: { name: "B" },
          eio: "4",
        });
      });

      test("goes by rooms, except and local", async () => {
        await connectAll();
        await workerB.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join(["r", "s"]), b.id);
        await workerC.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("r"), c.id);
        const ids = await workerA.run(async (ctx) => {
          const idsOf = (sockets: { id: string }[]) => sockets.map(({ id }) => id).sort();
          return {
            room: idsOf(await ctx.io.in("r").fetchSockets()),
            except: idsOf(await ctx.io.in("r").except("s").fetchSockets()),
            local: idsOf(await ctx.io.local.fetchSockets()),
            all: [...(await ctx.io.in("r").allSockets())].sort(),
          };
        });
        const room = [b.id, c.id].sort();
        expect(ids).toEqual({ room, except: [c.id], local: [a.id], all: room });
      });

      test("keeps every kind of value in socket.data", async () => {
        await connectAll();
        await workerB.run((ctx, id) => {
          const socket = ctx.io.sockets.sockets.get(id);
          if (!socket) throw new Error("no socket");
          socket.data = {
            buffer: Buffer.from([1]),
            typed: new Float64Array([1.5]),
            date: new Date(5),
            map: new Map<unknown, unknown>([[{ k: 1 }, new Set([1])]]),
            nothing: undefined,
            list: [undefined, null],
            big: 2n ** 80n,
            small: -3n,
          };
        }, b.id);
        const data = await workerA.run(
          async (ctx, id) => (await ctx.io.in(id).fetchSockets())[0]?.data,
          b.id,
        );
        expect(data).toEqual({
          buffer: Buffer.from([1]),
          typed: new Float64Array([1.5]),
          date: new Date(5),
          map: new Map<unknown, unknown>([[{ k: 1 }, new Set([1])]]),
          nothing: undefined,
          list: [undefined, null],
          big: 2n ** 80n,
          small: -3n,
        });
      });

      test("leaves out what of a socket's data cannot be sent", async () => {
        await connectAll();
        await workerB.run((ctx, id) => {
          const socket = ctx.io.sockets.sockets.get(id);
          if (!socket) throw new Error("no socket");
          socket.data = { good: 1, bad: Symbol("no") };
          // Node.js would print it. With recovery, it cannot be kept for the client's return either.
          const printing = process.listeners("warning");
          process.removeAllListeners("warning");
          process.on("warning", (warning) => {
            const { message } = warning;
            if (message.includes(`of socket ${id} is left out of fetchSockets()`))
              ctx.emit("warning", message);
            else if (!message.includes(`of socket ${id} cannot be kept`))
              for (const listener of printing) listener(warning);
          });
        }, b.id);
        const warned = workerB.next("warning");
        const sockets = await workerA.run(async (ctx) =>
          (await ctx.io.fetchSockets()).map(({ id, data }) => [id, data]),
        );
        expect(Object.fromEntries(sockets)).toEqual({ [a.id]: {}, [b.id]: { good: 1 }, [c.id]: {} });
        expect(await warned).toContain(`socket.data.bad of socket ${b.id}`);
      });

      test("gives RemoteSockets that can join, leave, emit and disconnect", async () => {
        await connectAll();
        const got = c.next("direct");
        const gone = c.next("bye");
        const closed = new Promise((resolve) => c.socket.once("disconnect", resolve));
        await workerA.run(async (ctx, id) => {
          const [remote] = await ctx.io.in(id).fetchSockets();
          remote?.join("new");
          ctx.io.to("new").emit("direct", 1);
          remote?.leave("new");
          remote?.emit("bye");
          remote?.disconnect();
        }, c.id);
        expect(await got).toEqual([1]);
        await gone;
        expect(await within(closed, "disconnect")).toBe("io server disconnect");
      });
    });

    describe("operations on many sockets", () => {
      test("socketsJoin, then a broadcast to the room, reaches the new members", async () => {
        await connectAll();
        for (let round = 0; round < 20; round++) {
          const got = [a, b, c].map((client) => client.next(`to-${round}`));
          await workerA.run((ctx, room) => {
            ctx.io.socketsJoin(room);
            ctx.io.to(room).emit(`to-${room}`);
          }, String(round));
          await Promise.all(got);
        }
      });

      test("socketsLeave takes them out again", async () => {
        await connectAll();
        await workerA.run((ctx) => {
          ctx.io.socketsJoin(["x", "y"]);
          ctx.io.in("y").socketsLeave("x");
          ctx.io.to("x").emit("left");
          ctx.io.to("y").emit("stayed");
        });
        await fence(workerA, a, b, c);
        expect([a, b, c].map((client) => client.received("left").length)).toEqual([0, 0, 0]);
        expect([a, b, c].map((client) => client.received("stayed").length)).toEqual([1, 1, 1]);
      });

      test("disconnectSockets reaches all workers, and closes connections if asked", async () => {
        await connectAll();
        const closed = [a, b, c].map(
          (client) => new Promise((resolve) => client.socket.once("disconnect", resolve)),
        );
        await workerB.run((ctx, id) => void ctx.io.except(id).disconnectSockets(), b.id);
        expect(await within(Promise.all([closed[0], closed[2]]), "disconnects")).toEqual(
          Array(2).fill("io server disconnect"),
        );
        expect(b.socket.connected).toBe(true);
        await workerA.run((ctx) => void ctx.io.disconnectSockets(true));
        await within(Promise.all(closed), "disconnect of b");
      });

      test("await socket.join() means: every broadcast from anywhere arrives from then on", async () => {
        await connectAll();
        for (let round = 0; round < 100; round++) {
          const got = b.next(`joined-${round}`);
          await workerB.run((ctx, id, room) => ctx.io.sockets.sockets.get(id)?.join(room), b.id, `j${round}`);
          await workerC.run((ctx, n) => void ctx.io.to(`j${n}`).emit(`joined-${n}`), round);
          await got;
        }
      });

      test("a worker gets no broadcast to rooms that it has left", async () => {
        await connectAll();
        await workerB.run(async (ctx, id) => {
          const socket = ctx.io.sockets.sockets.get(id);
          await socket?.join("brief");
          await socket?.leave("brief");
          await socket?.join("fence");
        }, b.id);
        const member = async () =>
          cluster.primary.run(
            (ctx, workerId) =>
              ctx.hub.stats().members.find((m: { workerId: number }) => m.workerId === workerId).framesOut,
            workerB.workerId,
          );
        const before = await member();
        await workerA.run((ctx) => {
          for (let i = 0; i < 50; i++) ctx.io.to("brief").emit("nobody");
        });
        await fence(workerA, a, b, c);
        // The fence, and the answers to interest that other clients caused.
        if (config.adapterOptions === undefined) expect((await member()) - before).toBeLessThan(10);
        expect(b.received("nobody")).toEqual([]);
      });
    });

    describe("serverSideEmit", () => {
      test("reaches the other workers with every kind of value", async () => {
        await workerB.run((ctx) => {
          ctx.store.event = new Promise((resolve) => ctx.io.once("sse", (...args) => resolve(args)));
        });
        await workerA.run((ctx) => {
          ctx.io.on("sse", () => ctx.emit("echo"));
          ctx.io.serverSideEmit(
            "sse",
            Buffer.from([1, 0, 255]),
            new Uint16Array([500]),
            new Date(9),
            new Map([["k", new Set([1n])]]),
            undefined,
            { nested: [new ArrayBuffer(2), Number.NaN] },
          );
        });
        expect(await workerB.run((ctx) => ctx.store.event)).toEqual([
          Buffer.from([1, 0, 255]),
          new Uint16Array([500]),
          new Date(9),
          new Map([["k", new Set([1n])]]),
          undefined,
          { nested: [new ArrayBuffer(2), Number.NaN] },
        ]);
      });

      test("collects one answer of each other worker", async () => {
        for (const worker of cluster.workers) {
          await worker.run((ctx) => {
            ctx.io.removeAllListeners("pid");
            ctx.io.on("pid", (answer: (pid: unknown) => void) => {
              answer(new Map([["pid", process.pid]]));
              answer("only the first counts");
            });
          });
        }
        const answers = await workerA.run((ctx) => ctx.io.serverSideEmitWithAck("pid"));
        expect(answers).toHaveLength(2);
        expect(answers).toEqual(
          expect.arrayContaining([new Map([["pid", workerB.pid]]), new Map([["pid", workerC.pid]])]),
        );
      });

      test("refuses what has no encoded form, at the caller", async () => {
        const error = await workerA
          .run((ctx) => void ctx.io.serverSideEmit("x", Symbol("no")))
          .catch((thrown) => thrown);
        expect(error).toMatchObject({ code: "HOLDFAST_ERR_UNSERIALIZABLE" });
      });
    });

    describe("namespaces", () => {
      test("are apart from each other", async () => {
        for (const worker of cluster.workers) await worker.run((ctx) => void ctx.io.of("/other"));
        await connectAll();
        const other = await clients.connectTo(workerB, {}, "/other");
        const got = other.next("only");
        await workerA.run((ctx) => void ctx.io.of("/other").emit("only"));
        await got;
        await fence(workerA, a, b, c);
        expect(b.received("only")).toEqual([]);
      });

      test("may be dynamic, and exist on some workers only", async () => {
        for (const worker of cluster.workers) {
          await worker.run((ctx) => void ctx.io.of(/^\/dynamic-\d+$/).on("connection", () => {}));
        }
        const one = await clients.connectTo(workerA, {}, "/dynamic-1");
        const two = await clients.connectTo(workerB, {}, "/dynamic-1");
        await workerB.run((ctx) =>
          Promise.all([...ctx.io.of("/dynamic-1").sockets.values()].map((socket) => socket.join("d"))),
        );
        const got = two.next("dyn");
        const facts = await workerA.run(async (ctx) => {
          const nsp = ctx.io.of("/dynamic-1");
          nsp.to("d").emit("dyn");
          return [await nsp.adapter.serverCount(), (await nsp.fetchSockets()).length];
        });
        await got;
        expect(facts).toEqual([2, 2]);
        expect(one.received("dyn")).toEqual([]);
      });

      test("that are cleaned up are counted no more", async () => {
        const result = await workerA.run(async (ctx) => {
          const { Server } = await ctx.import("socket.io");
          const { createAdapter } = await ctx.import("@holdfast/adapter");
          const io = new Server({ adapter: createAdapter({ scope: "short-lived" }) });
          const counts = [await io.of("/gone").adapter.serverCount()];
          await io.of("/gone").adapter.close();
          counts.push(await io.of("/gone").adapter.serverCount());
          await io.of("/").adapter.close();
          return counts;
        });
        expect(result).toEqual([1, 1]);
      });
    });

    test("room events are those of Socket.IO's own adapter", async () => {
      await connectAll();
      const events = await workerA.run(async (ctx, id) => {
        const seen: unknown[][] = [];
        const { adapter } = ctx.io.of("/");
        // An application may have cleaned up before.
        adapter.removeAllListeners();
        for (const event of ["create-room", "join-room", "leave-room", "delete-room"]) {
          adapter.on(event, (...args: unknown[]) => seen.push([event, ...args]));
        }
        const socket = ctx.io.sockets.sockets.get(id);
        await socket?.join("ev");
        await socket?.leave("ev");
        adapter.removeAllListeners();
        return seen;
      }, a.id);
      expect(events).toEqual([
        ["create-room", "ev"],
        ["join-room", "ev", a.id],
        ["leave-room", "ev", a.id],
        ["delete-room", "ev"],
      ]);
    });

    test("serverCount() is the number of workers", async () => {
      expect(await workerA.run((ctx) => ctx.io.of("/").adapter.serverCount())).toBe(3);
    });

    test("the hub forgets rooms when their sockets are gone", async () => {
      await connectAll();
      await workerB.run((ctx, id) => {
        const rooms = Array.from({ length: 1000 }, (_, i) => `room-${i}`);
        return ctx.io.sockets.sockets.get(id)?.join(rooms);
      }, b.id);
      const rooms = () => cluster.primary.run((ctx) => ctx.hub.stats().rooms as number);
      if (config.adapterOptions === undefined) {
        // Two of them may have one key.
        expect(await rooms()).toBeGreaterThan(1000);
        expect(await rooms()).toBeLessThanOrEqual(1003);
      }
      clients.close();
      await untilSockets(0);
      // The workers' last reports went before their answers to fetchSockets on the same links.
      expect(await rooms()).toBe(0);
    });

    test("the link is the one that was asked for", async () => {
      const kinds = await cluster.primary.run((ctx) =>
        ctx.hub.stats().members.map((member: { link: string }) => member.link),
      );
      const wanted = (config.hubOptions as { link?: string } | undefined)?.link ?? "pipe";
      expect(kinds).toEqual(Array(3).fill(wanted));
    });
  });
}
