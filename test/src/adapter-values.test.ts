/**
 * Values that clients and applications choose, on their way to other workers: whatever they are, they come as they
 * were or cost themselves only. No process, no link and nobody else's request suffers.
 */
import { createRequire } from "node:module";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clientJson, HOSTILE } from "./harness/client-json.js";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { nested, TextClient } from "./harness/text-client.js";
import { keepTold, told } from "./harness/told.js";

/** The smallest limit: what is too large for a message is easily made. */
const MAX_MESSAGE_BYTES = 65_536;
/** Deeper than any value may be. */
const TOO_DEEP = 20_000;

const hostile = HOSTILE.map((value) => ({ value, shown: value.slice(0, 40) }));

/** The parser of Socket.IO's client, which takes ten attachments otherwise. */
const parser = createRequire(createRequire(import.meta.url).resolve("socket.io-client"))("socket.io-parser");
const takesMany = {
  ...parser,
  Decoder: class extends parser.Decoder {
    constructor() {
      super({ maxAttachments: 1_000 });
    }
  },
};

let cluster: TestCluster;
let asker: RemoteWorker;
let holder: RemoteWorker;
const clients = new Clients();
let texts: TextClient[] = [];

async function connectText(auth?: string, namespace?: string): Promise<TextClient> {
  const client = await TextClient.connect(holder.url, auth, namespace);
  texts.push(client);
  return client;
}

async function idsAtAsker(): Promise<string[]> {
  return asker.run(async (ctx) => (await ctx.io.fetchSockets()).map(({ id }) => id).sort());
}

function manyFields(count: number, chars: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`field ${i}`, String(i).repeat(chars)]));
}

/** What the other worker has of all sockets, the third time that it asks; one of them has data. */
async function socketsAfter(withData: string) {
  await holder.run((ctx, id) => {
    const socket = ctx.io.sockets.sockets.get(id);
    if (socket) socket.data.kept = 1;
  }, withData);
  return asker.run(async (ctx) => {
    for (let i = 0; i < 2; i++) await ctx.io.fetchSockets();
    const sockets = await ctx.io.fetchSockets();
    return sockets.map(({ id, handshake, data, rooms }) => ({ id, handshake, data, rooms: [...rooms] }));
  });
}

/** The text that tells what of a socket is left out. */
function aboutSocket(id: string, ...part: string[]) {
  const name = part.filter((each) => each !== "").join(".");
  return expect.stringContaining(`socket.${name} of socket ${id}`);
}

/** Waits until the hub knows of no request without an answer: one that timed out may get its own a moment later. */
async function untilAnswered(): Promise<void> {
  await cluster.primary.run((ctx) =>
    ctx.until(() => {
      const { members } = ctx.hub.stats() as { members: { unanswered: number }[] };
      return members.every(({ unanswered }) => unanswered === 0);
    }),
  );
}

beforeAll(async () => {
  cluster = await TestCluster.start({
    workers: 2,
    sticky: false,
    hubOptions: { maxMessageBytes: MAX_MESSAGE_BYTES },
    setUpWorker: keepTold,
  });
  ({ a: asker, b: holder } = cluster);
  await cluster.untilJoined();
});
beforeEach(async () => {
  for (const worker of [asker, holder]) {
    await told(worker);
    await worker.run((ctx) => void ctx.io.removeAllListeners("question"));
  }
});
afterEach(async () => {
  clients.close();
  for (const client of texts) client.close();
  texts = [];
  await holder.run((ctx) => ctx.until(() => ctx.io.sockets.sockets.size === 0));
  await untilAnswered();
  // Both processes are still those that were started, and have joined once.
  expect(cluster.output).toBe("");
});
afterAll(() => cluster.close());

describe("a client's acknowledgement, asked for by another worker", () => {
  const ask = (timeoutMs: number) =>
    asker.run(async (ctx, ms) => {
      try {
        return { answers: JSON.stringify(await ctx.io.timeout(ms).emitWithAck("ask")) };
      } catch (error) {
        const { message, responses } = error as Error & { responses: unknown };
        return { message, responses };
      }
    }, timeoutMs);

  test.each(hostile)("arrives as it was: $shown", async ({ value }) => {
    const client = await connectText();
    client.acknowledgeWith(`[${value}]`);
    expect(await ask(20_000)).toEqual({ answers: JSON.stringify([JSON.parse(value)]) });
    expect(await told(holder)).toEqual([]);
  });

  test("arrives nested as deep as any value may be", async () => {
    const client = await connectText();
    // It is in the list of arguments, which is left behind.
    client.acknowledgeWith(`[${nested(10_000)}]`);
    const depth = await asker.run(async (ctx) => {
      const [answer] = await ctx.io.timeout(20_000).emitWithAck("ask");
      let levels = 0;
      for (let at = answer; at; at = at[0]) levels++;
      return levels;
    });
    expect(depth).toBe(10_000);
  });

  test.each([
    ["too large", JSON.stringify("x".repeat(MAX_MESSAGE_BYTES)), "HOLDFAST_ERR_MESSAGE_TOO_LARGE"],
    ["too deep", nested(TOO_DEEP), "HOLDFAST_ERR_UNSERIALIZABLE"],
  ])("that is %s counts as missing, and its worker is told", async (_, value, code) => {
    const [bad, good] = [await connectText(), await connectText()];
    bad.acknowledgeWith(`[${value}]`);
    good.acknowledgeWith('["good"]');
    expect(await ask(3_000)).toEqual({ message: "operation has timed out", responses: ["good"] });
    expect(await told(holder)).toMatchObject([{ code }]);
    bad.close();
    await holder.run((ctx) => ctx.until(() => ctx.io.sockets.sockets.size === 1));
    expect(await ask(20_000)).toEqual({ answers: '["good"]' });
  });

  test("is missing in the single answer to a RemoteSocket, too", async () => {
    const client = await connectText();
    client.acknowledgeWith(`[${nested(TOO_DEEP)}]`);
    const message = await asker.run(async (ctx) => {
      const [remote] = await ctx.io.fetchSockets();
      return remote
        ?.timeout(300)
        .emitWithAck("ask")
        .catch((error: Error) => error.message);
    });
    expect(message).toBe("operation has timed out");
  });
});

describe("fetchSockets() of another worker", () => {
  test.each(hostile)("has what a client says in its handshake: $shown", async ({ value }) => {
    await connectText(`{"a":${value}}`);
    const auth = await asker.run(async (ctx) =>
      JSON.stringify((await ctx.io.fetchSockets())[0]?.handshake.auth),
    );
    expect(auth).toBe(JSON.stringify({ a: JSON.parse(value) }));
  });

  test("has every socket; one whose handshake cannot be sent comes without it, and is told of once", async () => {
    const bad = await connectText(`{"a":${nested(TOO_DEEP)},"token":"t"}`);
    const ids = [bad.id, (await connectText()).id].sort();
    await holder.run((ctx, id) => {
      const socket = ctx.io.sockets.sockets.get(id);
      if (socket) socket.data.kept = 1;
    }, bad.id);
    for (let i = 0; i < 3; i++) expect(await idsAtAsker()).toEqual(ids);
    const [socket] = await asker.run(async (ctx, id) => {
      const sockets = await ctx.io.in(id).fetchSockets();
      return sockets.map(({ handshake, data, rooms }) => ({ handshake, data, rooms: [...rooms] }));
    }, bad.id);
    expect(socket).toMatchObject({ data: { kept: 1 }, rooms: [bad.id] });
    expect(socket?.handshake).toMatchObject({
      auth: {},
      query: { transport: "websocket" },
      url: expect.any(String),
    });
    expect(await told(holder)).toMatchObject([
      {
        code: "HOLDFAST_ERR_UNSERIALIZABLE",
        message: expect.stringContaining(`socket.handshake.auth of socket ${bad.id}`),
      },
    ]);
  });

  test.each([
    ["a field of it too large", { token: "x".repeat(MAX_MESSAGE_BYTES) }, "auth"],
    ["all of it too large, each field small", manyFields(30, 3_000), "auth"],
    ["fields too large together, each small enough,", { token: "x".repeat(MAX_MESSAGE_BYTES - 200) }, ""],
  ])("has every socket; one with %s in its handshake comes without it", async (_, auth, field) => {
    const bad = await connectText(JSON.stringify(auth));
    const ids = [bad.id, (await connectText('{"token":"t"}')).id];
    const all = await socketsAfter(bad.id);
    expect(all.map(({ id }) => id).sort()).toEqual(ids.toSorted());
    const [whole, part] = [all.find(({ id }) => id !== bad.id), all.find(({ id }) => id === bad.id)];
    expect(whole?.handshake.auth).toEqual({ token: "t" });
    expect(part).toMatchObject({ data: { kept: 1 }, rooms: [bad.id] });
    expect(part?.handshake.auth).toEqual({});
    expect(await told(holder)).toMatchObject([
      { code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE", message: aboutSocket(bad.id, "handshake", field) },
    ]);
  });

  test.each([
    ["many rooms", Array.from({ length: 2_000 }, (_, i) => `${i} ${"x".repeat(100)}`)],
    ["a room with a long name", ["x".repeat(MAX_MESSAGE_BYTES)]],
  ])("has every socket; one in %s, which a client chose, comes without its rooms", async (_, rooms) => {
    const bad = await connectText('{"token":"b"}');
    const ids = [bad.id, (await connectText('{"token":"t"}')).id];
    await holder.run((ctx, id, names) => ctx.io.sockets.sockets.get(id)?.join(names), bad.id, rooms);
    const all = await socketsAfter(bad.id);
    expect(all.map(({ id }) => id).sort()).toEqual(ids.toSorted());
    const [whole, part] = [all.find(({ id }) => id !== bad.id), all.find(({ id }) => id === bad.id)];
    expect(whole).toMatchObject({ handshake: { auth: { token: "t" } }, rooms: [whole?.id] });
    expect(part).toMatchObject({ data: { kept: 1 }, handshake: { auth: { token: "b" } }, rooms: [] });
    expect(await told(holder)).toMatchObject([
      { code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE", message: aboutSocket(bad.id, "rooms") },
    ]);
  });

  test("of handshake, data and rooms, which are too large together, the largest is left out", async () => {
    const sizes = [20_000, 30_000];
    const parts = ["data", "handshake", "rooms"] as const;
    for (const largest of parts) {
      const [data, auth, room] = parts.map((part) =>
        part.charAt(0).repeat(sizes[part === largest ? 1 : 0] ?? 0),
      );
      const { id } = await connectText(JSON.stringify({ auth }));
      await holder.run(
        async (ctx, sid, kept, name) => {
          const socket = ctx.io.sockets.sockets.get(sid);
          if (socket) socket.data = { kept };
          await socket?.join(name);
        },
        id,
        data ?? "",
        room ?? "",
      );
      const [socket] = await asker.run(async (ctx, sid) => {
        const sockets = await ctx.io.in(sid).fetchSockets();
        return sockets.map(({ handshake, data: fetched, rooms }) => ({
          data: fetched,
          handshake: handshake.auth,
          rooms: [...rooms],
        }));
      }, id);
      const whole = { data: { kept: data }, handshake: { auth }, rooms: [id, room] };
      expect(socket).toEqual({ ...whole, [largest]: largest === "rooms" ? [] : {} });
      expect(await told(holder)).toMatchObject([
        { code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE", message: aboutSocket(id, largest) },
      ]);
    }
  });

  test("has what can be sent of socket.data, whatever that is", async () => {
    const kinds = [
      "null",
      "undefined",
      "1",
      '"\ud83d"',
      'Symbol("s")',
      "() => 1",
      "{ good: 1, bad: Symbol() }",
      '{ good: 1, get bad() { throw new Error("boom"); } }',
      "{ good: 1, get bad() { throw null; } }",
      "new Proxy({}, { ownKeys() { throw new Error(); } })",
      "new Proxy({}, { get() { throw new Error(); }, getPrototypeOf() { throw 1; } })",
      '{ good: 1, bad: "x".repeat(70_000) }',
      "Object.fromEntries(Array.from({ length: 4 }, (_, i) => [i, String(i).repeat(30_000)]))",
    ];
    const ids: string[] = [];
    for (const kind of kinds) {
      const { id } = await connectText();
      ids.push(id);
      await holder.run(
        (ctx, sid, source) => {
          Object.assign(ctx.io.sockets.sockets.get(sid) ?? {}, {
            data: new Function(`return (${source})`)(),
          });
        },
        id,
        kind,
      );
    }
    const data = await asker.run(async (ctx) =>
      (await ctx.io.fetchSockets()).map((socket) => [socket.id, socket.data]),
    );
    const byId = new Map(data as [string, unknown][]);
    expect(ids.map((id) => byId.get(id))).toEqual([
      null,
      undefined,
      1,
      "\ud83d",
      {},
      undefined,
      { good: 1 },
      { good: 1 },
      { good: 1 },
      {},
      {},
      { good: 1 },
      {},
    ]);
    await idsAtAsker();
    const reports = await told(holder);
    expect(reports.map(({ code }) => code.replace("HOLDFAST_ERR_", ""))).toEqual([
      "UNSERIALIZABLE",
      "UNSERIALIZABLE",
      "UNSERIALIZABLE",
      "UNSERIALIZABLE",
      "UNSERIALIZABLE",
      "UNSERIALIZABLE",
      "MESSAGE_TOO_LARGE",
      "MESSAGE_TOO_LARGE",
    ]);
    expect(reports[1]?.message).toContain(`socket.data.bad of socket ${ids[6]}`);
  });

  test("comes in as many messages as it takes, also to the primary's emitter", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) {
      const { id } = await connectText(JSON.stringify({ token: `${i}`.repeat(10_000) }));
      ids.push(id);
    }
    expect(await idsAtAsker()).toEqual(ids.toSorted());
    const tokens = await asker.run(async (ctx) =>
      (await ctx.io.fetchSockets()).map(({ handshake }) => handshake.auth.token.length),
    );
    expect(tokens.toSorted()).toEqual(ids.map((_, i) => `${i}`.length * 10_000).toSorted());
    const atPrimary = await cluster.primary.run(async (ctx) =>
      (await ctx.hub.emitter().fetchSockets()).map(({ id }: { id: string }) => id).sort(),
    );
    expect(atPrimary).toEqual(ids.toSorted());
    expect(await told(holder)).toEqual([]);
  });

  test("has sockets with the rooms that other processes can have, too", async () => {
    const { id } = await connectText();
    await holder.run((ctx, sid) => {
      const odd = [Symbol("s"), () => {}, {}, 7, "\ud83d", null, undefined, true, 5n] as unknown as string[];
      for (const room of odd) void ctx.io.sockets.sockets.get(sid)?.join(room);
    }, id);
    const rooms = await asker.run(async (ctx) => [...((await ctx.io.fetchSockets())[0]?.rooms ?? [])]);
    expect(rooms).toEqual([id, 7, "\ud83d", null, undefined, true, 5n]);
    expect(await told(holder)).toEqual([]);
  });
});

describe("serverSideEmit()", () => {
  const askOthers = () =>
    asker.run(async (ctx) => {
      try {
        return { answers: await ctx.io.serverSideEmitWithAck("question") };
      } catch (error) {
        const { code, message } = error as Error & { code: string };
        return { code, message };
      }
    });

  test("keeps half surrogate pairs, in arguments and answers", async () => {
    await holder.run(
      (ctx) =>
        void ctx.io.on("question", (given: unknown, answer: (value: unknown) => void) => answer(given)),
    );
    const same = await asker.run(async (ctx) => {
      const [answer] = await ctx.io.serverSideEmitWithAck("question", ["\ud83d", { "\udc00": "a\ud800b" }]);
      return JSON.stringify(answer);
    });
    expect(same).toBe('["\\ud83d",{"\\udc00":"a\\ud800b"}]');
  });

  test("an answer that cannot be sent is refused where it is given, and can be given anew", async () => {
    await holder.run((ctx) => {
      ctx.io.on("question", (answer: (value: unknown) => void) => {
        const codes: string[] = [];
        for (const bad of [Symbol("s"), "x".repeat(70_000)]) {
          try {
            answer(bad);
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
        }
        answer(codes);
        answer("one too many");
        answer(Symbol("ignored"));
      });
    });
    expect(await askOthers()).toEqual({
      answers: [["HOLDFAST_ERR_UNSERIALIZABLE", "HOLDFAST_ERR_MESSAGE_TOO_LARGE"]],
    });
  });

  test.each([
    ["question", "serverSideEmit"],
    ["question", "serverSideEmitWithAck"],
    ["show", "emit"],
  ] as const)("what is nested too deep is refused at its call: %s by %s()", async (event, how) => {
    const code = await asker.run(
      async (ctx, name, method, depth) => {
        let value: unknown = [];
        for (let i = 0; i < depth; i++) value = [value];
        try {
          await (ctx.io as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(name, value);
        } catch (error) {
          return (error as { code?: string }).code ?? (error as Error).name;
        }
        return "taken";
      },
      event,
      how,
      TOO_DEEP,
    );
    // A packet for clients is Socket.IO's to write, which cannot either.
    expect(code).toBe(how === "emit" ? "RangeError" : "HOLDFAST_ERR_UNSERIALIZABLE");
  });

  test.each([
    ["a symbol", "serverSideEmit", "HOLDFAST_ERR_UNSERIALIZABLE"],
    ["a symbol", "serverSideEmitWithAck", "HOLDFAST_ERR_UNSERIALIZABLE"],
    ["a getter that throws", "serverSideEmit", "HOLDFAST_ERR_UNSERIALIZABLE"],
    ["a getter that throws", "serverSideEmitWithAck", "HOLDFAST_ERR_UNSERIALIZABLE"],
    ["33 MiB", "serverSideEmit", "HOLDFAST_ERR_MESSAGE_TOO_LARGE"],
    ["33 MiB", "serverSideEmitWithAck", "HOLDFAST_ERR_MESSAGE_TOO_LARGE"],
    ["33 MiB", "emit", "HOLDFAST_ERR_MESSAGE_TOO_LARGE"],
  ] as const)("what cannot be carried is refused at its call: %s by %s()", async (what, how, expected) => {
    await holder.run((ctx) => {
      ctx.store.seen = [];
      ctx.io.on("question", (value: unknown) => ctx.store.seen.push(value));
    });
    const code = await asker.run(
      async (ctx, kind, method) => {
        const values = {
          "a symbol": () => Symbol("mine"),
          "a getter that throws": () =>
            Object.defineProperty({}, "x", { enumerable: true, get: () => JSON.parse("") }),
          "33 MiB": () => "x".repeat(33 * 2 ** 20),
        } as Record<string, () => unknown>;
        const name = method === "emit" ? "show" : "question";
        try {
          await (ctx.io as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(
            name,
            values[kind]?.(),
          );
        } catch (error) {
          return (error as { code?: string }).code;
        }
        return "taken";
      },
      what,
      how,
    );
    expect(code).toBe(expected);
    // What comes after it arrives, and it alone.
    await asker.run((ctx) => void ctx.io.serverSideEmit("question", "after"));
    expect(await holder.run((ctx) => ctx.until(() => ctx.store.seen.length > 0 && ctx.store.seen))).toEqual([
      "after",
    ]);
  });

  test("a listener that answers and then throws has answered", async () => {
    await holder.run((ctx) => {
      ctx.store.uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
      ctx.io.on("question", (answer: (value: unknown) => void) => {
        answer("answered");
        throw new Error("afterwards");
      });
    });
    expect(await askOthers()).toEqual({ answers: ["answered"] });
    expect(await holder.run(async (ctx) => (await ctx.store.uncaught).message)).toBe("afterwards");
  });

  test("a listener that throws before it answers fails the request, whatever it throws, however long it talks", async () => {
    await holder.run((ctx) => {
      const thrown = [null, Object.create(null), new Error("long ".repeat(50_000)), new Error("short")];
      ctx.store.uncaught = [];
      ctx.store.onUncaught = (error: unknown) => ctx.store.uncaught.push(error);
      process.on("uncaughtException", ctx.store.onUncaught);
      ctx.io.on("question", () => {
        throw thrown.shift();
      });
    });
    for (let i = 0; i < 4; i++)
      expect(await askOthers()).toMatchObject({ code: "HOLDFAST_ERR_REQUEST_FAILED" });
    expect(
      await holder.run((ctx) => {
        process.off("uncaughtException", ctx.store.onUncaught);
        return ctx.store.uncaught.length;
      }),
    ).toBe(4);
  });

  test("an answer to a request that is over is heard by nobody", async () => {
    for (const worker of [asker, holder]) {
      await worker.run((ctx) => void ctx.io.of("/late"));
    }
    await holder.run((ctx) => {
      ctx.io.of("/late").on("question" as never, (answer: (value: unknown) => void) => {
        ctx.store.answer = answer;
        ctx.emit("asked");
      });
    });
    const asked = holder.next("asked");
    await cluster.untilJoined(2, "/late");
    await asker.run((ctx) => {
      ctx.store.settled = ctx.io
        .of("/late")
        .serverSideEmitWithAck("question")
        .catch((error: Error) => error.message);
    });
    await asked;
    await asker.run((ctx) => ctx.io.of("/late").adapter.close());
    expect(await asker.run((ctx) => ctx.store.settled)).toContain("closed");
    await holder.run((ctx) => {
      ctx.store.answer("late");
      ctx.store.answer("later");
    });
    // Behind them on the same link.
    expect(await idsAtAsker()).toEqual([]);
  });
});

test("whatever a client says goes every way that there is, as it was", async () => {
  await holder.run((ctx) => {
    ctx.io.on("connection", (socket) => {
      socket.on("keep", async (value) => {
        const isName = typeof value !== "object" || value === null;
        socket.data = { value, room: isName ? value : JSON.stringify(value) };
        await socket.join(socket.data.room);
        ctx.emit(`kept ${socket.id}`);
      });
    });
    ctx.io.on("question", (given: unknown, answer: (value: unknown) => void) => answer([given]));
  });
  await fc.assert(
    fc.asyncProperty(clientJson, async (value) => {
      const client = await TextClient.connect(holder.url, `{"a":${value}}`);
      const kept = holder.next(`kept ${client.id}`);
      client.emit(`["keep",${value}]`);
      client.acknowledgeWith(`[${value}]`);
      await kept;
      const shown = client.next("show");
      const ways = await asker.run(async (ctx, id) => {
        const [socket] = await ctx.io.in(id).fetchSockets();
        ctx.io.in(id).emit("show", socket?.data.value);
        const [acknowledged] = await ctx.io.in(id).timeout(20_000).emitWithAck("ask", socket?.data.value);
        const [answered] = await ctx.io.serverSideEmitWithAck("question", socket?.data.value);
        const [member] = await ctx.io.in(socket?.data.room).fetchSockets();
        const all = [socket?.handshake.auth.a, socket?.data.value, acknowledged, answered[0]];
        return { values: all.map((each) => JSON.stringify(each)), found: member?.id };
      }, client.id);
      expect(JSON.stringify(JSON.parse(await shown)[1])).toBe(JSON.stringify(JSON.parse(value)));
      client.close();
      expect(ways).toEqual({
        values: Array(4).fill(JSON.stringify(JSON.parse(value))),
        found: client.id,
      });
    }),
    { numRuns: 60 },
  );
  await holder.run((ctx) => void ctx.io.removeAllListeners("connection"));
});

test("a namespace whose name, which a client chose, is too long for a message has its own worker's clients", async () => {
  await holder.run((ctx) => void ctx.io.of(/^\/x+$/).on("connection", () => {}));
  const name = `/${"x".repeat(MAX_MESSAGE_BYTES)}`;
  const { id } = await connectText("{}", `${name},`);
  const seen = await holder.run(async (ctx, long) => {
    const nsp = ctx.io.of(long);
    const code = await nsp.fetchSockets().catch((error: { code: string }) => error.code);
    const local = (await nsp.local.fetchSockets()).map((socket) => socket.id);
    return { servers: await nsp.adapter.serverCount(), code, local };
  }, name);
  expect(seen).toEqual({ servers: 1, code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE", local: [id] });
  expect(await told(holder)).toMatchObject([{ code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE" }]);
  // The link is there, and what else goes over it.
  await cluster.untilJoined();
});

describe("a broadcast to another worker", () => {
  test.each([11, 300])(
    "has its %i attachments, also where it wants acknowledgements or somebody listens",
    async (count) => {
      const client = await clients.connectTo(holder, { parser: takesMany });
      await holder.run((ctx, id) => {
        ctx.store.told.splice(0);
        ctx.io.sockets.sockets.get(id)?.onAnyOutgoing((event, ...parts) => ctx.emit(event, parts.length));
      }, client.id);
      client.socket.on("ask", (...args: unknown[]) =>
        (args.at(-1) as (value: unknown) => void)(args.length - 1),
      );
      const heard = holder.next("show");
      const shown = client.next("show");
      const answers = await asker.run(async (ctx, parts) => {
        const buffers = Array.from({ length: parts }, (_, i) => Buffer.from([i]));
        ctx.io.emit("show", ...buffers);
        return ctx.io.timeout(20_000).emitWithAck("ask", ...buffers);
      }, count);
      expect([answers, await heard, (await shown).length]).toEqual([[count], count, count]);
      expect(await told(holder)).toEqual([]);
    },
  );
});
