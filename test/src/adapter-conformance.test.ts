/**
 * The bytes that clients receive: with Socket.IO's own in-memory adapter in one process, and with Holdfast on the
 * sender's worker and on another one. They must be the same, whatever the transport, the protocol and the parser.
 */
import { createHash } from "node:crypto";
import msgpackParser from "socket.io-msgpack-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { ClusterConfig, WorkerContext } from "./harness/context.js";
import { openRaw, type RawClient, type RawOptions } from "./harness/raw-client.js";
import { openPolling } from "./harness/raw-polling.js";

/** What is broadcast. Runs in the sender: it uses nothing from outside. */
type Emit = (ctx: WorkerContext) => void;

const CASES: Record<string, Emit> = {
  "no arguments": ({ io }) => void io.emit("x"),
  text: ({ io }) => void io.emit("x", "text", 1, -1.5, true, ""),
  unicode: ({ io }) =>
    void io.emit("é\u2028", "aé", "😀\u0000\u007f\u0080\u07ff\u0800\uffff", "\ud800 alone"),
  "text of all frame sizes": ({ io }) => {
    for (const size of [100, 116, 117, 118, 119, 65_526, 65_527, 65_528, 65_529]) {
      io.emit("x", "y".repeat(size));
    }
    for (const size of [57, 58, 59, 32_762, 32_763, 32_764]) io.emit("x", "é".repeat(size));
  },
  "large text": ({ io }) => void io.emit("x", "0123456789é".repeat(60_000)),
  nested: ({ io }) => void io.emit("x", { a: [{ b: { c: [[]] } }], é: {} }, [1, [2, [3]]]),
  "null and undefined": ({ io }) =>
    void io.emit("x", null, undefined, [undefined, null], { u: undefined, n: null }, undefined),
  "numbers that JSON has not": ({ io }) => void io.emit("x", [Number.NaN, Infinity, -0, 1e21, 2 ** 53]),
  dates: ({ io }) => void io.emit("x", new Date(5), { at: [new Date(0)] }),
  "a number as the event's name": ({ io }) => void io.emit(7 as never, "seven"),
  send: ({ io }) => void io.send("message", 1),
  binary: ({ io }) => void io.emit("x", Buffer.from([0, 1, 127, 128, 255])),
  "empty binary": ({ io }) => void io.emit("x", Buffer.alloc(0), "after"),
  "several attachments": ({ io }) =>
    void io.emit("x", Buffer.from("one"), { two: [Buffer.from("two"), { three: Buffer.from("é") }] }, "text"),
  "views and array buffers": ({ io }) => {
    const { buffer } = new Uint8Array([9, 8, 7, 6, 5, 4, 3, 2]);
    io.emit("x", new Uint8Array(buffer, 2, 3), buffer, Buffer.from("pool").subarray(1, 3));
  },
  "binary of all frame sizes": ({ io }) => {
    for (const size of [124, 125, 126, 127, 65_535, 65_536, 65_537]) io.emit("x", Buffer.alloc(size, size));
  },
  "large binary": ({ io }) => void io.emit("x", Buffer.alloc(700_000, "binary")),
  "binary between text": ({ io }) => {
    for (let i = 0; i < 30; i++) io.emit("x", i % 3 === 0 ? Buffer.from([i]) : i);
  },
  volatile: ({ io }) => void io.volatile.emit("x", "v"),
  "volatile binary": ({ io }) => void io.volatile.emit("x", Buffer.from("v")),
  "compress(false)": ({ io }) => void io.compress(false).emit("x", "c".repeat(2_000)),
  "compress(true)": ({ io }) => void io.compress(true).emit("x", "c".repeat(2_000), Buffer.alloc(2_000)),
  "a room": ({ io }) => void io.to("first").emit("x", 1),
  "several rooms": ({ io }) =>
    void io
      .to("both")
      .to(["first", "nobody"])
      .emit("x", Buffer.from([1])),
  except: ({ io }) => void io.except("first").emit("x", 1),
  "rooms and except": ({ io }) => void io.to(["first", "second"]).except(["second", "nobody"]).emit("x"),
  "nobody's room": ({ io }) => void io.to("nobody").emit("x"),
  "many in a row": ({ io }) => {
    for (let i = 0; i < 200; i++) io.to(i % 2 === 0 ? "both" : "first").emit("x", i);
  },
};

/** How the two clients of each kind connect. */
const CLIENTS: Record<string, Pick<RawOptions, "transport" | "revision" | "b64">> = {
  WebSocket: { transport: "websocket", revision: 4 },
  polling: { transport: "polling", revision: 4 },
  "WebSocket without binary": { transport: "websocket", revision: 4, b64: true },
  "WebSocket, EIO=3": { transport: "websocket", revision: 3 },
  "WebSocket without binary, EIO=3": { transport: "websocket", revision: 3, b64: true },
  "polling, EIO=3": { transport: "polling", revision: 3 },
  "polling without binary, EIO=3": { transport: "polling", revision: 3, b64: true },
};

interface Setup {
  readonly io?: object;
  readonly parser?: string;
  readonly connectPacket: string | Buffer;
}

const [connect] = new msgpackParser.Encoder().encode({ type: 0, nsp: "/" }) as unknown as Buffer[];
const MSGPACK_CONNECT = connect ?? "";

const SETUPS: Record<string, Setup> = {
  "Socket.IO's defaults": { connectPacket: "40" },
  perMessageDeflate: { io: { perMessageDeflate: true, httpCompression: false }, connectPacket: "40" },
  "the msgpack parser": {
    parser: "socket.io-msgpack-parser",
    connectPacket: MSGPACK_CONNECT,
  },
  "the msgpack parser and perMessageDeflate": {
    io: { perMessageDeflate: true },
    parser: "socket.io-msgpack-parser",
    connectPacket: MSGPACK_CONNECT,
  },
};

for (const [name, setup] of Object.entries(SETUPS)) {
  describe(`with ${name}, clients receive the bytes that they get from Socket.IO's own adapter`, () => {
    let reference: Stage;
    let holdfast: Stage;

    beforeAll(async () => {
      [reference, holdfast] = await Promise.all([
        Stage.open(setup, { workers: 1, adapter: false }),
        Stage.open(setup, { workers: 2 }),
      ]);
    });
    afterAll(() => Promise.all([reference?.close(), holdfast?.close()]));

    for (const [title, emit] of Object.entries(CASES)) {
      test(title, async () => {
        const [[expected], [own, other]] = await Promise.all([reference.play(emit), holdfast.play(emit)]);
        expect(own?.received).toEqual(expected?.received);
        expect(other?.received).toEqual(expected?.received);
        expect(brief(own?.outgoing)).toEqual(brief(expected?.outgoing));
        // What came from another worker has been encoded and decoded: it is what the clients see.
        const decode = setup.parser ? throughMsgpack : throughJson;
        const decoded = expected?.outgoing.map(([args, times]) => [decode(args), times]);
        expect(brief(other?.outgoing)).toEqual(brief(decoded));
      });
    }
  });
}

test("a client that takes no packets misses what is volatile, and nothing else", async () => {
  for (const config of [{ workers: 1, adapter: false } as const, { workers: 2 }]) {
    const cluster = await TestCluster.start({ sticky: false, ...config });
    try {
      await cluster.untilJoined();
      const pollers = [];
      for (const worker of cluster.workers) pollers.push(await openPolling(worker.url));
      await cluster.a.run(({ io }) => {
        io.emit("first");
        io.volatile.emit("volatile", 1);
        io.volatile.emit("volatile", Buffer.from("2"));
        io.emit("last");
      });
      // The other worker's answer comes from behind them.
      await cluster.a.run(async ({ io }) => void (await io.fetchSockets()));
      for (const poller of pollers) {
        const packets = [];
        while (packets.at(-1) !== '42["last"]') packets.push(...(await poller.poll()));
        expect(packets).toEqual(['42["first"]', '42["last"]']);
        await poller.close();
      }
    } finally {
      await cluster.close();
    }
  }
});

/** What happened at one worker in one case. */
interface Scene {
  /** By client, the frames or packets in order. */
  readonly received: Record<string, unknown[]>;
  /** What the `onAnyOutgoing` listeners of all sockets got, in order, and how many times in a row. */
  readonly outgoing: [args: unknown, times: number][];
}

/** A cluster with clients of every kind on each worker. */
class Stage {
  readonly #cluster: TestCluster;
  readonly #workers: RemoteWorker[];
  readonly #clients: Record<string, RawClient>[] = [];
  #plays = 0;

  private constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    this.#workers = cluster.workers;
  }

  static async open({ connectPacket, parser, io }: Setup, config: ClusterConfig): Promise<Stage> {
    const cluster = await TestCluster.start({
      sticky: false,
      // No packet of the engine's own may come between.
      io: { allowEIO3: true, pingInterval: 1e9, pingTimeout: 1e9, ...io },
      ...(parser && { parser }),
      ...config,
    });
    await cluster.untilJoined();
    const stage = new Stage(cluster);
    for (const worker of stage.#workers) stage.#clients.push(await stage.#connect(worker, connectPacket));
    return stage;
  }

  async #connect(worker: RemoteWorker, connectPacket: string | Buffer): Promise<Record<string, RawClient>> {
    await worker.run((ctx) => {
      ctx.store.outgoing = [];
      ctx.store.joins = [];
      ctx.io.on("connection", (socket) => {
        ctx.store.joins.push(socket.join(["both", String(socket.handshake.query.room)]));
        socket.onAnyOutgoing((...args) => ctx.store.outgoing.push(args));
      });
    });
    const { url } = worker;
    const clients: Record<string, RawClient> = {};
    for (const room of ["first", "second"]) {
      for (const [kind, options] of Object.entries(CLIENTS)) {
        clients[`${kind}, ${room}`] = await openRaw(url, { ...options, connectPacket, query: { room } });
      }
    }
    await worker.run((ctx) => Promise.all(ctx.store.joins));
    return clients;
  }

  /** Broadcasts from the first worker; gives what each worker's clients and listeners got. */
  async play(emit: Emit): Promise<Scene[]> {
    const marker = `end ${++this.#plays};`;
    for (const worker of this.#workers) await untilWritable(worker);
    const received = this.#clients.map((clients) => receive(clients, marker));
    await (this.#workers[0] as RemoteWorker).run(emit);
    await (this.#workers[0] as RemoteWorker).run((ctx, name) => void ctx.io.emit(name), marker);
    const scenes: Scene[] = [];
    for (const [i, worker] of this.#workers.entries()) {
      const byClient = (await received[i]) ?? {};
      const outgoing = await worker.run(async (ctx, clients) => {
        const { isDeepStrictEqual } = (await ctx.import("node:util")) as typeof import("node:util");
        const heard: unknown[] = ctx.store.outgoing;
        ctx.store.outgoing = [];
        const inARow: [unknown, number][] = [];
        // The marker's comes last, once for each client.
        for (const args of heard.slice(0, -clients)) {
          const last = inARow.at(-1);
          if (last && isDeepStrictEqual(last[0], args)) last[1]++;
          else inARow.push([args, 1]);
        }
        return inARow;
      }, Object.keys(CLIENTS).length * 2);
      scenes.push({ received: byClient, outgoing });
    }
    return scenes;
  }

  async close(): Promise<void> {
    for (const clients of this.#clients) for (const client of Object.values(clients)) client.close();
    await this.#cluster.close();
  }
}

/** Waits until every connection of a worker takes packets: what is volatile then arrives. */
async function untilWritable(worker: RemoteWorker): Promise<void> {
  await worker.run(async (ctx) => {
    const { clients } = ctx.io.engine as unknown as {
      clients: Record<string, { transport: { writable: boolean } }>;
    };
    while (!Object.values(clients).every(({ transport }) => transport.writable)) {
      await new Promise(setImmediate);
    }
  });
}

async function receive(
  clients: Record<string, RawClient>,
  marker: string,
): Promise<Record<string, unknown[]>> {
  const entries = Object.entries(clients).map(
    async ([name, client]) => [name, (await client.until(marker)).map(show)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** Short enough for a readable failure, and different for different bytes. */
function show(bytes: Buffer): string {
  const start = JSON.stringify(bytes.toString("latin1", 0, 60));
  return `${bytes.length}: ${start} ${createHash("sha1").update(bytes).digest("hex")}`;
}

/** The value with {@link show}n bytes: comparing large ones element by element takes minutes. */
function brief(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return show(value);
  if (Array.isArray(value)) return value.map(brief);
  if (value === null || typeof value !== "object" || value.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value as object).map(([key, field]) => [key, brief(field)]));
}

/** What Socket.IO's own parser makes of a value on its way to a client. */
function throughJson(value: unknown): unknown {
  if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) return null;
  if (Object.is(value, -0)) return 0;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (value instanceof Date) return value.toJSON();
  if (Array.isArray(value)) return value.map(throughJson);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([key, field]) => [key, throughJson(field)]));
}

function throughMsgpack(args: unknown): unknown {
  const [bytes] = new msgpackParser.Encoder().encode({
    type: 2,
    nsp: "/",
    data: args,
  }) as unknown as Buffer[];
  const decoder = new msgpackParser.Decoder();
  let decoded: unknown;
  decoder.on("decoded", ({ data }: { data: unknown }) => {
    decoded = data;
  });
  decoder.add(bytes);
  return decoded;
}
