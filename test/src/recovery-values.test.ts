/** What sessions keep of values that clients and applications choose: all of it, or what can be kept, and it is told. */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";
import { clientJson } from "./harness/client-json.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";
import { RecoveringClients } from "./harness/recovering-client.js";
import { nested, TextClient } from "./harness/text-client.js";
import { keepTold, told } from "./harness/told.js";

let cluster: TestCluster;
let first: RemoteWorker;
let second: RemoteWorker;
const clients = closedAfterEach(new RecoveringClients());

beforeAll(async () => {
  cluster = await TestCluster.start({
    workers: 2,
    sticky: false,
    io: { connectionStateRecovery: {} },
    hubOptions: { maxMessageBytes: 65_536 },
    setUpWorker: keepTold,
  });
  ({ a: first, b: second } = cluster);
  await cluster.untilJoined();
  await first.run((ctx) => void ctx.io.on("connection", (socket) => ctx.store.prepare(socket)));
});

/** @param source runs in the first worker for each `socket` that connects */
async function onConnection(source: string): Promise<void> {
  await first.run((ctx, text) => {
    ctx.store.prepare = new Function("socket", text);
  }, source);
}

/** Connects to the first worker, gets an event, loses the connection and comes back to the second. */
async function comeBack(): Promise<{ id: string; recovered: boolean }> {
  const client = await clients.connect(first.url);
  const { id } = client;
  await second.run((ctx) => void ctx.io.emit("m"));
  await client.has("m");
  const { recovered } = await client.drop(second.url);
  return { id, recovered };
}

function dataOf(id: string): Promise<unknown> {
  return second.run((ctx, sid) => {
    const { data } = ctx.io.sockets.sockets.get(sid) ?? {};
    return JSON.stringify(data);
  }, id);
}

afterEach(() => expect(cluster.output).toBe(""));
afterAll(() => cluster.close());

test.each([
  ["an object with names that code has", '{"constructor":1,"toJSON":1}'],
  ["half surrogate pairs", '{"__proto__":{"then":1},"\\ud83d":"\\udc00"}'],
  ["lists in one another", `{"deep":${nested(1_500)}}`],
  ["null", "null"],
])("socket.data comes back as it was: %s", async (_, json) => {
  await onConnection(`socket.data = JSON.parse(${JSON.stringify(json)})`);
  const { id, recovered } = await comeBack();
  expect([recovered, await dataOf(id)]).toEqual([true, JSON.stringify(JSON.parse(json))]);
  expect(await told(first)).toEqual([]);
});

test.each([
  [
    "a field that cannot be sent",
    'socket.data = { good: 1, bad: Symbol("s") }',
    "data.bad",
    "UNSERIALIZABLE",
  ],
  [
    "a field that throws",
    "socket.data = { good: 1, get bad() { throw null; } }",
    "data.bad",
    "UNSERIALIZABLE",
  ],
  [
    "a field that is too large",
    'socket.data = { good: 1, bad: "x".repeat(70_000) }',
    "data.bad",
    "MESSAGE_TOO_LARGE",
  ],
  [
    "a field that is too deep",
    'socket.data = { good: 1, bad: JSON.parse("[".repeat(20_000) + "]".repeat(20_000)) }',
    "data.bad",
    "UNSERIALIZABLE",
  ],
])("%s costs itself only, and is told of once", async (_, data, what, code) => {
  await onConnection(data);
  const { id, recovered } = await comeBack();
  expect([recovered, await dataOf(id)]).toEqual([true, '{"good":1}']);
  expect(await told(first)).toMatchObject([
    { code: `HOLDFAST_ERR_${code}`, message: expect.stringContaining(`socket.${what} of socket ${id}`) },
  ]);
});

test.each([
  [
    "too large in all",
    "socket.data = Object.fromEntries([1, 2, 3].map((i) => [i, String(i).repeat(30_000)]))",
  ],
  [
    "an object that refuses every question",
    "socket.data = new Proxy({}, { ownKeys() { throw new Error(); } })",
  ],
])("socket.data that is %s is not kept, and the session is", async (_, data) => {
  await onConnection(data);
  const { id, recovered } = await comeBack();
  expect([recovered, await dataOf(id)]).toEqual([true, "{}"]);
  expect(await told(first)).toMatchObject([
    { message: expect.stringContaining(`socket.data of socket ${id}`) },
  ]);
});

test("a room whose name is too large to be kept is joined all the same, and told of", async () => {
  await onConnection('socket.data.joined = true; socket.join("x".repeat(70_000));');
  const { id, recovered } = await comeBack();
  expect([recovered, await dataOf(id)]).toEqual([true, '{"joined":true}']);
  expect(await told(first)).toMatchObject([
    {
      code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
      message: expect.stringContaining(`socket.rooms of socket ${id}`),
    },
  ]);
  const rooms = await second.run((ctx, sid) => [...(ctx.io.sockets.sockets.get(sid)?.rooms ?? [])], id);
  expect(rooms).toEqual([id]);
});

test("whatever a client says comes back with its session, as data and as a room", async () => {
  await onConnection(`
    const { said } = socket.handshake.auth;
    socket.data = { said };
    if (!socket.recovered) socket.join([JSON.stringify(said), said]);
    if (!socket.recovered && Object(said) !== said) socket.join(String(said));
  `);
  await fc.assert(
    fc.asyncProperty(clientJson, async (text) => {
      const client = await clients.connect(first.url, { auth: { said: JSON.parse(text) } });
      const { id } = client;
      await second.run((ctx) => void ctx.io.emit("m"));
      await client.has("m");
      expect(await client.drop(second.url)).toEqual({ id, recovered: true });
      const kept = await second.run((ctx, sid) => {
        const { data, rooms } = ctx.io.sockets.sockets.get(sid) ?? {};
        const { said } = data;
        const isName = typeof said !== "object" || said === null;
        return [
          JSON.stringify(said),
          rooms?.has(JSON.stringify(said)),
          !isName || (rooms?.has(said) && rooms.has(String(said))),
        ];
      }, id);
      client.close();
      expect(kept).toEqual([JSON.stringify(JSON.parse(text)), true, true]);
    }),
    { numRuns: 40 },
  );
  expect(await told(first)).toEqual([]);
});

test("whatever a client says of the session that it wants, it is given one", async () => {
  await onConnection("");
  await fc.assert(
    fc.asyncProperty(clientJson, clientJson, async (privateId, offset) => {
      const client = await TextClient.connect(first.url, `{"pid":${privateId},"offset":${offset}}`);
      client.close();
      expect(client.id).not.toBe("");
    }),
    { numRuns: 40 },
  );
  expect(await told(first)).toEqual([]);
});
